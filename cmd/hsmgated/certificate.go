package main

import (
	"bytes"
	"crypto/tls"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
)

// serverCertificate is the server's certificate, read anew when its file has changed,
// so that a renewal needs no restart.
type serverCertificate struct {
	files TLS
	log   *zap.Logger

	mu   sync.Mutex
	pair *tls.Certificate
	at   time.Time // modification of the file that pair is from
}

// get answers a handshake. While the files do not make a pair, as between the
// writing of one and of the other, the certificate before them is served.
func (c *serverCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	info, err := os.Stat(c.files.CertFile)
	if err == nil && c.pair != nil && info.ModTime().Equal(c.at) {
		return c.pair, nil
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(c.files.CertFile, c.files.KeyFile)
	}
	switch {
	case err == nil:
		c.pair, c.at = &pair, info.ModTime()
	case c.pair == nil:
		return nil, err
	default:
		c.log.Error("the renewed TLS certificate cannot be used: the one before it is served", zap.Error(err))
	}
	return c.pair, nil
}

// orItself also lets a connection pass that shows the server's own certificate, as
// 'hsmgated healthcheck' does where one is required. No call is authenticated by it.
func (c *serverCertificate) orItself(verify func(tls.ConnectionState) error) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		c.mu.Lock()
		own := c.pair != nil && len(s.PeerCertificates) > 0 && bytes.Equal(s.PeerCertificates[0].Raw, c.pair.Certificate[0])
		c.mu.Unlock()
		if own {
			return nil
		}
		return verify(s)
	}
}

// expiry is when the certificate that is served expires.
func (c *serverCertificate) expiry() float64 {
	pair, err := c.get(nil)
	if err != nil || pair.Leaf == nil {
		return 0
	}
	return float64(pair.Leaf.NotAfter.Unix())
}

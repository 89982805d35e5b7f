package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// chains are the ways from a certificate to the CAs of a file.
type chains struct {
	roots *x509.CertPool
	all   [][]*x509.Certificate
}

func parseCAs(text []byte) (*x509.CertPool, error) {
	pool, found := x509.NewCertPool(), false
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		if !c.IsCA {
			return nil, fmt.Errorf("%s is not the certificate of a CA", c.Subject)
		}
		pool.AddCert(c)
		found = true
	}
	if !found {
		return nil, errors.New("there is no certificate in PEM")
	}
	return pool, nil
}

// chains finds the chains of a certificate, once for each content of ca_file and
// again when one of their certificates is past its time.
func (c *certificates) chains(leaf *x509.Certificate, roots *x509.CertPool, now time.Time) (*chains, error) {
	hash := sha256.Sum256(leaf.Raw)
	if known, ok := c.known.get(hash); ok && known.roots == roots && known.current(now) {
		return known, nil
	}
	all, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return nil, err
	}
	made := &chains{roots, all}
	c.known.put(hash, made)
	return made, nil
}

func (c *chains) current(now time.Time) bool {
	for _, chain := range c.all {
		for _, one := range chain {
			if now.Before(one.NotBefore) || now.After(one.NotAfter) {
				return false
			}
		}
	}
	return true
}

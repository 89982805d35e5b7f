package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/awskms"
	"github.com/hsmgate/hsmgate/gateway/rest"
)

const (
	headerTimeout = 10 * time.Second // for the head of a request
	idleTimeout   = 2 * time.Minute  // between two requests of a connection
	maxHeader     = 32 << 10         // bytes
	// maxStreams is how many requests a connection of HTTP/2 may have under way.
	maxStreams = 64
)

// serve serves until ctx ends, then drains: readiness goes away, new requests
// are refused, those under way have the stop timeout to end.
func (d *daemon) serve(ctx context.Context, ready func()) error {
	handler, err := d.handler()
	if err != nil {
		return err
	}
	gate := &gate{next: handler, pace: usualPace}
	server := &http.Server{
		Handler: gate, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams}, DisableGeneralOptionsHandler: true,
		ErrorLog: zap.NewStdLog(zap.New(d.log.Core()).Named("http")),
	}
	failed := make(chan error, 1)
	go func() { failed <- d.accept(server) }()
	ready()
	select {
	case err := <-failed:
		return fmt.Errorf("the server ended: %w", err)
	case <-ctx.Done():
	}
	d.log.Info("stopping: calls under way are finished, new ones are refused")
	gate.stopping.Store(true)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.config.StopTimeout)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		d.log.Warn("calls were cut off after the stop timeout", zap.Error(err))
		return errors.Join(server.Close(), &hintedError{fmt.Errorf("calls were still under way after %s", d.config.StopTimeout), "set stop_timeout higher"})
	}
	return nil
}

func (d *daemon) accept(server *http.Server) error {
	if !d.config.tls() {
		return server.Serve(d.listener)
	}
	cert := &serverCertificate{files: d.config.TLS, log: d.log}
	d.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "hsmgate_tls_certificate_expiry_seconds",
		Help: "When the server's certificate expires, in seconds since 1970; 0 where it cannot be read."}, cert.expiry))
	server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: cert.get}
	if asked := d.config.ClientCertificates; asked.Configured() {
		d.identities.ServerTLS(server.TLSConfig, asked.Required, time.Now)
		server.TLSConfig.VerifyConnection = cert.orItself(server.TLSConfig.VerifyConnection)
	}
	return server.ServeTLS(d.listener, "", "")
}

// handler makes both faces.
func (d *daemon) handler() (http.Handler, error) {
	trusted, err := d.config.proxies()
	if err != nil {
		return nil, err
	}
	address := rest.ClientAddress(trusted)
	failures := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hsmgate_aws_authentication_failures_total", Help: "AWS requests refused before they were calls, by reason."},
		[]string{"reason"})
	d.registry.MustRegister(failures)
	aws := awskms.Config{
		Service: d.service, Identities: d.identities, Regions: d.service.Regions(), Address: address, Log: d.log,
		AuthFailures: func(reason string) { failures.WithLabelValues(reason).Inc() },
	}
	return rest.New(rest.Config{
		Service: d.service, Identities: d.identities, AWS: awskms.New(aws), SigV4: awskms.Verifier(aws), Log: d.log, Registry: d.registry, Address: address,
		PublicMaxAge: d.config.PublicMaxAge, Traced: d.config.Tracing.On(), TrustTraces: d.config.Tracing.TrustCallers,
	}), nil
}

// clientURL is the URL under which clients on this machine reach the server.
func clientURL(c *Config, at string) (string, error) {
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	if !c.tls() {
		return "http://" + net.JoinHostPort(host, port), nil
	}
	pair, err := tls.LoadX509KeyPair(c.TLS.CertFile, c.TLS.KeyFile)
	if err != nil {
		return "", fmt.Errorf("the TLS certificate cannot be used: %w", err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return "", fmt.Errorf("the TLS certificate cannot be used: %w", err)
	}
	if leaf.VerifyHostname(host) != nil && len(leaf.DNSNames) > 0 {
		host = leaf.DNSNames[0]
	}
	return "https://" + net.JoinHostPort(host, port), nil
}

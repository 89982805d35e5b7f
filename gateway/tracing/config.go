// Package tracing sends spans to an OpenTelemetry collector, by OTLP over HTTP in
// protobuf. The spans themselves are made in the gateway. It imports nothing of ours.
package tracing

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
)

// Config says where traces are sent. The zero value makes none.
type Config struct {
	// Endpoint is the URL that takes OTLP traces over HTTP in protobuf, such as
	// http://127.0.0.1:4318/v1/traces. Default none: no traces are made.
	Endpoint string `yaml:"endpoint"`
	// HeadersFile holds headers for the collector, such as its credentials, one
	// Name: value a line; mode 0600. With it, endpoint is https or on loopback.
	// Default none.
	HeadersFile string `yaml:"headers_file"`
	// CAFile holds the certificates that the collector's may be from, PEM. Default
	// those of the system.
	CAFile string `yaml:"ca_file"`
	// SampleRatio is the part of the calls that is traced, from 0 to 1. Default 1.
	SampleRatio *float64 `yaml:"sample_ratio"`
	// TrustCallers takes the traceparent header of callers (W3C Trace Context): their
	// traces go on here, and they decide whether a call is traced, whatever
	// sample_ratio says. Default false: the header is not read.
	TrustCallers bool `yaml:"trust_callers"`
}

// On says whether traces are made.
func (c Config) On() bool { return c.Endpoint != "" }

// Check says what is wrong with the settings.
func (c Config) Check() error {
	if !c.On() {
		if c.HeadersFile != "" || c.CAFile != "" || c.SampleRatio != nil || c.TrustCallers {
			return errors.New("tracing.endpoint: it is missing, and without it the other settings of tracing mean nothing")
		}
		return nil
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return errors.New("tracing.endpoint: it is not a URL such as https://collector.example.com:4318/v1/traces, without credentials")
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && c.HeadersFile != "" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return errors.New("tracing.endpoint: with headers_file it has to be https, or on loopback, so that nobody reads the headers")
	}
	if r := c.SampleRatio; r != nil && !(*r >= 0 && *r <= 1) {
		return fmt.Errorf("tracing.sample_ratio: %g is not from 0 to 1", *r)
	}
	return nil
}

// headers reads the file of headers.
func (c Config) headers() (http.Header, error) {
	if c.HeadersFile == "" {
		return nil, nil
	}
	info, err := os.Stat(c.HeadersFile)
	if err != nil {
		return nil, fmt.Errorf("tracing.headers_file: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("tracing.headers_file: %s is readable by others: chmod 600 it", c.HeadersFile)
	}
	text, err := os.ReadFile(c.HeadersFile)
	if err != nil {
		return nil, fmt.Errorf("tracing.headers_file: %w", err)
	}
	text = append(bytes.TrimSpace(text), "\r\n\r\n"...)
	header, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(text))).ReadMIMEHeader()
	if err != nil || len(header) == 0 { // the error would quote the line, which may be a secret
		return nil, fmt.Errorf("tracing.headers_file: %s has to hold lines of the form Name: value", c.HeadersFile)
	}
	return http.Header(header), nil
}

// transport trusts the CA that the settings name.
func (c Config) transport() (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile == "" {
		return t, nil
	}
	text, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("tracing.ca_file: %w", err)
	}
	t.TLSClientConfig.RootCAs = x509.NewCertPool()
	if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("tracing.ca_file: %s holds no certificate in PEM", c.CAFile)
	}
	return t, nil
}

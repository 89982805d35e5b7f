package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
)

// ErrConfig is the error of an environment that does not say which gateway, or as whom.
var ErrConfig = errors.New("the environment does not name the gateway")

// FromEnv makes a client from HSMGATE_URL and HSMGATE_TOKEN, and HSMGATE_CA_FILE
// where the gateway's certificate is of a private CA (PEM; no other CA is
// trusted then). Its error is ErrConfig.
func FromEnv() (*Client, error) {
	c := New(os.Getenv("HSMGATE_URL"), os.Getenv("HSMGATE_TOKEN"))
	switch u, err := url.Parse(c.URL); {
	case c.URL == "":
		return nil, fmt.Errorf("%w: HSMGATE_URL is not set", ErrConfig)
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("%w: HSMGATE_URL is not a URL of the form https://host:port", ErrConfig)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%w: HSMGATE_URL holds more than https://host:port", ErrConfig)
	case c.Token == "":
		return nil, fmt.Errorf("%w: HSMGATE_TOKEN is not set", ErrConfig)
	}
	if path := os.Getenv("HSMGATE_CA_FILE"); path != "" {
		pool, err := readCA(path)
		if err != nil {
			return nil, fmt.Errorf("%w: HSMGATE_CA_FILE: %w", ErrConfig, err)
		}
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
		c.HTTP = &http.Client{Transport: transport}
	}
	return c, nil
}

func readCA(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return pool, nil
}

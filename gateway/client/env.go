package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// ErrConfig is the error of an environment that does not say which gateway, or as whom.
var ErrConfig = errors.New("the environment does not name the gateway")

// ConfigError says what is wrong with a variable of the environment. It is an
// ErrConfig.
type ConfigError struct {
	Variable string // such as HSMGATE_URL
	Missing  bool   // it is not set
	Problem  string // what follows the variable's name in the text
}

func (e *ConfigError) Error() string { return e.Variable + " " + e.Problem }

// Is says that it is an ErrConfig.
func (e *ConfigError) Is(target error) bool { return target == ErrConfig }

// FromEnv makes a client from HSMGATE_URL and HSMGATE_TOKEN, HSMGATE_REGION where
// the calls go to another region than the home region, and HSMGATE_CA_FILE where
// the gateway's certificate is of a private CA (PEM; no other CA is trusted then).
// HSMGATE_TOKEN_FILE names a file with the token instead; HSMGATE_CERT_FILE and
// HSMGATE_KEY_FILE hold a client certificate, with which no token is needed. These
// files may be renewed while the client is in use. Where neither is there, it finds the
// identity token of a job or a pod, which becomes a session of the role HSMGATE_ROLE, or
// at last an access key in AWS's variables and profiles: see docs/client.md. Its error is a *ConfigError.
func FromEnv() (*Client, error) {
	c := New(os.Getenv("HSMGATE_URL"), os.Getenv("HSMGATE_TOKEN"))
	c.Region, c.TokenFile = os.Getenv("HSMGATE_REGION"), os.Getenv("HSMGATE_TOKEN_FILE")
	pair := keyPair{os.Getenv("HSMGATE_CERT_FILE"), os.Getenv("HSMGATE_KEY_FILE")}
	if c.Token == "" && c.TokenFile == "" && pair == (keyPair{}) {
		c.Identity, c.Role = identityFromEnv(), os.Getenv("HSMGATE_ROLE")
		if c.Identity == nil && c.URL != "" {
			var err error
			if c.AWS, err = awsFromEnv(context.Background()); err != nil {
				return nil, err
			}
		}
	}
	switch u, err := url.Parse(c.URL); {
	case c.URL == "":
		return nil, &ConfigError{"HSMGATE_URL", true, "is not set"}
	case !strings.HasPrefix(c.URL, "http://") && !strings.HasPrefix(c.URL, "https://"):
		return nil, &ConfigError{"HSMGATE_URL", false, "has to begin with http:// or https://, such as https://host:port"}
	case err != nil || u.Host == "":
		return nil, &ConfigError{"HSMGATE_URL", false, "is not a URL of the form https://host:port"}
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, &ConfigError{"HSMGATE_URL", false, "holds more than https://host:port"}
	case c.Token == "" && c.TokenFile == "" && pair == keyPair{} && c.Identity == nil && c.AWS.Credentials == nil:
		return nil, &ConfigError{"HSMGATE_TOKEN", true, "is not set"}
	case c.Token != "" && c.TokenFile != "":
		return nil, &ConfigError{"HSMGATE_TOKEN_FILE", false, "and HSMGATE_TOKEN are both set: which of them is it?"}
	case strings.Trim(c.Region, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
		return nil, &ConfigError{"HSMGATE_REGION", false, "is not a region, such as eu-central-1"}
	}
	if c.TokenFile == "" {
		return c, c.setTLS(os.Getenv("HSMGATE_CA_FILE"), pair)
	}
	if _, err := tokenIn(c.TokenFile); err != nil {
		return nil, &ConfigError{"HSMGATE_TOKEN_FILE", false, "does not name a file with a token: " + err.Error()}
	}
	return c, c.setTLS(os.Getenv("HSMGATE_CA_FILE"), pair)
}

// setTLS is for a private CA, and for a client certificate.
func (c *Client) setTLS(ca string, pair keyPair) error {
	if ca == "" && pair == (keyPair{}) {
		return nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pool, err := readCA(ca)
		if err != nil {
			return &ConfigError{"HSMGATE_CA_FILE", false, "does not name the certificate of a CA: " + err.Error()}
		}
		config.RootCAs = pool
	}
	if pair != (keyPair{}) {
		if _, err := pair.load(nil); err != nil {
			return &ConfigError{"HSMGATE_CERT_FILE", false, "and HSMGATE_KEY_FILE do not name a certificate and its key: " + err.Error()}
		}
		if strings.HasPrefix(c.URL, "http://") {
			return &ConfigError{"HSMGATE_CERT_FILE", false, "is of no use with an http:// URL: a client certificate needs https://"}
		}
		config.GetClientCertificate = pair.load
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = config
	c.HTTP = &http.Client{Transport: transport}
	return nil
}

// keyPair names the files of a client certificate and of its key, PEM.
type keyPair struct{ certFile, keyFile string }

// load reads them for each connection, so that a renewal needs no restart.
func (p keyPair) load(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
	return &pair, err
}

// maxTokenFile is the most bytes of a token.
const maxTokenFile = 32 << 10

// tokenIn reads a token from a file.
func tokenIn(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTokenFile))
	token := strings.TrimSpace(string(text))
	switch {
	case err != nil:
		return "", err
	case token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", fmt.Errorf("%s holds no token: one line is asked for", path)
	}
	return token, nil
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

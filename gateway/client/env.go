package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
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
// Its error is a *ConfigError.
func FromEnv() (*Client, error) {
	c := New(os.Getenv("HSMGATE_URL"), os.Getenv("HSMGATE_TOKEN"))
	c.Region = os.Getenv("HSMGATE_REGION")
	switch u, err := url.Parse(c.URL); {
	case c.URL == "":
		return nil, &ConfigError{"HSMGATE_URL", true, "is not set"}
	case !strings.HasPrefix(c.URL, "http://") && !strings.HasPrefix(c.URL, "https://"):
		return nil, &ConfigError{"HSMGATE_URL", false, "has to begin with http:// or https://, such as https://host:port"}
	case err != nil || u.Host == "":
		return nil, &ConfigError{"HSMGATE_URL", false, "is not a URL of the form https://host:port"}
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, &ConfigError{"HSMGATE_URL", false, "holds more than https://host:port"}
	case c.Token == "":
		return nil, &ConfigError{"HSMGATE_TOKEN", true, "is not set"}
	case strings.Trim(c.Region, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
		return nil, &ConfigError{"HSMGATE_REGION", false, "is not a region, such as eu-central-1"}
	}
	if path := os.Getenv("HSMGATE_CA_FILE"); path != "" {
		pool, err := readCA(path)
		if err != nil {
			return nil, &ConfigError{"HSMGATE_CA_FILE", false, "does not name the certificate of a CA: " + err.Error()}
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

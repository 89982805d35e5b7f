package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"
)

const (
	fetchTimeout = 5 * time.Second // of a document, from the connection to its last byte
	maxDocument  = 1 << 20         // bytes
)

// checkURL asks for https, or for http on this machine.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.RawQuery != "" {
		return fmt.Errorf("%q is not a URL of the form https://host/path", text)
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return fmt.Errorf("%q: https is asked for, since who answers in the provider's place makes tokens; http is for loopback addresses alone", text)
	}
	return nil
}

// fetcher makes the function that fetches a provider's keys, from where the
// configuration, and nothing in a token, says.
func (p *provider) fetcher() (func(context.Context) (keySet, error), error) {
	client, err := newFetchClient(p.CAFile)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (keySet, error) {
		where := p.JWKSURL
		if where == "" {
			if where, err = discover(ctx, client, p.Issuer); err != nil {
				return nil, fmt.Errorf("%s: discovery: %w", p.Name, err)
			}
		}
		text, err := fetch(ctx, client, where)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
		keys, err := parseKeySet(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", p.Name, where, err)
		}
		return keys, nil
	}, nil
}

// CheckKeys finds the public keys of a provider, as the gateway does, and says how
// many there are.
func CheckKeys(ctx context.Context, c Provider, log *zap.Logger) (int, error) {
	ids := new(Identities)
	if err := ids.TrustProviders([]Provider{c}, log); err != nil {
		return 0, err
	}
	if keys, ok := ids.providers[0].keys.(*fileKeys); ok {
		set, err := keys.file.get()
		return len(set), err
	}
	set, err := ids.providers[0].keys.(*fetchedKeys).fetch(ctx)
	return len(set), err
}

// newFetchClient follows no redirect: the keys would then be somebody else's.
func newFetchClient(caFile string) (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", caFile)
		}
	}
	return &http.Client{
		Timeout:       fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
		},
	}, nil
}

// discover asks the issuer where its keys are (OpenID Connect Discovery 1.0,
// section 4).
func discover(ctx context.Context, client *http.Client, issuer string) (string, error) {
	text, err := fetch(ctx, client, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return "", err
	}
	var document struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	switch err := json.Unmarshal(text, &document); {
	case err != nil:
		return "", err
	case document.Issuer != issuer:
		return "", fmt.Errorf("the document is of the issuer %.200q", document.Issuer)
	case strings.HasPrefix(issuer, "https:") && !strings.HasPrefix(document.JWKSURI, "https:"):
		return "", fmt.Errorf("jwks_uri %.200q is not https", document.JWKSURI)
	}
	return document.JWKSURI, checkURL(document.JWKSURI)
}

func fetch(ctx context.Context, client *http.Client, where string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, where, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	response, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", where, response.Status)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	if err == nil && len(text) > maxDocument {
		err = errors.New("the answer is too long")
	}
	return text, err
}

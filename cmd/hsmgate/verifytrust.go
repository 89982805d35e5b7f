package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/format"
)

// trustFlags say whose signatures are good. One of them is given.
type trustFlags struct {
	publicKey, jwks, certificate, url string
	save                              string
}

func (t *trustFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&t.publicKey, "public-key", "", "file with public keys: checked here")
	c.Flags().StringVar(&t.jwks, "jwks", "", "file with a JSON Web Key Set or a key history: checked here")
	c.Flags().StringVar(&t.certificate, "certificate", "", "file with certificates, PEM: checked here")
	c.Flags().StringVar(&t.url, "trust", "", "https:// URL of a published key: fetched once, and checked here")
	c.Flags().StringVar(&t.save, "save", "", "file for the keys that --trust fetched, for --jwks")
}

func (t *trustFlags) count() int {
	return given(t.publicKey) + given(t.jwks) + given(t.certificate) + given(t.url)
}

// load reads the keys into v.
func (t *trustFlags) load(ctx context.Context, a *app, v *verifier) error {
	if t.save != "" && t.url == "" {
		return usagef("--save keeps what --trust fetches")
	}
	from, data, err := t.read(ctx, a)
	if err != nil {
		return err
	}
	var issuers []*x509.Certificate
	switch from {
	case t.publicKey:
		v.keys, err = parsePublicKeys(data)
	case t.certificate:
		v.keys, issuers, err = certificates(data)
	default:
		v.keys, err = parseWebKeys(data)
	}
	if err != nil && t.url != "" {
		return fmt.Errorf("%s: %w", from, err)
	}
	if err != nil {
		return usagef("%s: %w", from, err)
	}
	v.trust = &format.Trust{Issuers: issuers}
	for _, k := range v.keys {
		v.trust.Keys = append(v.trust.Keys, crypto.PublicKey(k.key))
	}
	if t.save != "" {
		return writeFile(t.save, data, newMode, false)
	}
	return nil
}

func (t *trustFlags) read(ctx context.Context, a *app) (from string, data []byte, err error) {
	if t.url != "" {
		data, err = fetchTrust(ctx, a, t.url)
		return t.url, data, err
	}
	from = t.publicKey + t.jwks + t.certificate // one of them
	data, err = readInput(from, maxTrust)
	return from, data, err
}

// fetchTrust gets the JWKS of a published key. The connection is what vouches for it, so that it is https, but for this
// machine, and leads nowhere else.
func fetchTrust(ctx context.Context, a *app, text string) ([]byte, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, usagef("--trust is a URL such as https://kms.example.org/public/keys/release, not %q", text)
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return nil, usagef("--trust is an https:// URL, since whoever is on the way of another could give his own keys; of this machine http:// will do")
	}
	if !strings.HasSuffix(u.Path, ".jwks") {
		u.Path = strings.TrimSuffix(u.Path, "/") + ".jwks"
	}
	c, err := plainHTTP(a)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, &usageError{err}
	}
	r.Header.Set("User-Agent", "hsmgate/"+version)
	answer, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusNotFound:
		return nil, api.Errorf(api.NotFound, "no key is published at %s", u)
	case answer.Header.Get("Location") != "":
		return nil, fmt.Errorf("%s is redirected to %s: name that with --trust, if it is to be trusted", u, answer.Header.Get("Location"))
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s answered %s", u, answer.Status)
	}
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxTrust+1))
	if err == nil && len(data) > maxTrust {
		err = fmt.Errorf("%s is longer than %d bytes", u, maxTrust)
	}
	return data, err
}

// plainHTTP sends no credential, and follows no redirect.
func plainHTTP(a *app) (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if ca := os.Getenv("HSMGATE_CA_FILE"); ca != "" {
		text, err := readInput(ca, maxTrust)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			return nil, usagef("HSMGATE_CA_FILE does not name the certificate of a CA in PEM")
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: transport, Timeout: a.timeout, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}, nil
}

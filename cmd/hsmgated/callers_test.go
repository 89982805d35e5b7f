package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/identity/identitytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// TestCallersOfADaemon: a daemon with everything takes client certificates and
// tokens of a provider by its configuration file, from the Go client by its environment.
func TestCallersOfADaemon(t *testing.T) {
	ca, issuer := identitytest.NewCA(t, "CA"), identitytest.NewIssuer(t)
	c := testConfig(t)
	dir := filepath.Dir(c.Store)
	crt, key := newPair(t)
	c.TLS = TLS{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")}
	lists := filepath.Join(dir, "clients.crl")
	write := func(path string, text []byte) {
		t.Helper()
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(c.TLS.CertFile, pem.EncodeToMemory(crt))
	write(c.TLS.KeyFile, pem.EncodeToMemory(key))
	write(lists, ca.CRL(time.Now().Add(time.Hour)))
	c.IdentityProviders = []identity.Provider{{Name: "ci", Preset: "github", Issuer: issuer.URL, Audiences: []string{"hsmgate"},
		Rules: []identity.ClaimRule{{Role: "release", Claims: map[string]string{"repository": "example/app"}}}}}
	c.ClientCertificates = identity.ClientCertificates{CAFile: ca.File, CRLFile: lists, Required: true,
		Rules: []identity.CertificateRule{{Role: "release", Subject: "CN=builder-*"}}}
	if err := c.check(); err != nil {
		t.Fatal(err)
	}
	s := start(t, c)
	if _, err := s.identities.CreateRole(t.Context(), "release", policy.RoleAdministrator, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := askReady(t.Context(), c); err != nil { // which shows the daemon's own certificate
		t.Errorf("healthcheck: %v", err)
	}

	builder := ca.Issue(func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "builder-7"} })
	certFile, keyFile := identitytest.Files(t, builder, dir)
	token := filepath.Join(dir, "token")
	env := map[string]string{"HSMGATE_URL": s.url, "HSMGATE_CA_FILE": c.TLS.CertFile, "HSMGATE_TOKEN": "", "HSMGATE_TOKEN_FILE": "",
		"HSMGATE_CERT_FILE": certFile, "HSMGATE_KEY_FILE": keyFile, "HSMGATE_REGION": ""}
	connect := func(variables ...string) *client.Client {
		t.Helper()
		for name, value := range env {
			t.Setenv(name, value)
		}
		for n := 0; n < len(variables); n += 2 {
			t.Setenv(variables[n], variables[n+1])
		}
		made, err := client.FromEnv()
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	list := func(c *client.Client) error {
		_, err := c.ListKeys(t.Context(), &api.ListKeysRequest{})
		return err
	}
	if err := list(connect()); err != nil {
		t.Errorf("by a certificate: %v", err)
	}
	write(token, []byte(issuer.Token(identitytest.GitHub(issuer.URL, "hsmgate", "example/app", "refs/heads/main", time.Now()))+"\n"))
	byToken := connect("HSMGATE_TOKEN_FILE", token)
	if err := list(byToken); err != nil {
		t.Errorf("by a token: %v", err)
	}
	write(token, []byte(issuer.Token(identitytest.GitHub(issuer.URL, "hsmgate", "example/other", "refs/heads/main", time.Now()))))
	if err := list(byToken); client.Code(err) != api.UnrecognizedClient {
		t.Errorf("by the token of another: %v", err)
	}
	if err := list(connect("HSMGATE_TOKEN", s.token, "HSMGATE_CERT_FILE", "", "HSMGATE_KEY_FILE", "")); err == nil || client.Code(err) != "" {
		t.Errorf("without a certificate: %v", err)
	}
	// The daemon's own certificate opens a connection, and is nobody.
	own, err := tls.LoadX509KeyPair(c.TLS.CertFile, c.TLS.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	self := connect()
	self.HTTP.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
	if err := list(self); client.Code(err) != api.UnrecognizedClient {
		t.Errorf("by the daemon's own: %v", err)
	}

	records, err := os.ReadFile(c.Audit.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"provider":"certificate","subject":"CN=builder-7"`, `"provider":"ci","subject":"repo:example/app:ref:refs/heads/main"`} {
		if !bytes.Contains(records, []byte(want)) {
			t.Errorf("no record has %s", want)
		}
	}

	found := func() string {
		f := &findings{}
		f.callers(t.Context(), c)
		var all strings.Builder
		for _, one := range f.list {
			all.WriteString(one.State + " " + one.What + " " + one.Detail + "\n")
		}
		return all.String()
	}
	if said := found(); !strings.Contains(said, "ok provider ci: 2 keys") || !strings.Contains(said, "ok clients revocation lists are good until") {
		t.Errorf("check says %s", said)
	}
	ca.Revoke(builder)
	write(lists, ca.CRL(time.Now().Add(time.Hour)))
	if err := list(connect()); err == nil || client.Code(err) != "" {
		t.Errorf("by a revoked certificate: %v", err)
	}
	write(lists, ca.CRL(time.Now().Add(-time.Hour)))
	issuer.Close()
	if said := found(); !strings.Contains(said, "needed provider") || !strings.Contains(said, "needed clients a revocation list is stale") {
		t.Errorf("check says %s", said)
	}
	s.stop()
	if err := <-s.done; err != nil && !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

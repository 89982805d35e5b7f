package rest_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/identity/identitytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// mutual is a gateway that asks for client certificates, with the role release and
// a key that this role may use from builder 1 alone.
type mutual struct {
	*gatewaytest.Gateway
	ca    *identitytest.CA
	lists string
	key   string
}

func newMutual(t *testing.T) *mutual {
	t.Helper()
	m := &mutual{ca: identitytest.NewCA(t, "CA"), lists: filepath.Join(t.TempDir(), "clients.crl")}
	m.publish(t)
	m.Gateway = gatewaytest.NewWith(t, gatewaytest.Options{Certificates: identity.ClientCertificates{
		CAFile: m.ca.File, CRLFile: m.lists, Rules: []identity.CertificateRule{{Role: "release", Subject: "CN=builder-*,O=Example"}},
	}})
	addRole(t, m.Gateway, "release")
	m.key = m.CreateKey(api.P256, api.SignVerify).KeyId
	setPolicy(m.Gateway, m.key, `{"StringEquals":{"hsmgate:CertificateSubject":"CN=builder-1,O=Example"},"ForAnyValue:StringLike":{"hsmgate:CertificateSAN":"dns:*.example.com"}}`)
	return m
}

func (m *mutual) publish(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(m.lists, m.ca.CRL(time.Now().Add(time.Hour)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (m *mutual) issue(name, organization string) tls.Certificate {
	return m.ca.Issue(func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: name, Organization: []string{organization}}
		c.DNSNames = []string{name + ".example.com"}
	})
}

// sign signs by the certificate of a client, or by a token where there is one.
func (m *mutual) sign(t *testing.T, c *http.Client, token string) gatewaytest.Answer {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, m.URL+"/v1/keys/"+m.key+"/sign", strings.NewReader(`{"Message":"aGVsbG8=","SigningAlgorithm":"ECDSA_SHA_256"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return m.Do(c, r)
}

// TestCallersByCertificate: without an Authorization header the certificate says
// who calls; with one, the header does, and conditions still see the certificate.
func TestCallersByCertificate(t *testing.T) {
	t.Parallel()
	m := newMutual(t)
	one, two := m.Client(m.issue("builder-1", "Example")), m.Client(m.issue("builder-2", "Example"))
	if a := m.sign(t, one, ""); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	records := outcomes(m.Gateway)
	if r := records[len(records)-1]; r.Provider != "certificate" || r.Subject != "CN=builder-1,O=Example" ||
		!strings.HasPrefix(r.Principal, "arn:aws:sts::"+gatewaytest.Account+":assumed-role/release/builder-1@") {
		t.Errorf("the record says %+v", r)
	}
	refusal(t, m.sign(t, two, ""), http.StatusForbidden, api.AccessDenied)
	before := len(m.Records())
	refusal(t, m.sign(t, m.Client(m.issue("builder-1", "Other")), ""), http.StatusUnauthorized, api.UnrecognizedClient)
	refusal(t, m.sign(t, m.Client(), ""), http.StatusUnauthorized, api.MissingAuthentication)
	refusal(t, m.sign(t, one, "hsmgate_wrong"), http.StatusUnauthorized, api.UnrecognizedClient)
	if n := len(m.Records()); n != before {
		t.Errorf("strangers left %d records", n-before)
	}

	user := m.Principal("user", policy.RoleUser)
	m.Call("PUT", "/v1/keys/"+m.key+"/policy", map[string]any{"Policy": `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + gatewaytest.Account + `:root"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Allow","Principal":{"AWS":"` + user.ARN + `"},"Action":"kms:Sign","Resource":"*",
		 "Condition":{"StringEquals":{"hsmgate:CertificateSubject":"CN=builder-1,O=Example"}}}]}`}, nil)
	if a := m.sign(t, one, user.Token); a.Status != http.StatusOK {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	records = outcomes(m.Gateway)
	if r := records[len(records)-1]; r.Principal != user.ARN || r.Provider != "" {
		t.Errorf("the record says %+v", r)
	}
	refusal(t, m.sign(t, two, user.Token), http.StatusForbidden, api.AccessDenied)
	refusal(t, m.sign(t, m.Client(), user.Token), http.StatusForbidden, api.AccessDenied)
	refusal(t, m.sign(t, one, ""), http.StatusForbidden, api.AccessDenied) // the role is out of the policy
}

// TestRevokedOnAnOpenConnection: not even a token helps then.
func TestRevokedOnAnOpenConnection(t *testing.T) {
	t.Parallel()
	m := newMutual(t)
	stolen := m.issue("builder-1", "Example")
	c := m.Client(stolen)
	if a := m.sign(t, c, ""); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	m.ca.Revoke(stolen)
	m.publish(t)
	for _, token := range []string{"", m.Admin.Token} {
		refusal(t, m.sign(t, c, token), http.StatusUnauthorized, api.UnrecognizedClient)
	}
	lines := m.Lines.FilterMessage("not authenticated").All()
	if cause, _ := lines[len(lines)-1].ContextMap()["cause"].(string); !strings.Contains(cause, "CN=builder-1") || !strings.Contains(cause, "it is revoked") {
		t.Errorf("the log says %q", cause)
	}
}

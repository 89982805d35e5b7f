package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hsmgate/hsmgate/gateway/identity/identitytest"
)

// mutual is a server that answers with the ARN of who calls by a certificate.
type mutual struct {
	*Identities
	server *httptest.Server
	lines  *observer.ObservedLogs
	ahead  atomic.Int64 // of the server's clock
}

func (m *mutual) now() time.Time { return time.Now().Add(time.Duration(m.ahead.Load())) }

func newMutual(t *testing.T, c ClientCertificates) *mutual {
	t.Helper()
	core, lines := observer.New(zap.InfoLevel)
	m := &mutual{Identities: withRole(t), lines: lines}
	ok(t, m.TrustCertificates(c, zap.New(core)))
	m.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cert, err := m.Certificate(r.TLS, m.now())
		if err == nil && cert == nil {
			_, _ = io.WriteString(w, "nobody")
			return
		}
		if err == nil {
			p, cause := m.CertificatePrincipal(cert, m.now())
			if err = cause; err == nil {
				_, _ = io.WriteString(w, p.ARN+" "+p.IdentityProvider+" "+p.IdentitySubject+" "+strings.Join(p.CertificateSANs, " "))
				return
			}
		}
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, err.Error())
	}))
	m.server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	m.ServerTLS(m.server.TLS, c.Required, m.now)
	m.server.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
	m.server.StartTLS()
	t.Cleanup(m.server.Close)
	return m
}

// client calls with these certificates.
func (m *mutual) client(version uint16, certs ...tls.Certificate) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(m.server.Certificate())
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: pool, Certificates: certs, MinVersion: version, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(8)}}}
}

// ask answers with the body, or with "refused" where there was no answer.
func (m *mutual) ask(t *testing.T, c *http.Client) string {
	t.Helper()
	resp, err := c.Get(m.server.URL)
	if err != nil {
		return "refused"
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ok(t, err)
	return string(body)
}

// builder is the certificate that the rules of these tests are for.
func builder(c *x509.Certificate) {
	c.Subject = pkix.Name{Organization: []string{"Example"}, CommonName: "builder-7"}
	c.DNSNames = []string{"builder-7.example.com"}
	c.URIs = []*url.URL{{Scheme: "spiffe", Host: "example", Path: "/ci/7"}}
}

var builders = []CertificateRule{{Role: "deploy", Subject: "CN=builder-*,O=Example", SANs: []string{"dns:builder-?.example.com", "uri:spiffe://example/ci/*"}}}

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	ca, other := identitytest.NewCA(t, "CA"), identitytest.NewCA(t, "CA")
	m := newMutual(t, ClientCertificates{CAFile: ca.File, Rules: builders})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		equal(t, m.ask(t, m.client(version, ca.Issue(builder))), "arn:aws:sts::123456789012:assumed-role/deploy/builder-7@"+serial(ca)+
			" certificate CN=builder-7,O=Example dns:builder-7.example.com uri:spiffe://example/ci/7")
		equal(t, m.ask(t, m.client(version)), "nobody")
		for name, change := range map[string]func(*x509.Certificate){
			"expired":      func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) },
			"not yet":      func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) },
			"for servers":  func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} },
			"for anything": func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} },
			"for nothing":  func(c *x509.Certificate) { c.ExtKeyUsage = nil },
			"not understood": func(c *x509.Certificate) {
				c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
			},
		} {
			equal(t, name+": "+m.ask(t, m.client(version, ca.Issue(func(c *x509.Certificate) { builder(c); change(c) }))), name+": refused")
		}
		equal(t, m.ask(t, m.client(version, other.Issue(builder))), "refused")
	}
	// One that ends while its connection is open.
	open := m.client(tls.VersionTLS13, ca.Issue(builder))
	if said := m.ask(t, open); !strings.HasPrefix(said, "arn:") {
		t.Fatal(said)
	}
	m.ahead.Store(int64(time.Hour + time.Second))
	if said := m.ask(t, open); !strings.Contains(said, "x509: certificate has expired") {
		t.Error(said)
	}
	m.ahead.Store(0)
	// A certificate that is good, and of nobody.
	for _, change := range []func(*x509.Certificate){
		func(c *x509.Certificate) { c.DNSNames = nil },
		func(c *x509.Certificate) { c.DNSNames = []string{"builder-77.example.com"} },
		func(c *x509.Certificate) { c.URIs = nil },
		func(c *x509.Certificate) { c.Subject.CommonName = "build-7" },
		func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{"Other"} },
		func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "builder-7,O=Example"} },
	} {
		if said := m.ask(t, m.client(tls.VersionTLS13, ca.Issue(func(c *x509.Certificate) { builder(c); change(c) }))); !strings.Contains(said, "no rule fits") {
			t.Error(said)
		}
	}
	ok(t, m.DeletePrincipal(t.Context(), m.RoleARN("deploy")))
	if said := m.ask(t, m.client(tls.VersionTLS13, ca.Issue(builder))); !strings.Contains(said, "role deploy") {
		t.Error(said)
	}
}

// serial is that of the last certificate, in hex.
func serial(ca *identitytest.CA) string { return ca.Last.SerialNumber.Text(16) }

// TestRequiredCertificates: without one there is no connection.
func TestRequiredCertificates(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "CA")
	m := newMutual(t, ClientCertificates{CAFile: ca.File, Rules: builders, Required: true})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		equal(t, m.ask(t, m.client(version)), "refused")
		if said := m.ask(t, m.client(version, ca.Issue(builder))); !strings.HasPrefix(said, "arn:") {
			t.Error(said)
		}
	}
}

// TestRevoked: a certificate ends with the list that names it, on connections that
// are open and on sessions that are resumed, too.
func TestRevoked(t *testing.T) {
	t.Parallel()
	ca, other := identitytest.NewCA(t, "CA"), identitytest.NewCA(t, "CA")
	far := time.Now().Add(24 * time.Hour)
	lists := writeFile(t, "clients.crl", append(other.CRL(far), ca.CRL(far)...)) // one of the same name, and another key
	m := newMutual(t, ClientCertificates{CAFile: ca.File, CRLFile: lists, Rules: builders})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		stolen, good := ca.Issue(builder), ca.Issue(builder)
		open, resumes, fresh := m.client(version, stolen), m.client(version, stolen), m.client(version, good)
		for _, c := range []*http.Client{open, resumes, fresh} {
			if said := m.ask(t, c); !strings.HasPrefix(said, "arn:") {
				t.Fatal(said)
			}
		}
		resumes.CloseIdleConnections()
		other.Revoke(good)
		ok(t, os.WriteFile(lists, append(other.CRL(far), ca.CRL(far)...), 0o600))
		equal(t, resumed(t, m, resumes), true) // that there is something to resume
		ca.Revoke(stolen)
		ok(t, os.WriteFile(lists, append(other.CRL(far), ca.CRL(far)...), 0o600))
		if said := m.ask(t, open); !strings.Contains(said, "it is revoked") {
			t.Errorf("on an open connection: %s", said)
		}
		equal(t, m.ask(t, resumes), "refused")
		equal(t, m.ask(t, m.client(version, stolen)), "refused")
		if said := m.ask(t, fresh); !strings.HasPrefix(said, "arn:") {
			t.Error(said)
		}
	}
}

// resumed makes a new connection of a client and says whether it resumed a session.
func resumed(t *testing.T, m *mutual, c *http.Client) bool {
	t.Helper()
	resp, err := c.Get(m.server.URL)
	ok(t, err)
	defer resp.Body.Close()
	_, err = io.ReadAll(resp.Body)
	ok(t, err)
	c.CloseIdleConnections()
	return resp.TLS.DidResume
}

// TestStaleList: nobody is let in by a list that is past its time, or is not there.
func TestStaleList(t *testing.T) {
	t.Parallel()
	ca, other := identitytest.NewCA(t, "CA"), identitytest.NewCA(t, "another")
	next := time.Now().Add(time.Hour)
	lists := writeFile(t, "clients.crl", ca.CRL(next))
	m := newMutual(t, ClientCertificates{CAFile: ca.File, CRLFile: lists, Rules: builders})
	long := ca.Issue(func(c *x509.Certificate) { builder(c); c.NotAfter = next.Add(24 * time.Hour) })
	open := m.client(tls.VersionTLS13, long)
	if said := m.ask(t, open); !strings.HasPrefix(said, "arn:") {
		t.Fatal(said)
	}
	m.ahead.Store(int64(time.Hour + time.Minute))
	if said := m.ask(t, open); !strings.Contains(said, "is stale since") {
		t.Errorf("on an open connection: %s", said)
	}
	equal(t, m.ask(t, m.client(tls.VersionTLS13, long)), "refused")
	if last := m.lines.FilterMessage("a connection is refused").All(); len(last) != 1 || !strings.Contains(last[0].ContextMap()["error"].(string), "stale since") {
		t.Errorf("the log says %v", last)
	}
	ok(t, os.WriteFile(lists, ca.CRL(next.Add(24*time.Hour)), 0o600))
	if said := m.ask(t, m.client(tls.VersionTLS13, long)); !strings.HasPrefix(said, "arn:") {
		t.Errorf("with a new list: %s", said)
	}
	// What cannot be read changes nothing; a list of another CA alone says nothing of this one.
	ok(t, os.WriteFile(lists, []byte("-----BEGIN"), 0o600))
	if said := m.ask(t, m.client(tls.VersionTLS13, long)); !strings.HasPrefix(said, "arn:") {
		t.Errorf("with half a file: %s", said)
	}
	ok(t, os.WriteFile(lists, other.CRL(next.Add(24*time.Hour)), 0o600))
	equal(t, m.ask(t, m.client(tls.VersionTLS13, long)), "refused")
	ok(t, os.WriteFile(lists, ca.CRL(next.Add(24*365*time.Hour)), 0o600)) // begins later
	equal(t, m.ask(t, m.client(tls.VersionTLS13, long)), "refused")
}

// TestCAChanges: a CA that is taken out of the file ends its certificates.
func TestCAChanges(t *testing.T) {
	t.Parallel()
	ca, other := identitytest.NewCA(t, "CA"), identitytest.NewCA(t, "another")
	both, err := os.ReadFile(ca.File)
	ok(t, err)
	one, err := os.ReadFile(other.File)
	ok(t, err)
	file := writeFile(t, "ca.pem", append(both, one...))
	m := newMutual(t, ClientCertificates{CAFile: file, Rules: builders})
	open := m.client(tls.VersionTLS13, ca.Issue(builder))
	if said := m.ask(t, open); !strings.HasPrefix(said, "arn:") {
		t.Fatal(said)
	}
	ok(t, os.WriteFile(file, one, 0o600))
	if said := m.ask(t, open); !strings.Contains(said, "unknown authority") {
		t.Error(said)
	}
}

// TestRevocationFiles: a list that is not the whole truth is refused at the start.
func TestRevocationFiles(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "CA")
	block, _ := pem.Decode(ca.CRL(time.Now().Add(time.Hour)))
	if lists, err := parseRevocationLists(block.Bytes); err != nil || len(lists) != 1 {
		t.Errorf("DER: %v", err)
	}
	delta := ca.List(func(l *x509.RevocationList) {
		l.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}
	})
	certificate, err := os.ReadFile(ca.File)
	ok(t, err)
	for why, text := range map[string][]byte{"critical extension": delta, "of type \"CERTIFICATE\"": certificate, "": {}} {
		err := withRole(t).TrustCertificates(ClientCertificates{CAFile: ca.File, CRLFile: writeFile(t, "crl", text)}, zap.NewNop())
		if err == nil || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), "crl_file") {
			t.Errorf("%s: %v", why, err)
		}
	}
	leaf := ca.Issue(nil)
	for _, text := range [][]byte{{}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Leaf.Raw})} {
		if err := withRole(t).TrustCertificates(ClientCertificates{CAFile: writeFile(t, "ca", text)}, zap.NewNop()); err == nil {
			t.Errorf("%q is a CA", text)
		}
	}
}

// TestHandshakeThatIsCut: what never became a connection is nobody's.
func TestHandshakeThatIsCut(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "CA")
	m := newMutual(t, ClientCertificates{CAFile: ca.File, Rules: builders})
	conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", m.server.Listener.Addr().String())
	ok(t, err)
	_, err = conn.Write([]byte{22, 3, 1, 0, 5})
	ok(t, err)
	ok(t, conn.Close())
	if said := m.ask(t, m.client(tls.VersionTLS13, ca.Issue(builder))); !strings.HasPrefix(said, "arn:") {
		t.Error(said)
	}
}

// Package gatewaytest runs a whole gateway in a test: a real SoftHSM token, a
// real database and a real audit log, with both faces on a loopback port.
package gatewaytest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/awskms"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/rest"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/gateway/watch"
	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// Account and Region stand in every ARN of a test gateway.
const (
	Account = "111122223333"
	Region  = "eu-central-1"
)

// Name is that of the process, unless the options have another.
const Name = "one"

// lifetime of a credential outlasts every wait for a deletion or a rotation.
const lifetime = 10 * 365 * 24 * time.Hour

// Credentials are what a caller needs for either face.
type Credentials struct {
	ARN             string
	Token           string // bearer
	AccessKeyID     string
	SecretAccessKey string
}

// TokenID is the part of the bearer token that is no secret, by which it is listed and recorded.
func (c Credentials) TokenID() string { return strings.Split(c.Token, "_")[1] }

// Gateway is a running gateway.
type Gateway struct {
	URL        string
	Admin      Credentials
	AuditPath  string
	StorePath  string // of a SQLite database
	StoreDSN   string // of a PostgreSQL database
	Service    *gateway.Service
	Token      *hsm.Token
	TokenAt    hsm.Config
	Store      *store.Store
	Identities *identity.Identities
	Audit      *audit.Log
	Lines      *observer.ObservedLogs // the operations log

	server *httptest.Server
	seal   []byte
	t      testing.TB
	mu     sync.Mutex
	clock  time.Duration // how far the gateway's clock is ahead
}

// Options change a gateway from what New starts. The zero value changes nothing.
type Options struct {
	Token   hsm.Config   // default: a new SoftHSM token
	Trusted []*net.IPNet // proxies whose X-Forwarded-For is believed
	Log     *zap.Logger  // in place of Gateway.Lines
	// Rotation is how keys get new versions.
	Rotation gateway.Rotation
	Quotas   gateway.Quotas
	Limits   gateway.Limits
	Series   gateway.Series
	Tracer   trace.Tracer
	// TrustTraces has the traces of callers go on.
	TrustTraces bool
	// Idempotency is how answers are kept.
	Idempotency gateway.Idempotency
	// Imports is how key material is brought in.
	Imports gateway.Imports

	Providers []identity.Provider // whose tokens are accepted
	Sessions  gateway.Sessions
	// Certificates has the gateway serve TLS and ask for client certificates.
	Certificates identity.ClientCertificates

	AuditLog audit.Options
	Tree     *gateway.Tree // over the audit log, whose path it is given; nil: none

	KeyStores map[string]hsm.Config // further tokens
	Regions   []string              // further regions

	Watch watch.Settings

	StoreDSN   string        // a PostgreSQL database; see storetest.DSN
	StorePath  string        // a SQLite database; default: a new one
	Name       string        // of the process; default Name
	StaleLimit time.Duration // see gateway.Config
	Beside     *Gateway      // another process with the same token, database and seal key, whose administrator this one has
}

// openStore opens the database that the options name.
func (o Options) openStore(ctx context.Context) (*store.Store, error) {
	if o.StoreDSN != "" {
		return store.OpenPostgres(ctx, o.StoreDSN, Region)
	}
	return store.Open(ctx, o.StorePath, Region)
}

// New starts a gateway and stops it with the test.
func New(t testing.TB) *Gateway {
	t.Helper()
	return NewWith(t, Options{})
}

// NewOn starts a gateway on a token of the test's own choice.
func NewOn(t testing.TB, token hsm.Config) *Gateway {
	t.Helper()
	return NewWith(t, Options{Token: token})
}

// NewWith starts a gateway with options.
func NewWith(t testing.TB, o Options) *Gateway {
	t.Helper()
	if b := o.Beside; b != nil {
		o.Token, o.StoreDSN, o.StorePath = b.TokenAt, b.StoreDSN, b.StorePath
	}
	if o.Name == "" {
		o.Name = Name
	}
	if o.Token.Module == "" {
		o.Token = hsmtest.NewToken(t)
	}
	dir := t.TempDir()
	if o.StorePath == "" {
		o.StorePath = filepath.Join(dir, "hsmgate.db")
	}
	core, lines := observer.New(zapcore.InfoLevel)
	log := zap.New(core)
	if o.Log != nil {
		log = o.Log
	}
	g := &Gateway{t: t, Lines: lines, AuditPath: filepath.Join(dir, "audit.log"), StorePath: o.StorePath, StoreDSN: o.StoreDSN, TokenAt: o.Token}
	ctx := context.Background()

	var err error
	g.Token = hsmtest.Open(t, o.Token)
	g.Store, err = o.openStore(ctx)
	must(t, err)
	t.Cleanup(func() { _ = g.Store.Close() })
	g.Audit, err = audit.Open(g.AuditPath, o.AuditLog)
	must(t, err)
	t.Cleanup(func() { _ = g.Audit.Close() })
	if o.Beside != nil {
		g.seal = o.Beside.seal
	} else {
		g.seal, err = identity.CreateSealKey(filepath.Join(dir, "seal.key"))
		must(t, err)
	}
	g.Identities, err = identity.New(g.Store, g.seal, Account)
	must(t, err)
	must(t, g.Identities.TrustProviders(o.Providers, log))
	if o.Certificates.Configured() {
		must(t, g.Identities.TrustCertificates(o.Certificates, log))
	}

	var tree gateway.Tree
	if o.Tree != nil {
		tree = *o.Tree
		tree.Path = g.AuditPath
	}
	registry := prometheus.NewRegistry()
	g.Service = gateway.New(gateway.Config{
		Name: o.Name, StaleLimit: o.StaleLimit, Names: gateway.Names{Account: Account, Region: Region},
		Store: g.Store, Token: g.Token, Audit: g.Audit, Log: log, Metrics: registry, Now: g.Now, Rotation: o.Rotation, Quotas: o.Quotas, Limits: o.Limits,
		Idempotency: o.Idempotency, Series: o.Series, Tracer: o.Tracer,
		Imports: o.Imports, KeyStores: o.KeyStores, Regions: o.Regions, Identities: g.Identities, Sessions: o.Sessions, Watch: o.Watch, Tree: tree,
	})
	t.Cleanup(func() {
		end, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		_ = errors.Join(g.Service.EndTree(end), g.Service.Close())
	})
	must(t, g.Service.Start(ctx))
	address := rest.ClientAddress(o.Trusted)
	aws := awskms.Config{Service: g.Service, Identities: g.Identities, Regions: g.Service.Regions(), Address: address, Log: log, Now: g.Now}
	g.server = httptest.NewUnstartedServer(rest.New(rest.Config{
		Service: g.Service, Identities: g.Identities, AWS: awskms.New(aws), SigV4: awskms.Verifier(aws), Log: log, Registry: registry, Address: address, Now: g.Now,
		Traced: o.Tracer != nil, TrustTraces: o.TrustTraces,
	}))
	g.startServer(o.Certificates, log)
	t.Cleanup(g.server.Close)
	g.URL = g.server.URL
	if o.Beside != nil {
		g.Admin = o.Beside.Admin
	} else {
		g.Admin = g.Principal("admin", policy.RoleAdministrator)
	}
	return g
}

// startServer serves TLS where client certificates are asked for.
func (g *Gateway) startServer(c identity.ClientCertificates, log *zap.Logger) {
	if !c.Configured() {
		g.server.Start()
		return
	}
	g.server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	g.server.Config.ErrorLog = zap.NewStdLog(log)
	g.Identities.ServerTLS(g.server.TLS, c.Required, g.Now)
	g.server.StartTLS()
}

// Client is an HTTP client that trusts the gateway and has these certificates. Each
// is a connection of its own.
func (g *Gateway) Client(certs ...tls.Certificate) *http.Client {
	g.t.Helper()
	transport := g.server.Client().Transport.(*http.Transport).Clone()
	if transport.TLSClientConfig == nil {
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	transport.TLSClientConfig.Certificates = certs
	g.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// Another starts a second service on the same parts, as after a crash of the first.
func (g *Gateway) Another(t testing.TB) *gateway.Service {
	t.Helper()
	s := gateway.New(gateway.Config{
		Name: Name, Names: gateway.Names{Account: Account, Region: Region},
		Store: g.Store, Token: g.Token, Audit: g.Audit, Log: zap.NewNop(), Metrics: prometheus.NewRegistry(), Now: g.Now,
	})
	must(t, s.Start(context.Background()))
	return s
}

// Now is the gateway's clock.
func (g *Gateway) Now() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Now().Add(g.clock)
}

// Advance sets the gateway's clock forward.
func (g *Gateway) Advance(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.clock += d
}

// Principal makes a principal with a bearer token and an access key.
func (g *Gateway) Principal(name string, role policy.Role, keys ...string) Credentials {
	g.t.Helper()
	ctx, now := context.Background(), g.Now()
	p, err := g.Identities.CreatePrincipal(ctx, name, role, keys, now)
	must(g.t, err)
	c := Credentials{ARN: p.ARN}
	c.Token, err = g.Identities.IssueBearer(ctx, p.ARN, lifetime, now)
	must(g.t, err)
	c.AccessKeyID, c.SecretAccessKey, err = g.Identities.IssueAccessKey(ctx, p.ARN, lifetime, now)
	must(g.t, err)
	return c
}

// Answer is a response with its body read.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Code is the error code of a problem document, "" where there is none.
func (a Answer) Code() string {
	var p struct{ Code string }
	if json.Unmarshal(a.Body, &p) != nil {
		return ""
	}
	return p.Code
}

// Send sends a request as the holder of the token; "" sends none. A body that
// is no string, []byte or io.Reader is sent as JSON.
func (g *Gateway) Send(token, method, path string, body any, header ...string) Answer {
	g.t.Helper()
	var reader io.Reader
	isJSON := false
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	case []byte:
		reader = bytes.NewReader(b)
	case io.Reader:
		reader = b
	default:
		encoded, err := json.Marshal(b)
		must(g.t, err)
		reader, isJSON = bytes.NewReader(encoded), true
	}
	r, err := http.NewRequest(method, g.URL+path, reader)
	must(g.t, err)
	if isJSON {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return g.Do(g.server.Client(), r)
}

// Do sends a request and reads the answer.
func (g *Gateway) Do(c *http.Client, r *http.Request) Answer {
	g.t.Helper()
	response, err := c.Do(r)
	must(g.t, err)
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	must(g.t, err)
	return Answer{Status: response.StatusCode, Header: response.Header, Body: read}
}

// Call sends a request as the administrator and decodes the answer, which must
// be 200.
func (g *Gateway) Call(method, path string, body, out any) {
	g.t.Helper()
	a := g.Send(g.Admin.Token, method, path, body)
	if a.Status != http.StatusOK {
		g.t.Fatalf("%s %s: %d %s", method, path, a.Status, a.Body)
	}
	if out != nil {
		must(g.t, json.Unmarshal(a.Body, out))
	}
}

// CreateKey makes a key and returns its metadata.
func (g *Gateway) CreateKey(spec api.KeySpec, usage api.KeyUsage) *api.KeyMetadata {
	g.t.Helper()
	var out api.CreateKeyResponse
	g.Call("POST", "/v1/keys", api.CreateKeyRequest{KeySpec: spec, KeyUsage: usage}, &out)
	return out.KeyMetadata
}

// Records reads the audit log.
func (g *Gateway) Records() []audit.Record {
	g.t.Helper()
	data, err := os.ReadFile(g.AuditPath)
	must(g.t, err)
	var records []audit.Record
	for _, line := range bytes.Split(bytes.TrimSpace(data), []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		var r audit.Record
		must(g.t, json.Unmarshal(line, &r))
		records = append(records, r)
	}
	return records
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

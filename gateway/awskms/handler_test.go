package awskms_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/awskms"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

const json11 = "application/x-amz-json-1.1"

// face is the AWS face of a gateway, with what it counts and logs.
type face struct {
	*gatewaytest.Gateway
	http.Handler
	lines *observer.ObservedLogs

	mu       sync.Mutex
	failures []string
}

func newFace(t testing.TB) *face {
	t.Helper()
	return newFaceWith(t, gatewaytest.Options{})
}

func newFaceWith(t testing.TB, o gatewaytest.Options) *face {
	t.Helper()
	core, lines := observer.New(zapcore.DebugLevel)
	f := &face{Gateway: gatewaytest.NewWith(t, o), lines: lines}
	f.Handler = awskms.New(awskms.Config{
		Service: f.Service, Identities: f.Identities, Regions: []string{gatewaytest.Region}, Log: zap.New(core), Now: f.Now,
		Address: func(*http.Request) string { return "192.0.2.7" },
		AuthFailures: func(reason string) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.failures = append(f.failures, reason)
		},
	})
	return f
}

// sign signs a request for target as the holder of c; a nil c leaves it unsigned.
func (f *face) sign(c *gatewaytest.Credentials, target, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "http://kms.example/", strings.NewReader(body))
	r.Header.Set("Content-Type", json11)
	r.Header.Set("X-Amz-Target", target)
	r.Header.Set("User-Agent", "test")
	if c != nil {
		sum := sha256.Sum256([]byte(body))
		credentials := aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey}
		err := v4.NewSigner().SignHTTP(context.Background(), credentials, r, hex.EncodeToString(sum[:]), "kms", gatewaytest.Region, f.Now())
		if err != nil {
			panic(err)
		}
	}
	return r
}

// answer is what a client sees.
type answer struct {
	status    int
	requestID string
	receipt   string // of the audit record
	code      string
	message   string
	body      []byte
}

func (f *face) do(t testing.TB, r *http.Request) answer {
	t.Helper()
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	a := answer{status: w.Code, body: w.Body.Bytes(), requestID: w.Header().Get("x-amzn-RequestId"), receipt: w.Header().Get("Hsmgate-Audit-Record")}
	if got := w.Header().Get("Content-Type"); got != json11 {
		t.Errorf("Content-Type %q", got)
	}
	if len(a.requestID) != 36 {
		t.Errorf("request id %q", a.requestID)
	}
	var e struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(a.body, &e); err != nil {
		t.Errorf("the body is not JSON: %q", a.body)
	}
	a.code, a.message = e.Type, e.Message
	return a
}

// newRecords returns the audit records that do leaves.
func (f *face) newRecords(do func()) []audit.Record {
	before := len(f.Records())
	do()
	return f.Records()[before:]
}

func TestCallAndRecord(t *testing.T) {
	f := newFace(t)
	var a answer
	records := f.newRecords(func() { a = f.do(t, f.sign(&f.Admin, "TrentService.ListKeys", "{}")) })
	if a.status != 200 || string(a.body) != `{"Keys":[],"Truncated":false}` {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if len(records) != 1 {
		t.Fatalf("%d records", len(records))
	}
	r := records[0]
	if end := f.Audit.Head(); a.receipt != end.String() || end.Seq != r.Seq {
		t.Errorf("the answer names record %q, not %s", a.receipt, end)
	}
	if r.RequestID != a.requestID || r.Face != "aws" || r.Principal != f.Admin.ARN || r.CredentialID != f.Admin.AccessKeyID || r.SourceAddress != "192.0.2.7" ||
		r.UserAgent != "test" || r.Operation != "ListKeys" || r.Outcome != "allowed" {
		t.Errorf("record %+v", r)
	}
}

// What is wrong is told in AWS's order: the body, the target, the authentication,
// the service. A call that is authenticated leaves one record whatever is wrong;
// one that is not leaves none, but a line and a count.
func TestOrderOfErrors(t *testing.T) {
	f := newFace(t)
	user := f.Principal("user", policy.RoleUser)
	wrong := f.Admin
	wrong.SecretAccessKey = "x"
	const list, unknown, elsewhere = "TrentService.ListKeys", "TrentService.StealKey", "TrentService.GetKeyHistory"
	for _, c := range []struct {
		name         string
		as           *gatewaytest.Credentials
		target, body string
		code         api.Code
		operation    string // in the one record; "" for no record
		outcome      api.Outcome
		failure      string // counted
	}{
		{"body before all", nil, unknown, "{", api.Serialization, "", "", "missing"},
		{"body before authentication", &wrong, list, "[]", api.Serialization, "", "", "wrong_signature"},
		{"type before authentication", nil, list, `{"Limit":"5"}`, api.Serialization, "", "", "missing"},
		{"target before authentication", nil, unknown, "{}", api.UnknownOperation, "", "", "missing"},
		{"target before signature", &wrong, unknown, "{}", api.UnknownOperation, "", "", "wrong_signature"},
		{"authentication before members", nil, list, `{"Limit":0}`, api.MissingAuthentication, "", "", "missing"},
		{"signature before members", &wrong, list, `{"Limit":0}`, api.InvalidSignature, "", "", "wrong_signature"},
		{"bad body", &f.Admin, list, "{", api.Serialization, "ListKeys", api.Invalid, ""},
		{"wrong type", &f.Admin, list, `{"Limit":"5"}`, api.Serialization, "ListKeys", api.Invalid, ""},
		{"bad body of an unknown operation", &f.Admin, unknown, "{", api.Serialization, "UnknownOperation", api.Invalid, ""},
		{"unknown operation", &f.Admin, unknown, "{}", api.UnknownOperation, "UnknownOperation", api.Invalid, ""},
		{"operation of REST alone", &f.Admin, elsewhere, "{}", api.UnknownOperation, "UnknownOperation", api.Invalid, ""},
		{"members", &f.Admin, list, `{"Limit":0}`, api.Validation, "ListKeys", api.Invalid, ""},
		{"not allowed", &user, "TrentService.CreateKey", `{"KeySpec":"ECC_NIST_P256","KeyUsage":"SIGN_VERIFY"}`, api.AccessDenied, "CreateKey", api.Denied, ""},
		{"no such key", &f.Admin, "TrentService.DescribeKey", `{"KeyId":"1234abcd-12ab-34cd-56ef-1234567890ab"}`, api.NotFound, "DescribeKey", api.Invalid, ""},
		{"allowed", &f.Admin, list, "", "", "ListKeys", api.Allowed, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.failures = nil
			f.lines.TakeAll()
			var a answer
			records := f.newRecords(func() { a = f.do(t, f.sign(c.as, c.target, c.body)) })
			if a.code != string(c.code) || a.status == 500 {
				t.Errorf("%d %s", a.status, a.body)
			}
			checkRecord(t, records, c.operation, c.outcome, c.code)
			lines := f.lines.TakeAll()
			if c.failure == "" {
				if len(f.failures) != 0 || len(lines) != 0 {
					t.Errorf("counted %q, logged %v", f.failures, lines)
				}
				return
			}
			if len(f.failures) != 1 || f.failures[0] != c.failure || len(lines) != 1 {
				t.Fatalf("counted %q, logged %v, want one %s", f.failures, lines, c.failure)
			}
			m := lines[0].ContextMap()
			if m["reason"] != c.failure || m["requestId"] != a.requestID || m["sourceAddress"] != "192.0.2.7" {
				t.Errorf("line %v", m)
			}
		})
	}
}

func checkRecord(t *testing.T, records []audit.Record, operation string, outcome api.Outcome, code api.Code) {
	t.Helper()
	if operation == "" {
		if len(records) != 0 {
			t.Errorf("a stranger's call left %+v", records)
		}
		return
	}
	if len(records) != 1 {
		t.Fatalf("%d records: %+v", len(records), records)
	}
	if r := records[0]; r.Operation != operation || r.Outcome != string(outcome) || r.ErrorCode != string(code) {
		t.Errorf("record %+v, want %s %s %s", r, operation, outcome, code)
	}
}

// Each operation of the table is reached by its target, and what a stranger asks
// of it is refused before anything else.
func TestEveryOperationIsServed(t *testing.T) {
	f := newFace(t)
	for _, op := range gateway.Ops {
		target := "TrentService." + op.Name
		if op.BeyondKMS() {
			if a := f.do(t, f.sign(&f.Admin, target, "{}")); a.code != string(api.UnknownOperation) {
				t.Errorf("%s, which AWS KMS does not have: %s", op.Name, a.body)
			}
			continue
		}
		if a := f.do(t, f.sign(nil, target, "{}")); a.code != string(api.MissingAuthentication) {
			t.Errorf("%s without a signature: %s", op.Name, a.body)
		}
		var a answer
		records := f.newRecords(func() { a = f.do(t, f.sign(&f.Admin, target, `{"Unknown":1,"KeySpec":"SM2"}`)) })
		if a.code == string(api.UnknownOperation) || a.status >= 500 {
			t.Errorf("%s: %d %s", op.Name, a.status, a.body)
		}
		if len(records) == 0 || records[len(records)-1].Operation != op.Name { // CreateKey makes a key, and leaves two
			t.Errorf("%s: records %+v", op.Name, records)
		}
	}
}

func TestOnlyPostToTheRoot(t *testing.T) {
	f := newFace(t)
	for _, c := range []struct{ method, url string }{{"GET", "http://kms.example/"}, {"PUT", "http://kms.example/"}, {"POST", "http://kms.example/v1/keys"}} {
		r := f.sign(&f.Admin, "TrentService.ListKeys", "{}")
		other := httptest.NewRequest(c.method, c.url, strings.NewReader("{}"))
		other.Header = r.Header
		if a := f.do(t, other); a.status != 400 || a.code != string(api.UnknownOperation) {
			t.Errorf("%s %s: %d %s", c.method, c.url, a.status, a.body)
		}
	}
}

func TestBodyLimit(t *testing.T) {
	f := newFace(t)
	full := `{"Unknown":"` + strings.Repeat("a", awskms.MaxBody-14) + `"}`
	if a := f.do(t, f.sign(&f.Admin, "TrentService.ListKeys", full)); a.status != 200 {
		t.Errorf("%d bytes: %d %.200s", len(full), a.status, a.body)
	}
	chunked := f.sign(&f.Admin, "TrentService.ListKeys", "{}")
	chunked.ContentLength = -1
	chunked.Header.Set("Authorization", strings.Replace(chunked.Header.Get("Authorization"), "content-length;", "", 1))
	if a := f.do(t, chunked); a.code != string(api.InvalidSignature) { // it was signed with its length
		t.Errorf("length no longer signed: %s", a.body)
	}

	read := 0
	for name, r := range map[string]*http.Request{
		"announced":   f.sign(&f.Admin, "TrentService.ListKeys", full+" "),
		"unannounced": f.sign(&f.Admin, "TrentService.ListKeys", full+" "),
	} {
		if name == "announced" {
			r.Body = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF)) // must not be read
		} else {
			r.ContentLength = -1
			r.Body = io.NopCloser(&counting{strings.NewReader(full + strings.Repeat(" ", 1<<20)), &read})
		}
		var a answer
		records := f.newRecords(func() { a = f.do(t, r) })
		if a.status != 400 || a.code != string(api.RequestEntityTooLarge) || len(records) != 0 {
			t.Errorf("%s: %d %s, %d records", name, a.status, a.body, len(records))
		}
	}
	if read > awskms.MaxBody+1024 {
		t.Errorf("%d bytes of an endless body were read", read)
	}
}

type counting struct {
	io.Reader
	n *int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	*c.n += n
	return n, err
}

// A body without an announced length is as good as any.
func TestChunkedBody(t *testing.T) {
	f := newFace(t)
	r, err := http.NewRequest(http.MethodPost, f.URL+"/", struct{ io.Reader }{strings.NewReader("{}")})
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", json11)
	r.Header.Set("X-Amz-Target", "TrentService.ListKeys")
	sum := sha256.Sum256([]byte("{}"))
	credentials := aws.Credentials{AccessKeyID: f.Admin.AccessKeyID, SecretAccessKey: f.Admin.SecretAccessKey}
	if err := v4.NewSigner().SignHTTP(context.Background(), credentials, r, hex.EncodeToString(sum[:]), "kms", gatewaytest.Region, f.Now()); err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK || !bytes.HasPrefix(body, []byte(`{"Keys":`)) {
		t.Errorf("%d %s", response.StatusCode, body)
	}
}

// Over TLS, clients may choose HTTP/2, where the host has another place.
func TestHTTP2(t *testing.T) {
	f := newFace(t)
	server := httptest.NewUnstartedServer(f.Handler)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	r, err := http.NewRequest(http.MethodPost, server.URL+"/", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = f.sign(nil, "TrentService.ListKeys", "{}").Header
	sum := sha256.Sum256([]byte("{}"))
	credentials := aws.Credentials{AccessKeyID: f.Admin.AccessKeyID, SecretAccessKey: f.Admin.SecretAccessKey}
	if err := v4.NewSigner().SignHTTP(context.Background(), credentials, r, hex.EncodeToString(sum[:]), "kms", gatewaytest.Region, f.Now()); err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK || response.ProtoMajor != 2 {
		t.Errorf("%s %d %s", response.Proto, response.StatusCode, body)
	}
}

// A client that goes away within its body gets an answer, if it listens still,
// and leaves no record.
func TestBodyCutShort(t *testing.T) {
	f := newFace(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: "+json11+"\r\nX-Amz-Target: TrentService.ListKeys\r\nContent-Length: 10\r\n\r\n{}")
	if err != nil {
		t.Fatal(err)
	}
	var answered []byte
	records := f.newRecords(func() {
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		answered, _ = io.ReadAll(conn)
	})
	if !bytes.Contains(answered, []byte(`"__type":"SerializationException"`)) || len(records) != 0 {
		t.Errorf("%q, %d records", answered, len(records))
	}
}

// The secret, and credentials that were sent by mistake, are in no answer and in
// no log.
func TestNoSecretIsRepeated(t *testing.T) {
	f := newFace(t)
	requests := []*http.Request{f.sign(&f.Admin, "TrentService.ListKeys", "{}"), f.sign(&f.Admin, "TrentService.Steal", "{}")}
	bearer := f.sign(nil, "TrentService.ListKeys", "{}")
	bearer.Header.Set("Authorization", "Bearer "+f.Admin.Token)
	session := f.sign(&f.Admin, "TrentService.ListKeys", "{}")
	session.Header.Set("X-Amz-Security-Token", f.Admin.Token)
	for _, r := range append(requests, bearer, session) {
		signature := r.Header.Get("Authorization")
		_, signature, _ = strings.Cut(signature, "Signature=")
		a := f.do(t, r)
		seen := string(a.body)
		for _, line := range append(f.lines.All(), f.Lines.All()...) {
			encoded, err := json.Marshal(line.ContextMap())
			if err != nil {
				t.Fatal(err)
			}
			seen += line.Message + string(encoded)
		}
		for _, secret := range []string{f.Admin.SecretAccessKey, f.Admin.Token, signature} {
			if secret != "" && strings.Contains(seen, secret) {
				t.Errorf("%q stands in %s", secret, seen)
			}
		}
	}
}

// Neither the address nor the principal of a record can be chosen by headers.
func TestHeadersDoNotChangeTheRecord(t *testing.T) {
	f := newFace(t)
	r := f.sign(&f.Admin, "TrentService.ListKeys", "{}")
	for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded"} {
		r.Header.Set(name, "203.0.113.99")
	}
	r.Header.Set("User-Agent", strings.Repeat("a", 100000)) // not signed
	records := f.newRecords(func() { f.do(t, r) })
	if len(records) != 1 || records[0].SourceAddress != "192.0.2.7" || len(records[0].UserAgent) > 512 {
		t.Errorf("%d records, first %.300v", len(records), records)
	}
}

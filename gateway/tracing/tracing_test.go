package tracing_test

import (
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/zap"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/tracing"
)

// collector takes OTLP over HTTP in protobuf, as a real one does.
type collector struct {
	url    string
	mu     sync.Mutex
	header http.Header
	spans  []*tracepb.Span
	text   strings.Builder // all that came, as JSON
	answer int
}

func newCollector(t *testing.T) *collector {
	c := &collector{answer: http.StatusOK}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var data tracepb.TracesData
		if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" || proto.Unmarshal(body, &data) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.answer != http.StatusOK {
			w.WriteHeader(c.answer)
			return
		}
		c.header = r.Header
		c.text.WriteString(protojson.Format(&data))
		for _, resource := range data.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				c.spans = append(c.spans, scope.Spans...)
			}
		}
	}))
	t.Cleanup(server.Close)
	c.url = server.URL + "/v1/traces"
	return c
}

func (c *collector) named(name string) (found []*tracepb.Span) {
	for _, s := range c.spans {
		if s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

func text(s *tracepb.Span, key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.GetStringValue()
		}
	}
	return ""
}

func open(t *testing.T, c tracing.Config) *tracing.Tracing {
	t.Helper()
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	tr, err := tracing.Open(context.Background(), c, "test", "one", zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// TestSpans: a signature is a trace of five spans, each with what it is to say and
// within the one of the request, and none with what is signed or who vouches for it.
func TestSpans(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	headers := filepath.Join(t.TempDir(), "headers")
	if err := os.WriteFile(headers, []byte("X-Collector-Key: of the collector\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tr := open(t, tracing.Config{Endpoint: c.url, HeadersFile: headers})
	g := gatewaytest.NewWith(t, gatewaytest.Options{Tracer: tr.Tracer()})
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	a := g.Send(g.Admin.Token, "PUT", "/v1/keys/"+key+"/sign", "the message", "Traceparent", parent)
	if a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	g.Send("", "GET", "/v1/keys", nil) // a stranger
	g.Send(g.Admin.Token, "PUT", "/v1/keys/"+key+"/sign", "")
	if err := tr.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.header.Get("X-Collector-Key") != "of the collector" {
		t.Errorf("the collector's header did not come: %v", c.header)
	}
	calls := c.named("Sign")
	if len(calls) != 2 || len(c.named("ListKeys")) != 0 {
		t.Fatalf("%d spans of Sign, %d of a stranger", len(calls), len(c.named("ListKeys")))
	}
	call := calls[0]
	for name, want := range map[string]string{"hsmgate.operation": "Sign", "hsmgate.outcome": "allowed", "hsmgate.key_id": key, "hsmgate.face": "rest",
		"hsmgate.request_id": a.Header.Get("X-Request-Id"), "http.route": "/v1/keys/{key}/sign"} {
		if got := text(call, name); got != want || want == "" {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if len(call.ParentSpanId) != 0 || strings.Contains(parent, hex.EncodeToString(call.TraceId)) {
		t.Error("a caller that is not trusted has joined the call to its trace")
	}
	for _, name := range []string{"decide", "token wait", "token call", "audit append"} {
		of := slices.DeleteFunc(c.named(name), func(s *tracepb.Span) bool { return !slices.Equal(s.ParentSpanId, call.SpanId) })
		if strings.HasPrefix(name, "token") { // the key may have been looked for before
			of = slices.DeleteFunc(of, func(s *tracepb.Span) bool { return text(s, "hsmgate.mechanism") != "CKM_ECDSA" })
		}
		if len(of) != 1 || of[0].StartTimeUnixNano < call.StartTimeUnixNano || of[0].EndTimeUnixNano > call.EndTimeUnixNano {
			t.Errorf("%s: %d spans within that of the call", name, len(of))
		}
	}
	if refused := calls[1]; text(refused, "error.type") != string(api.Validation) || text(refused, "hsmgate.outcome") != "invalid" {
		t.Errorf("the refused call: %v", refused.Attributes)
	}
	found := false
	for _, line := range g.Lines.FilterMessage("call").All() {
		if m := line.ContextMap(); m["requestId"] == a.Header.Get("X-Request-Id") {
			found = m["traceId"] == hex.EncodeToString(call.TraceId)
		}
	}
	if !found {
		t.Error("the line of the call does not name its trace")
	}
	sent := c.text.String()
	for _, secret := range []string{"the message", g.Admin.Token, g.Records()[len(g.Records())-2].Digest, g.Admin.ARN} {
		if strings.Contains(sent, secret) {
			t.Errorf("%q stands in the spans", secret)
		}
	}
}

// TestTrustedCallers: where they are trusted, a call is a part of its caller's trace.
func TestTrustedCallers(t *testing.T) {
	t.Parallel()
	c, none := newCollector(t), 0.0
	tr := open(t, tracing.Config{Endpoint: c.url, SampleRatio: &none, TrustCallers: true})
	g := gatewaytest.NewWith(t, gatewaytest.Options{Tracer: tr.Tracer(), TrustTraces: true})
	g.Send(g.Admin.Token, "GET", "/v1/keys", nil) // not sampled
	g.Send(g.Admin.Token, "GET", "/v1/keys", nil, "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if err := tr.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	calls := c.named("ListKeys")
	if len(calls) != 1 || hex.EncodeToString(calls[0].TraceId) != "0af7651916cd43dd8448eb211c80319c" || hex.EncodeToString(calls[0].ParentSpanId) != "b7ad6b7169203331" {
		t.Errorf("%v", calls)
	}
}

// TestCollectorAway: calls do not wait for a collector that refuses, nor does the end.
func TestCollectorAway(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	c.answer = http.StatusServiceUnavailable
	tr := open(t, tracing.Config{Endpoint: c.url})
	g := gatewaytest.NewWith(t, gatewaytest.Options{Tracer: tr.Tracer()})
	for range 20 {
		if a := g.Send(g.Admin.Token, "GET", "/v1/keys", nil); a.Status != http.StatusOK {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := tr.Close(ctx); err != nil {
		t.Error(err)
	}
}

// TestConfig: what is wrong is named, and headers are not told.
func TestConfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, body string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(body), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	two, local := 2.0, "http://127.0.0.1:4318/v1/traces"
	for want, c := range map[string]tracing.Config{
		"endpoint: it is missing":     {TrustCallers: true},
		"endpoint: it is not a URL":   {Endpoint: "collector:4318"},
		"without credentials":         {Endpoint: "https://user:word@collector/v1/traces"},
		"it has to be https":          {Endpoint: "http://collector/v1/traces", HeadersFile: "x"},
		"2 is not from 0 to 1":        {Endpoint: local, SampleRatio: &two},
		"readable by others":          {Endpoint: local, HeadersFile: write("open", "A: b\n", 0o644)},
		"lines of the form":           {Endpoint: local, HeadersFile: write("bad", "the secret\n", 0o600)},
		"no such file":                {Endpoint: local, CAFile: filepath.Join(dir, "none")},
		"holds no certificate in PEM": {Endpoint: local, CAFile: write("ca", "nothing", 0o600)},
	} {
		err := c.Check()
		if err == nil {
			_, err = tracing.Open(context.Background(), c, "", "", zap.NewNop())
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "the secret") || strings.Contains(err.Error(), "word@") {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
	if tr, err := tracing.Open(context.Background(), tracing.Config{}, "", "", zap.NewNop()); tr.Tracer() != nil || err != nil || tr.Close(context.Background()) != nil {
		t.Errorf("without settings: %v", err)
	}
}

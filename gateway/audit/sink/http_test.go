package sink

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// siem is an HTTPS server that does to each request what comes next in its list, and takes all when the list is over.
type siem struct {
	*httptest.Server
	ca string // file

	mu       sync.Mutex
	next     []func(w http.ResponseWriter, r *http.Request) bool // answers true when the request was taken
	requests []request
	release  chan struct{} // ends those that hang
}

type request struct {
	header http.Header
	body   []byte
	taken  bool
}

func newSIEM(t *testing.T, next ...func(http.ResponseWriter, *http.Request) bool) *siem {
	s := &siem{next: next, release: make(chan struct{})}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // cut off
		}
		s.mu.Lock()
		do := func(http.ResponseWriter, *http.Request) bool { return true }
		if len(s.next) > 0 {
			do, s.next = s.next[0], s.next[1:]
		}
		s.requests = append(s.requests, request{header: r.Header, body: body})
		n := len(s.requests) - 1
		s.mu.Unlock()
		if do(w, r) {
			s.mu.Lock()
			s.requests[n].taken = true
			s.mu.Unlock()
		}
	}))
	t.Cleanup(func() { close(s.release); s.Close() })
	s.ca = filepath.Join(t.TempDir(), "ca.pem")
	write(t, s.ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	return s
}

// all gives the requests so far.
func (s *siem) all() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

func (s *siem) taken(t *testing.T) (got []uint64) {
	for _, r := range s.all() {
		if r.taken {
			got = append(got, seqs(t, strings.Split(strings.TrimSuffix(string(r.body), "\n"), "\n"))...)
		}
	}
	return got
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func answer(code int, header ...string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		return code < 300
	}
}

func cut(w http.ResponseWriter, _ *http.Request) bool {
	c, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = c.Close()
	}
	return false
}

// takenAndCut takes the records and does not say so: they have to come again.
func takenAndCut(w http.ResponseWriter, r *http.Request) bool { cut(w, r); return true }

func hang(r *http.Request, s *siem) {
	select {
	case <-r.Context().Done():
	case <-s.release:
	}
}

// TestHTTPDeliversThroughEveryFailure: whatever the server does, each record arrives, in order, and none is given up.
func TestHTTPDeliversThroughEveryFailure(t *testing.T) {
	other := newSIEM(t)
	s := newSIEM(t)
	hangs := func(_ http.ResponseWriter, r *http.Request) bool { hang(r, s); return false }
	s.next = []func(http.ResponseWriter, *http.Request) bool{
		answer(500), answer(200), answer(410), answer(410), cut, answer(204), takenAndCut, answer(429, "Retry-After", "0"), answer(401), hangs, answer(200), answer(413), answer(413), answer(200),
		answer(503, "Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT"), answer(307, "Location", other.URL), answer(302, "Location", other.URL), answer(404), takenAndCut, answer(400),
	}
	b := newBench(t)
	b.start(Config{Name: "siem", Type: "http", URL: s.URL, CAFile: s.ca, Timeout: 300 * time.Millisecond, Batch: 40})
	for range 20 {
		b.add(17, "Sign")
	}
	b.until("it is there", func() bool { return b.metric("hsmgate_audit_sink_behind", "siem") == 0 })
	b.stop()
	atLeastOnce(t, s.taken(t), b.want)
	if n := len(other.all()); n != 0 {
		t.Errorf("%d requests went where a redirect pointed", n)
	}
	if left := len(s.next); left > 0 {
		t.Errorf("%d failures were not met", left)
	}
	if n := b.metric("hsmgate_audit_sink_failures_total", "siem"); n < 12 {
		t.Errorf("%v failures are counted", n)
	}
	warned, well := b.lines.FilterMessage("audit records are not delivered").Len(), b.lines.FilterMessage("audit records are delivered again").Len()
	if warned == 0 || warned != well {
		t.Errorf("%d warnings, %d times well again", warned, well)
	}
}

// TestHTTPThatHangsHoldsUpNobody: the server has one request and never answers, while thousands of records are appended.
func TestHTTPThatHangsHoldsUpNobody(t *testing.T) {
	s := newSIEM(t)
	for range 100 {
		s.next = append(s.next, func(_ http.ResponseWriter, r *http.Request) bool { hang(r, s); return false })
	}
	b := newBench(t)
	b.start(Config{Name: "siem", Type: "http", URL: s.URL, CAFile: s.ca, Timeout: limit})
	b.add(1, "Sign")
	b.until("the request is there", func() bool { return len(s.all()) == 1 })
	b.add(2000, "Sign")
	if n := len(s.all()); n != 1 || b.log.Head().Seq != 2001 || b.log.Stats().Refused != 0 {
		t.Errorf("%d requests, %d records", n, b.log.Head().Seq)
	}
	if behind := b.metric("hsmgate_audit_sink_behind", "siem"); behind != 2001 {
		t.Errorf("%v behind", behind)
	}
}

// TestSignature: OpenSSL computes the same signature, of both secrets; a request that is made again has the same id.
func TestSignature(t *testing.T) {
	s := newSIEM(t, answer(500), answer(200), answer(500))
	dir := t.TempDir()
	keys := [][]byte{bytes.Repeat([]byte{7}, 24), bytes.Repeat([]byte{9}, 64)}
	write(t, filepath.Join(dir, "secret"), "whsec_"+base64.StdEncoding.EncodeToString(keys[0])+"\nwhsec_"+base64.StdEncoding.EncodeToString(keys[1])+"\n")
	write(t, filepath.Join(dir, "headers"), "Authorization: Bearer secret-token\nX-Index: hsm\n")
	b := newBench(t)
	b.start(Config{Name: "hook", Type: "http", URL: s.URL, CAFile: s.ca, Body: "single", Operations: []string{"Alert"}, SecretFile: filepath.Join(dir, "secret"), HeadersFile: filepath.Join(dir, "headers")})
	b.add(3, "Alert")
	b.until("it is there", func() bool { return b.metric("hsmgate_audit_sink_behind", "hook") == 0 })
	b.stop()
	all := s.all()
	if len(all) != 5 {
		t.Fatalf("%d requests, want 3 records and 2 failures", len(all))
	}
	ids := make(map[string]string)
	for _, r := range all {
		id, at := r.header.Get("Webhook-Id"), r.header.Get("Webhook-Timestamp")
		var want []string
		for _, key := range keys {
			cmd := exec.Command("openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", fmt.Sprintf("hexkey:%x", key), "-binary")
			cmd.Stdin = strings.NewReader(id + "." + at + "." + string(r.body))
			mac, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, "v1,"+base64.StdEncoding.EncodeToString(mac))
		}
		if got := r.header.Get("Webhook-Signature"); got != strings.Join(want, " ") {
			t.Errorf("%s, OpenSSL %q", got, want)
		}
		if r.header.Get("Authorization") != "Bearer secret-token" || r.header.Get("X-Index") != "hsm" || r.header.Get("Content-Type") != "application/json" {
			t.Error(r.header)
		}
		if !json.Valid(r.body) || ids[id] != "" && ids[id] != string(r.body) {
			t.Errorf("%s is the id of %s and of %s", id, ids[id], r.body)
		}
		ids[id] = string(r.body)
	}
	if len(ids) != 3 {
		t.Errorf("%d ids for 3 records", len(ids))
	}
	for _, e := range b.lines.All() {
		if text := fmt.Sprint(e.Message, e.ContextMap()); strings.Contains(text, "secret-token") || strings.Contains(text, "whsec") {
			t.Errorf("a secret is in the log: %s", text)
		}
	}
}

// TestArray: one JSON array a request.
func TestArray(t *testing.T) {
	s := newSIEM(t)
	b := newBench(t)
	b.add(5, "Sign")
	b.start(Config{Name: "a", Type: "http", URL: s.URL, CAFile: s.ca, Body: "array", Begin: "first", Format: "ocsf"})
	b.until("it is there", func() bool { return b.metric("hsmgate_audit_sink_behind", "a") == 0 })
	b.stop()
	var events []map[string]any
	if err := json.Unmarshal(s.all()[0].body, &events); err != nil || len(events) != 5 || events[4]["class_uid"] != 6003.0 {
		t.Error(len(events), err)
	}
}

// TestFilesAreChecked: what is wrong with a file is told at the start, without its content.
func TestFilesAreChecked(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"short": "whsec_c2VjcmV0\n", "plain": "secret\n", "empty": "\n", "header": "a secret without a colon\n", "pem": "no certificate\n"} {
		write(t, filepath.Join(dir, name), text)
	}
	write(t, filepath.Join(dir, "open"), "whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 32)))
	if err := os.Chmod(filepath.Join(dir, "open"), 0o644); err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]Config{
		"line 1 is not whsec_ ":       {SecretFile: filepath.Join(dir, "short")},
		"base64 of 24 to 64 bytes":    {SecretFile: filepath.Join(dir, "plain")},
		"is empty":                    {SecretFile: filepath.Join(dir, "empty")},
		"chmod 600":                   {SecretFile: filepath.Join(dir, "open")},
		"line 1 is not a header":      {HeadersFile: filepath.Join(dir, "header")},
		"no such file":                {HeadersFile: filepath.Join(dir, "none")},
		"holds no certificate in PEM": {CAFile: filepath.Join(dir, "pem")},
	} {
		c.Name, c.Type, c.URL = "a", "http", "https://siem.example.com/"
		_, err := newHTTP(c.withDefaults())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "c2VjcmV0") || strings.Contains(err.Error(), "colon") {
			t.Errorf("%q: %v", want, err)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{"": 0, "7": 7 * time.Second, "-1": 0, "x": 0, "Thu, 01 Jan 2026 00:00:09 GMT": 9 * time.Second, "Wed, 31 Dec 2025 00:00:00 GMT": 0} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q is %s", text, got)
		}
	}
	if d := pauseAfter(&later{io.EOF, 24 * time.Hour}, 0); d != longest {
		t.Error(d)
	}
	if d := pauseAfter(&refusal{io.EOF}, 0); d < lastRetry/2 || d > lastRetry {
		t.Error(d)
	}
	for try := range 200 {
		if d := backoff(try); d < firstRetry/2 || d > lastRetry {
			t.Error(try, d)
		}
	}
}

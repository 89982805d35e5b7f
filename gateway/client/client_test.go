package client

import (
	"bytes"
	"context"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/identity/identitytest"
)

// serve answers with h and returns a client that pauses shortly.
func serve(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return New(s.URL, "hsmgate_id_secret")
}

func problem(w http.ResponseWriter, status int, code api.Code) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	fmt.Fprint(w, `{"type":"x","title":"t","status":1,"detail":"what is wrong","code":"`+string(code)+`","requestId":"r-1"}`)
}

func TestProblem(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { problem(w, 404, api.NotFound) })
	_, err := c.ListKeys(t.Context(), &api.ListKeysRequest{})
	var refused *ResponseError
	var e *api.Error
	if !errors.As(err, &refused) || !errors.As(err, &e) || Code(err) != api.NotFound {
		t.Fatalf("error %v is not a refusal with NotFound", err)
	}
	if refused.Status != 404 || refused.RequestID != "r-1" || e.Message != "what is wrong" {
		t.Errorf("refusal %+v %+v", refused, e)
	}
	if Code(io.EOF) != "" || Code(nil) != "" {
		t.Error("an error that is no refusal has a code")
	}
}

// TestForeignAnswers: whatever stands before the gateway answers in its own form.
func TestForeignAnswers(t *testing.T) {
	for status, want := range map[int]api.Code{
		401: api.MissingAuthentication, 403: api.AccessDenied, 404: api.UnknownOperation, 500: api.Internal,
		502: api.ServiceUnavailable, 503: api.ServiceUnavailable, 504: api.ServiceUnavailable, 429: api.Throttling, 418: api.Internal,
	} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", status) })
		c.Attempts = 1
		if _, err := c.ListKeys(t.Context(), &api.ListKeysRequest{}); Code(err) != want {
			t.Errorf("status %d: code %q, want %q", status, Code(err), want)
		}
	}
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") })
	if _, err := c.ListKeys(t.Context(), &api.ListKeysRequest{}); err == nil || !strings.Contains(err.Error(), "not what hsmgate answers") {
		t.Errorf("a page that is not JSON: %v", err)
	}
}

func TestTriesAgain(t *testing.T) {
	for _, test := range []struct {
		name     string
		status   int
		attempts int // of the client
		want     int // requests
	}{
		{"429", 429, 0, 4}, {"503", 503, 0, 4}, {"never", 503, 1, 1}, {"twice", 503, 2, 2}, {"not 500", 500, 0, 1}, {"not 400", 400, 0, 1}, {"not 409", 409, 0, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int32
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil || !bytes.Contains(body, []byte(`"AliasName":"alias/x"`)) {
					t.Errorf("attempt %d has the body %q, %v", n.Load(), body, err)
				}
				n.Add(1)
				problem(w, test.status, api.ServiceUnavailable)
			})
			c.Attempts, c.MaxWait = test.attempts, 20*time.Millisecond
			if _, err := c.CreateAlias(t.Context(), &api.CreateAliasRequest{AliasName: "alias/x"}); Code(err) != api.ServiceUnavailable {
				t.Errorf("error %v", err)
			}
			if int(n.Load()) != test.want {
				t.Errorf("%d requests, want %d", n.Load(), test.want)
			}
		})
	}
}

func TestRecovers(t *testing.T) {
	var n atomic.Int32
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) < 3 {
			problem(w, 503, api.KeyUnavailable)
			return
		}
		fmt.Fprint(w, `{"Keys":[{"KeyId":"k"}]}`)
	})
	c.MaxWait = 20 * time.Millisecond
	out, err := c.ListKeys(t.Context(), &api.ListKeysRequest{})
	if err != nil || len(out.Keys) != 1 || n.Load() != 3 {
		t.Errorf("%+v, %v after %d requests", out, err, n.Load())
	}
}

// TestPause: what the gateway asks for is kept to, within the bound; jitter only
// adds to it.
func TestPause(t *testing.T) {
	c := &Client{}
	refused := func(after time.Duration) error {
		return &ResponseError{Status: 503, Err: &api.Error{RetryAfter: after}}
	}
	for _, test := range []struct {
		after     time.Duration
		attempt   int
		low, high time.Duration
		again     bool
	}{
		{0, 1, 0, 100 * time.Millisecond, true},
		{0, 2, 0, 200 * time.Millisecond, true},
		{0, 3, 0, 400 * time.Millisecond, true},
		{0, 4, 0, 0, false},
		{2 * time.Second, 1, 2 * time.Second, 3 * time.Second, true},
		{11 * time.Second, 1, 0, 0, false}, // longer than MaxWait: the refusal is the answer
	} {
		for range 100 {
			if wait, again := c.pause(refused(test.after), test.attempt, false); again != test.again || wait < test.low || wait > test.high {
				t.Fatalf("Retry-After %s, attempt %d: %s, %v", test.after, test.attempt, wait, again)
			}
		}
	}
	if _, again := c.pause(io.ErrUnexpectedEOF, 1, false); again {
		t.Error("a broken connection is tried again: nobody knows what was done")
	}
	if _, again := c.pause(nil, 1, true); again {
		t.Error("a success is tried again")
	}
}

func TestRetryAfter(t *testing.T) {
	if d := retryAfter("7"); d != 7*time.Second {
		t.Errorf("7 is %s", d)
	}
	for _, s := range []string{"", "-1", "0", "soon", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)} {
		if d := retryAfter(s); d != 0 {
			t.Errorf("%q is %s", s, d)
		}
	}
	if d := retryAfter(time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)); d < 59*time.Minute || d > time.Hour {
		t.Errorf("a date in an hour is %s", d)
	}
}

// TestDeadline: a pause that does not fit is not begun, and the refusal is the
// answer, not the deadline.
func TestDeadline(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "5")
		problem(w, 429, api.Throttling)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	if _, err := c.ListKeys(ctx, &api.ListKeysRequest{}); Code(err) != api.Throttling || ctx.Err() != nil {
		t.Errorf("error %v, context %v", err, ctx.Err())
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "9")
		problem(w, 429, api.Throttling)
		cancel()
	})
	if _, err := c.ListKeys(ctx, &api.ListKeysRequest{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestNoRedirect: the token goes to no other place than the one that was named.
func TestNoRedirect(t *testing.T) {
	var reached atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	defer other.Close()
	for _, status := range []int{301, 302, 307, 308} {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, status) })
		c.HTTP = &http.Client{} // whose own rule would follow
		_, err := c.ListKeys(t.Context(), &api.ListKeysRequest{})
		if err == nil || !strings.Contains(err.Error(), other.URL) {
			t.Errorf("%d: error %v", status, err)
		}
	}
	if reached.Load() {
		t.Error("a redirect was followed")
	}
}

// TestPaths: a reference is one segment of the path, whatever it holds.
func TestPaths(t *testing.T) {
	var got, auth, agent string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got, auth, agent = r.URL.EscapedPath(), r.Header.Get("Authorization"), r.UserAgent()
		fmt.Fprint(w, "{}")
	})
	c.URL += "/"
	for ref, want := range map[string]string{
		"k-1":       "/v1/keys/k-1",
		"alias/a/b": "/v1/keys/alias%2Fa%2Fb",
		"arn:aws:kms:eu-central-1:111122223333:key/k": "/v1/keys/arn:aws:kms:eu-central-1:111122223333:key%2Fk",
		"a?b#c%2F": "/v1/keys/a%3Fb%23c%252F",
		"../x":     "/v1/keys/..%2Fx",
		"..":       "/v1/keys/%22..%22",
		".":        "/v1/keys/%22.%22",
		"":         "/v1/keys/%22%22",
	} {
		if _, err := c.DescribeKey(t.Context(), &api.DescribeKeyRequest{KeyTarget: api.KeyTarget{KeyId: ref}}); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%q goes to %s, want %s", ref, got, want)
		}
	}
	if auth != "Bearer hsmgate_id_secret" || agent != "hsmgate-client" {
		t.Errorf("Authorization %q, User-Agent %q", auth, agent)
	}
}

// TestErrorsHoldNoToken: not even those of the transport.
func TestErrorsHoldNoToken(t *testing.T) {
	for _, url := range []string{"http://127.0.0.1:1", "://", "http://[::1", "http://127.0.0.1:1/\x7f"} {
		c := New(url, "hsmgate_id_secret")
		_, err := c.ListKeys(t.Context(), &api.ListKeysRequest{})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: error %v", url, err)
		}
	}
}

func TestConnectionIsKept(t *testing.T) {
	seen := make(map[string]bool)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen[r.RemoteAddr] = true
		if len(seen) > 1 {
			t.Error("a second connection")
		}
		problem(w, 404, api.NotFound)
	})
	for range 5 {
		if _, err := c.ListKeys(t.Context(), &api.ListKeysRequest{}); Code(err) != api.NotFound {
			t.Fatal(err)
		}
	}
}

func TestFromEnv(t *testing.T) {
	t.Setenv("HOME", t.TempDir()) // without profiles of AWS
	t.Setenv("HSMGATE_CA_FILE", "")
	for _, test := range []struct{ url, token, want string }{
		{"", "t", "HSMGATE_URL is not set"},
		{"http://127.0.0.1:1", "", "HSMGATE_TOKEN is not set"},
		{"127.0.0.1:1", "t", "https://host:port"},
		{"ftp://127.0.0.1:1", "t", "https://host:port"},
		{"localhost:8080", "t", "has to begin with http:// or https://"},
		{"user:pass@host", "t", "has to begin with http:// or https://"},
		{"https://", "t", "https://host:port"},
		{"https://user:pass@host", "t", "more than"},
		{"https://host?x=y", "t", "more than"},
		{"https://host/base", "t", ""},
	} {
		t.Setenv("HSMGATE_URL", test.url)
		t.Setenv("HSMGATE_TOKEN", test.token)
		_, err := FromEnv()
		if test.want == "" {
			if err != nil {
				t.Errorf("%q: %v", test.url, err)
			}
			continue
		}
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "pass") {
			t.Errorf("%q: error %v, want %q", test.url, err, test.want)
		}
	}
	t.Setenv("HSMGATE_CA_FILE", "no-such-file")
	var wrong *ConfigError
	if _, err := FromEnv(); !errors.As(err, &wrong) || wrong.Variable != "HSMGATE_CA_FILE" || wrong.Missing {
		t.Errorf("a CA file that is not there: %v", err)
	}
}

// TestTokenFile: the token is read for each request; none is sent where there is none.
func TestTokenFile(t *testing.T) {
	var sent []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		sent = append(sent, strings.Join(r.Header.Values("Authorization"), "|"))
		problem(w, 404, api.NotFound)
	})
	ask := func() error {
		_, err := c.ListKeys(t.Context(), &api.ListKeysRequest{})
		return err
	}
	c.TokenFile = filepath.Join(t.TempDir(), "token")
	for _, text := range []string{"one\n", " two "} {
		if err := os.WriteFile(c.TokenFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := ask(); Code(err) != api.NotFound {
			t.Error(err)
		}
	}
	for _, text := range []string{"", "\n", "a b", "a\nb", "ä", "a\x00"} {
		if err := os.WriteFile(c.TokenFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := ask(); err == nil || !strings.Contains(err.Error(), "holds no token") {
			t.Errorf("%q: %v", text, err)
		}
	}
	c.TokenFile, c.Token = "", ""
	if err := ask(); Code(err) != api.NotFound {
		t.Error(err)
	}
	if want := []string{"Bearer one", "Bearer two", ""}; !slices.Equal(sent, want) {
		t.Errorf("sent %q, want %q", sent, want)
	}
}

// TestFilesOfTheEnvironment: what does not fit together is named.
func TestFilesOfTheEnvironment(t *testing.T) {
	ca := identitytest.NewCA(t, "CA")
	cert, key := identitytest.Files(t, ca.Issue(nil), t.TempDir())
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("t\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ url, token, tokenFile, cert, key, variable, want string }{
		{"https://host", "", token, "", "", "", ""},
		{"https://host", "", "", cert, key, "", ""},
		{"https://host", "t", "", cert, key, "", ""},
		{"https://host", "t", token, "", "", "HSMGATE_TOKEN_FILE", "which of them"},
		{"https://host", "", token + "x", "", "", "HSMGATE_TOKEN_FILE", "no such file"},
		{"https://host", "", key, "", "", "HSMGATE_TOKEN_FILE", "holds no token"},
		{"https://host", "t", "", cert, "", "HSMGATE_CERT_FILE", "no such file"},
		{"https://host", "t", "", "", key, "HSMGATE_CERT_FILE", "no such file"},
		{"https://host", "t", "", key, cert, "HSMGATE_CERT_FILE", "do not name"},
		{"http://127.0.0.1:1", "t", "", cert, key, "HSMGATE_CERT_FILE", "needs https://"},
		{"https://host", "", "", "", "", "HSMGATE_TOKEN", "is not set"},
	} {
		for name, value := range map[string]string{"HSMGATE_URL": test.url, "HSMGATE_TOKEN": test.token, "HSMGATE_TOKEN_FILE": test.tokenFile,
			"HSMGATE_CERT_FILE": test.cert, "HSMGATE_KEY_FILE": test.key, "HSMGATE_CA_FILE": ""} {
			t.Setenv(name, value)
		}
		_, err := FromEnv()
		var wrong *ConfigError
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%+v: %v", test, err)
		case test.want != "" && (!errors.As(err, &wrong) || wrong.Variable != test.variable || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%+v: %v", test, err)
		}
	}
}

func TestMessage(t *testing.T) {
	file := strings.Repeat("x", 5000)
	sum := sha512.Sum512([]byte(file))
	for _, a := range []api.SigningAlgorithm{api.PKCS1SHA512, api.PSSSHA512, api.ECDSASHA512, api.Ed25519PHSHA512} {
		if m, kind, err := Message(a, strings.NewReader(file)); err != nil || kind != api.Digest || !bytes.Equal(m, sum[:]) {
			t.Errorf("%s: %x, %s, %v", a, m, kind, err)
		}
	}
	for a, size := range map[api.SigningAlgorithm]int{api.PSSSHA256: 32, api.ECDSASHA384: 48} {
		if m, _, err := Message(a, strings.NewReader(file)); err != nil || len(m) != size {
			t.Errorf("%s: %d bytes, %v", a, len(m), err)
		}
	}
	if m, kind, err := Message(api.Ed25519SHA512, strings.NewReader(file[:4096])); err != nil || kind != api.Raw || len(m) != 4096 {
		t.Errorf("Ed25519: %d bytes, %s, %v", len(m), kind, err)
	}
	if _, _, err := Message(api.Ed25519SHA512, strings.NewReader(file[:4097])); Code(err) != api.Validation {
		t.Errorf("Ed25519 of a long message: %v", err)
	}
	for _, a := range []api.SigningAlgorithm{"", "SM2DSA", "ECDSA_SHA_", "ECDSA_SHA_1"} {
		if _, _, err := Message(a, strings.NewReader(file)); err == nil {
			t.Errorf("%q is taken for an algorithm", a)
		}
	}
	if _, _, err := Message(api.ECDSASHA256, io.MultiReader(strings.NewReader("x"), broken{})); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a file that breaks off: %v", err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

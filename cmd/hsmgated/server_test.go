package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// served is a daemon in this process.
type served struct {
	*daemon
	token string
	stop  context.CancelFunc
	done  chan error
}

func testConfig(t *testing.T) *Config {
	t.Helper()
	dir := t.TempDir()
	c := &Config{Listen: "127.0.0.1:0", Token: hsmtest.NewToken(t), FirstAdministrator: FirstAdministrator{Name: "admin", EnvFile: "admin.env"}}
	c.Log.Level = "error"
	c.setDefaults()
	c.resolve(dir)
	return c
}

// start serves until stop, with a first key.
func start(t *testing.T, c *Config) *served {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	s := &served{stop: stop, done: make(chan error, 1)}
	ready := make(chan *daemon, 1)
	go func() {
		s.done <- serve(ctx, c, func(ctx context.Context, d *daemon) error {
			err := d.firstKey(ctx)
			if err == nil {
				ready <- d
			}
			return err
		})
	}()
	select {
	case s.daemon = <-ready:
	case err := <-s.done:
		t.Fatalf("the daemon does not start: %v", err)
	}
	s.token, _ = envValue(c.FirstAdministrator.EnvFile, "HSMGATE_TOKEN")
	t.Cleanup(stop)
	return s
}

// upload begins to send a file to sign and returns once the daemon reads it.
func (s *served) upload(t *testing.T) (*io.PipeWriter, chan answer) {
	t.Helper()
	body, file := io.Pipe()
	begun := make(chan struct{})
	trace := &httptrace.ClientTrace{Got100Continue: func() { close(begun) }}
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodPut, s.url+"/v1/keys/alias%2Frelease/sign", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.token)
	r.Header.Set("Expect", "100-continue")
	answered := make(chan answer, 1)
	go func() {
		transport := &http.Transport{ExpectContinueTimeout: time.Minute}
		defer transport.CloseIdleConnections()
		resp, err := transport.RoundTrip(r)
		if err != nil {
			answered <- answer{err: err}
			return
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		answered <- answer{resp.StatusCode, resp.Header, text, err}
	}()
	select {
	case <-begun:
	case a := <-answered:
		t.Fatalf("refused: %d %s %v", a.status, a.body, a.err)
	}
	return file, answered
}

type answer struct {
	status int
	header http.Header
	body   []byte
	err    error
}

// TestGracefulStop: a signal refuses new work and finishes what is under way.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	s := start(t, c)
	file, answered := s.upload(t)
	if _, err := file.Write(bytes.Repeat([]byte("x"), 1<<20)); err != nil {
		t.Fatal(err)
	}
	s.stop()
	eventually(t, func() bool { // no new connection
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(s.url + "/readyz")
		if err != nil {
			return true
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusServiceUnavailable
	})
	select {
	case err := <-s.done:
		t.Fatalf("it ended while a call was under way: %v", err)
	default:
	}
	if _, err := file.Write([]byte("the end")); err != nil {
		t.Fatal(err)
	}
	file.Close()
	a := <-answered
	var out struct{ Signature []byte }
	if a.err != nil || a.status != http.StatusOK || json.Unmarshal(a.body, &out) != nil || len(out.Signature) == 0 {
		t.Fatalf("the call under way: %d %s %v", a.status, a.body, a.err)
	}
	if err := <-s.done; err != nil {
		t.Errorf("the stop: %v", err)
	}
	receipt, err := audit.ParseReceipt(a.header.Get("Hsmgate-Audit-Record"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := audit.VerifyFile(c.Audit.Path, audit.VerifyOptions{Receipts: []audit.Receipt{receipt}})
	if err != nil || !r.Intact() || r.Receipts != 1 {
		t.Errorf("the log does not hold the last call: %+v, %v", r, err)
	}
}

// TestStopTimeout: a caller who does not come to an end is cut off, and that is
// said; nothing is left open.
func TestStopTimeout(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.StopTimeout = 50 * time.Millisecond
	s := start(t, c)
	file, answered := s.upload(t)
	s.stop()
	err := <-s.done
	file.CloseWithError(io.ErrClosedPipe) // the client's transport waits for its body
	var hinted *hintedError
	if err == nil || !strings.Contains(err.Error(), "still under way after 50ms") || !errors.As(err, &hinted) {
		t.Errorf("the stop: %v", err)
	}
	if a := <-answered; a.err == nil {
		t.Errorf("the call was answered: %d %s", a.status, a.body)
	}
	again := start(t, c) // the log, the token and the database are free
	again.stop()
	if err := <-again.done; err != nil {
		t.Error(err)
	}
}

// TestFirstKeyIsMadeOnce: and only into an empty store.
func TestFirstKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	for range 2 {
		s := start(t, c)
		if err := s.firstKey(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := s.daemon.store.KeyCount(); n != 1 {
			t.Errorf("%d keys", n)
		}
		s.stop()
		if err := <-s.done; err != nil {
			t.Fatal(err)
		}
	}
}

// TestRefreshEnv: the URLs follow the port; what a person added stays.
func TestRefreshEnv(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.env")
	text := "# mine\nexport HSMGATE_URL='http://127.0.0.1:1'\nexport AWS_ENDPOINT_URL_KMS='http://127.0.0.1:1'\nexport HSMGATE_CA_FILE='ca.pem'\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &daemon{url: "https://kms.example.com:8443"}
	if err := d.refreshEnv(path); err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile(path)
	if want := strings.ReplaceAll(text, "http://127.0.0.1:1", d.url); err != nil || string(have) != want {
		t.Errorf("%q, %v; want %q", have, err, want)
	}
	if url, ok := envValue(path, "HSMGATE_URL"); !ok || url != d.url {
		t.Errorf("read back %q, %v", url, ok)
	}
}

func eventually(t *testing.T, f func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 3000 {
		if f() {
			return
		}
		<-tick.C
	}
	t.Fatal("it does not happen")
}

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// TestStopping: the gate refuses and says so, also on a connection that is open.
func TestStopping(t *testing.T) {
	g := &gate{next: http.NotFoundHandler(), pace: usualPace}
	server := httptest.NewServer(g)
	defer server.Close()
	get := func(path string) answer {
		t.Helper()
		resp, err := server.Client().Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.Close {
			resp.Header.Set("Connection", "close")
		}
		return answer{status: resp.StatusCode, header: resp.Header}
	}
	if a := get("/readyz"); a.status != http.StatusNotFound {
		t.Fatalf("before: %d", a.status)
	}
	g.stopping.Store(true)
	if a := get("/readyz"); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") != "1" || a.header.Get("Connection") != "close" {
		t.Errorf("stopping: %d, %v", a.status, a.header)
	}
	for path, want := range map[string]string{"/": "application/x-amz-json-1.1", "/v1/keys": "application/problem+json"} {
		if have := get(path).header.Get("Content-Type"); have != want {
			t.Errorf("%s answers in %s, want %s", path, have, want)
		}
	}
	form, err := server.Client().Post(server.URL+"/", "application/x-www-form-urlencoded", strings.NewReader("Action=GetCallerIdentity"))
	if err != nil {
		t.Fatal(err)
	}
	defer form.Body.Close()
	if form.StatusCode != http.StatusServiceUnavailable || form.Header.Get("Content-Type") != "text/xml" {
		t.Errorf("AWS STS: %d in %s", form.StatusCode, form.Header.Get("Content-Type"))
	}
	if a := get("/healthz"); a.status != http.StatusNotFound {
		t.Errorf("the process is still healthy: %d", a.status)
	}
}

// TestBodyStandsStill: a body may take as long as it likes while bytes come, and
// is ended when none come.
func TestBodyStandsStill(t *testing.T) {
	const idle = 200 * time.Millisecond
	type result struct {
		n   int64
		err error
	}
	results := make(chan result, 1)
	server := httptest.NewServer(&gate{pace: pace{idle: idle, grace: time.Minute, rate: 1, answer: time.Minute}, next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		results <- result{n, err}
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
	})})
	defer server.Close()
	send := func(body io.Reader) (*http.Response, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL, body)
		if err != nil {
			return nil, err
		}
		return server.Client().Do(r)
	}

	body, file := io.Pipe()
	go func() { // four times the idle time in all
		tick := time.NewTicker(idle / 8)
		defer tick.Stop()
		for range 32 {
			<-tick.C
			if _, err := file.Write([]byte("x")); err != nil {
				return
			}
		}
		file.Close()
	}()
	resp, err := send(body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if r := <-results; r.n != 32 || r.err != nil {
		t.Errorf("a slow body: %d bytes, %v", r.n, r.err)
	}

	body, file = io.Pipe()
	defer file.Close()
	go send(body) //nolint:errcheck // it is cut off or answered with an error, as the server likes
	if _, err := file.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if r := <-results; r.n != 1 || !errors.Is(r.err, os.ErrDeadlineExceeded) {
		t.Errorf("a body that stands still: %d bytes, %v", r.n, r.err)
	}
}

// waiting bounds what has to happen sooner or later.
const waiting = time.Minute

// TestBodyThatNobodyReads: the server waits for the rest of a body before it
// answers, and must not do so for ever.
func TestBodyThatNobodyReads(t *testing.T) {
	t.Parallel()
	const idle = 50 * time.Millisecond
	for name, handler := range map[string]http.HandlerFunc{
		"refused unread": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
		"stands still": func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); errors.Is(err, os.ErrDeadlineExceeded) {
				w.WriteHeader(http.StatusUnauthorized)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(&gate{next: handler, pace: pace{idle: idle, grace: time.Minute, rate: 1, answer: time.Minute}})
			defer server.Close()
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(waiting))
			fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx")
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusUnauthorized || !resp.Close {
				t.Errorf("%d, the connection is kept: %v", resp.StatusCode, !resp.Close)
			}
		})
	}
}

// TestBodyThatTrickles: a byte now and then does not hold a connection for days.
func TestBodyThatTrickles(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	server := httptest.NewServer(&gate{pace: pace{idle: time.Minute, grace: 50 * time.Millisecond, rate: 1 << 20, answer: time.Minute},
		next: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, r.Body)
			ended <- err
		})})
	defer server.Close()
	body, file := io.Pipe()
	defer file.Close()
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			if _, err := file.Write([]byte("x")); err != nil {
				return
			}
		}
	}()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if resp, err := server.Client().Do(r); err == nil {
			resp.Body.Close()
		}
	}()
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(waiting):
		t.Error("it goes on")
	}
}

// TestLongUploadOverHTTP2: the time for the answer does not run while the body
// moves. HTTP/2 would end the stream.
func TestLongUploadOverHTTP2(t *testing.T) {
	t.Parallel()
	const answer = 400 * time.Millisecond
	server := httptest.NewUnstartedServer(&gate{pace: pace{idle: time.Minute, grace: time.Minute, rate: 1, answer: answer},
		next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprintf(w, "%s %d %v", r.Proto, n, err)
		})})
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	body, file := io.Pipe()
	go func() { // three times as long as the answer may take
		tick := time.NewTicker(answer / 20)
		defer tick.Stop()
		for range 60 {
			<-tick.C
			if _, err := file.Write([]byte("x")); err != nil {
				return
			}
		}
		file.Close()
	}()
	resp, err := server.Client().Post(server.URL, "application/octet-stream", body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if have, want := string(text), "HTTP/2.0 60 <nil>"; err != nil || have != want {
		t.Errorf("%q, %v; want %q", have, err, want)
	}
}

// TestMaxConnections: those beyond wait until one ends.
func TestMaxConnections(t *testing.T) {
	t.Parallel()
	l, err := listen(t.Context(), "127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: waiting}
	go server.Serve(l) //nolint:errcheck // it ends with the test
	defer server.Close()
	first := ask(t, l.Addr())
	defer first.Close()
	if _, err := bufio.NewReader(first).Peek(1); err != nil {
		t.Fatal(err)
	}
	second := ask(t, l.Addr())
	defer second.Close()
	answered := make(chan error, 1)
	go func() {
		_, err := bufio.NewReader(second).Peek(1)
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Fatalf("two connections at a time (%v)", err)
	case <-time.After(100 * time.Millisecond):
	}
	first.Close()
	if err := <-answered; err != nil {
		t.Errorf("the second never: %v", err)
	}
}

// ask sends a request on a connection of its own.
func ask(t *testing.T, to net.Addr) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(waiting))
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	return conn
}

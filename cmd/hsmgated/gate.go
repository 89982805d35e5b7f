package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/awskms"
)

// pace is how slow a request may be. A whole upload has no limit: it may be a
// file of any size.
type pace struct {
	idle  time.Duration // how long a body may stand still
	grace time.Duration // how long it may be slower than rate
	rate  int64         // bytes a second, from the beginning on
	// answer bounds the time from the last byte of the request to the last of
	// the answer. Making an RSA key in a slow token takes a minute.
	answer time.Duration
}

var usualPace = pace{idle: 30 * time.Second, grace: 30 * time.Second, rate: 1 << 10, answer: 5 * time.Minute}

// gate stands before the faces: it refuses requests while the daemon stops, and
// ends those that stand still.
type gate struct {
	next     http.Handler
	pace     pace
	stopping atomic.Bool
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.stopping.Load() && r.URL.Path != "/healthz" {
		refuse(w, r)
		return
	}
	conn, now := http.NewResponseController(w), time.Now()
	// An error means that the connection is gone, which the next write tells.
	_ = conn.SetWriteDeadline(now.Add(g.pace.answer))
	if r.Body != nil && r.Body != http.NoBody {
		// The server waits for a body that nobody reads, too.
		_ = conn.SetReadDeadline(now.Add(g.pace.idle))
		r.Body = &movingBody{ReadCloser: r.Body, conn: conn, pace: g.pace, begun: now, until: now.Add(g.pace.idle), extended: now}
	}
	g.next.ServeHTTP(w, r)
}

// refuse answers in the form of the face that was asked, so that every client
// reads 'try again'.
func refuse(w http.ResponseWriter, r *http.Request) {
	err := &api.Error{Code: api.ServiceUnavailable, Message: "The gateway is stopping. Try again.", RetryAfter: time.Second}
	w.Header().Set("Connection", "close")
	if r.URL.Path == "/" {
		awskms.Refuse(w, r, err)
		return
	}
	w.Header().Set("Retry-After", "1")
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusServiceUnavailable)
	_ = json.NewEncoder(w).Encode(map[string]any{ // a caller who is gone needs no answer
		"type": "urn:hsmgate:error:" + string(err.Code), "title": err.Code.Title(), "status": http.StatusServiceUnavailable,
		"detail": err.Message, "code": err.Code,
	})
}

// movingBody is a request body that keeps the pace: some byte has to come every
// idle, and after the grace at least rate bytes a second, so that nobody holds a
// connection for days with a byte now and then.
type movingBody struct {
	io.ReadCloser
	conn     *http.ResponseController
	pace     pace
	begun    time.Time
	until    time.Time // the deadline of the read
	extended time.Time // when the time for the answer was last set
	n        int64     // bytes read
}

// same is the difference at which a deadline is not set anew: setting one costs,
// and most bodies are there at once.
const same = time.Millisecond

func (b *movingBody) Read(p []byte) (int, error) {
	now := time.Now()
	if now.Sub(b.extended) > b.pace.answer/8 { // HTTP/2 ends a stream whose time to answer is over, whatever it does
		b.extended = now
		_ = b.conn.SetWriteDeadline(now.Add(b.pace.answer))
	}
	until := b.begun.Add(b.pace.grace + time.Duration(min(b.n/b.pace.rate, 1<<31))*time.Second)
	if still := now.Add(b.pace.idle); still.Before(until) {
		until = still
	}
	if until.Sub(b.until).Abs() > same {
		b.until = until
		_ = b.conn.SetReadDeadline(until)
	}
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	if errors.Is(err, io.EOF) { // what the server reads next is not the body's affair
		_ = b.conn.SetReadDeadline(time.Time{})
		b.until = time.Time{}
		if now = time.Now(); now.Sub(b.extended) > same {
			_ = b.conn.SetWriteDeadline(now.Add(b.pace.answer))
		}
	}
	return n, err
}

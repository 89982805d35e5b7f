package client

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// throttled is a client whose calls on one key are answered 429 for an hour, and on others "{}".
func throttled(t *testing.T) *Client {
	t.Helper()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/busy/") {
			w.Header().Set("Retry-After", "3600")
			problem(w, http.StatusTooManyRequests, api.Throttling)
			return
		}
		_, _ = w.Write([]byte("{}"))
	})
	c.Together, c.MaxWait = true, 10*time.Hour
	return c
}

func signWith(ctx context.Context, c *Client, id string) error {
	_, err := c.Sign(ctx, &api.SignRequest{KeyTarget: api.KeyTarget{KeyId: id}})
	return err
}

// TestTogetherWithinADeadline: who cannot wait as long as the gateway asks for is told its reason at once.
func TestTogetherWithinADeadline(t *testing.T) {
	c := throttled(t)
	ctx, end := context.WithTimeout(t.Context(), 10*time.Minute)
	defer end()
	if err := signWith(ctx, c, "busy"); Code(err) != api.Throttling || ctx.Err() != nil {
		t.Error(err)
	}
}

// TestTogetherByKey: a key that has to wait keeps no other waiting. Who leaves is told why there was no signature, and nothing is left.
func TestTogetherByKey(t *testing.T) {
	c := throttled(t)
	ctx, leave := context.WithCancel(t.Context())
	var all sync.WaitGroup
	const n = 4
	for range n {
		all.Go(func() {
			if err := signWith(ctx, c, "busy"); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	Until(func() bool { return c.Waiting() >= n }) // until the first of them has its answer, and they wait
	if err := signWith(t.Context(), c, "free"); err != nil {
		t.Error(err)
	}
	leave()
	all.Wait()
	Until(func() bool { return c.Lanes() == 0 })
}

// TestTogetherSaysWhy: who leaves while the gateway is waited for is told what it answered.
func TestTogetherSaysWhy(t *testing.T) {
	c := throttled(t)
	ctx, leave := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() { answer <- signWith(ctx, c, "busy") }()
	Until(func() bool { return c.Waiting() != 0 })
	name := laneOf(&api.SignRequest{KeyTarget: api.KeyTarget{KeyId: "busy"}, IdempotencyKey: "any"})
	Until(func() bool {
		c.together.mu.Lock()
		defer c.together.mu.Unlock()
		l := c.together.lanes[name]
		return l != nil && len(l.waiting) == 1 && l.waiting[0].last != nil
	})
	leave()
	if err := <-answer; !errors.Is(err, context.Canceled) || Code(err) != api.Throttling {
		t.Error(err)
	}
}

// TestTogetherGrows by doubling, until answers take long, and shrinks to one where they nearly come too late.
func TestTogetherGrows(t *testing.T) {
	slow, risky := slowTogether+time.Millisecond, 16*time.Second
	for _, s := range []struct {
		most, asked, again int
		failed             bool
		took               time.Duration
		want               int
	}{
		{most: 1, asked: 1, want: 2},
		{most: 64, asked: 64, want: 128},
		{most: 64, asked: 63, want: 64},
		{most: 1000, asked: 1000, want: 1000},
		{most: 64, asked: 64, took: slow, want: 32},
		{most: 1, asked: 1, took: slow, want: 2}, // the way may be long
		{most: 16, asked: 16, took: slow, want: 16},
		{most: 16, asked: 16, took: risky, want: 8},
		{most: 1, asked: 1, took: risky, want: 1},
		{most: 64, asked: 64, failed: true, want: 32},
		{most: 64, asked: 64, again: 60, want: 4},
	} {
		c := &Client{HTTP: &http.Client{Timeout: time.Minute}}
		l := &lane{most: s.most}
		if l.adapt(c, s.asked, s.again, s.failed, s.took); l.most != s.want {
			t.Errorf("%+v: %d", s, l.most)
		}
	}
}

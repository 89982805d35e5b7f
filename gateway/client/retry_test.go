package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// TestRepeatsWhatIsSafe: a request whose connection breaks is sent again where a repeat
// does no harm, a signature under the same idempotency key.
func TestRepeatsWhatIsSafe(t *testing.T) {
	for _, test := range []struct {
		name     string
		attempts int
		call     func(*Client) error
		want     int // requests
	}{
		{"Sign", 0, func(c *Client) error {
			_, err := c.Sign(t.Context(), &api.SignRequest{KeyTarget: api.KeyTarget{KeyId: "k"}})
			return err
		}, 3},
		{"SignBatch", 0, func(c *Client) error {
			_, err := c.SignBatch(t.Context(), &api.SignBatchRequest{KeyTarget: api.KeyTarget{KeyId: "k"}, Items: make([]api.SignBatchItem, 2)})
			return err
		}, 3},
		{"Sign, never again", 1, func(c *Client) error {
			_, err := c.Sign(t.Context(), &api.SignRequest{KeyTarget: api.KeyTarget{KeyId: "k"}})
			return err
		}, 1},
		{"ListKeys", 0, func(c *Client) error { _, err := c.ListKeys(t.Context(), &api.ListKeysRequest{}); return err }, 3},
		{"CreateKey", 0, func(c *Client) error { _, err := c.CreateKey(t.Context(), &api.CreateKeyRequest{}); return err }, 1},
		{"GenerateMac", 0, func(c *Client) error { _, err := c.GenerateMac(t.Context(), &api.GenerateMacRequest{}); return err }, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			var mu sync.Mutex // the last request may still be at its end
			n, keys := 0, map[string]bool{}
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				n++
				body, _ := io.ReadAll(r.Body)
				var in struct {
					IdempotencyKey string
					Items          []struct{ IdempotencyKey string }
				}
				_ = json.Unmarshal(body, &in)
				all := in.IdempotencyKey
				for _, item := range in.Items {
					all += " " + item.IdempotencyKey
				}
				keys[all] = true
				switch n {
				case 1: // no answer
					panic(http.ErrAbortHandler)
				case 2: // a part of one
					w.Header().Set("Content-Length", "100")
					fmt.Fprint(w, "{")
				default:
					fmt.Fprint(w, "{}")
				}
			})
			c.Attempts, c.MaxWait = test.attempts, 20*time.Millisecond
			c.HTTP = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // net/http would try again by itself
			err := test.call(c)
			mu.Lock()
			defer mu.Unlock()
			if n != test.want || (err == nil) != (n == 3) || len(keys) != 1 {
				t.Errorf("%d requests, want %d, with the keys %v: %v", n, test.want, keys, err)
			}
			if test.name == "Sign, never again" != keys[""] && test.name[:4] == "Sign" {
				t.Errorf("idempotency keys %v", keys)
			}
		})
	}
}

// TestWaitsForOneThatIsAway: a gateway that has answered is waited for, by all calls together, and one that never has is not.
func TestWaitsForOneThatIsAway(t *testing.T) {
	var away atomic.Bool
	var n atomic.Int64
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		if away.Load() {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, "{}")
	})
	c.MaxWait = 5 * time.Millisecond
	c.HTTP = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	sign := func() (int64, error) {
		before := n.Load()
		_, err := c.Sign(t.Context(), &api.SignRequest{KeyTarget: api.KeyTarget{KeyId: "k"}})
		return n.Load() - before, err
	}
	away.Store(true)
	if tried, err := sign(); err == nil || tried != 4 {
		t.Errorf("a gateway that never answered was asked %d times: %v", tried, err)
	}
	away.Store(false)
	if _, err := sign(); err != nil {
		t.Fatal(err)
	}
	away.Store(true)
	go func() {
		for from := n.Load(); n.Load() < from+20; {
			time.Sleep(time.Millisecond)
		}
		away.Store(false)
	}()
	if tried, err := sign(); err != nil || tried < 20 {
		t.Errorf("a gateway that came back was asked %d times: %v", tried, err)
	}
	away.Store(true)
	c.RetryFor = 50 * time.Millisecond
	if tried, err := sign(); err == nil || tried < 4 {
		t.Errorf("a gateway that stays away was asked %d times: %v", tried, err)
	}
	if tried, err := sign(); err == nil || tried != 4 {
		t.Errorf("after that, it was asked %d times: %v", tried, err)
	}
}

// TestProxyAnswersForTheGateway: what changes something, or makes a MAC, is repeated after a refusal of the gateway alone, since
// nobody knows what became of a request for which a proxy answers.
func TestProxyAnswersForTheGateway(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout} {
		for _, own := range []bool{false, true} {
			n := 0
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				n++
				if own {
					problem(w, status, api.Throttling)
					return
				}
				http.Error(w, "upstream connect error or disconnect/reset before headers", status)
			})
			c.MaxWait = 5 * time.Millisecond
			tried := 1
			if own && (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable) {
				tried = 4
			}
			for name, call := range map[string]struct {
				do   func() error
				want int
			}{
				"CreateKey": {func() error { _, err := c.CreateKey(t.Context(), &api.CreateKeyRequest{}); return err }, tried},
				"ListKeys":  {func() error { _, err := c.ListKeys(t.Context(), &api.ListKeysRequest{}); return err }, 4},
				"Sign": {func() error {
					_, err := c.Sign(t.Context(), &api.SignRequest{KeyTarget: api.KeyTarget{KeyId: "k"}})
					return err
				}, 4},
			} {
				n = 0
				if err := call.do(); err == nil || n != call.want {
					t.Errorf("%s after %d, of the gateway %v: asked %d times, want %d: %v", name, status, own, n, call.want, err)
				}
			}
		}
	}
}

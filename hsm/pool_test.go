package hsm_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// A pool of 1 and of 2 sessions under 64 callers: no deadlock, no session shared (SoftHSM would crash), none leaked.
func TestSmallPools(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 2} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			c := hsmtest.NewToken(t)
			c.MaxSessions = size
			c.WaitTimeout = time.Minute
			tok := hsmtest.Open(t, c)
			keys := []*hsm.Key{hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseSign), hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseSign)}
			var wg sync.WaitGroup
			for n := range 64 {
				wg.Go(func() {
					k := keys[n%2]
					for i := range 20 {
						in := digest(crypto.SHA256, fmt.Sprint(n, i))
						sig, err := tok.Sign(ctx, k, p256, in)
						if err != nil {
							t.Error(err)
							return
						}
						if err := k.Verify(p256, in, sig); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			hsmtest.Eventually(t, back, "the pool is at rest", func() error { // a worker counts itself out after it has answered
				if s := tok.Stats(); s.Sessions != size || s.Busy != 0 || s.Waiting != 0 || s.Stuck != 0 || s.Replaced != 0 || s.Refused != 0 {
					return fmt.Errorf("stats: %+v", s)
				}
				return nil
			})
		})
	}
}

// The queue is bounded, and so is the wait in it.
func TestQueueLimits(t *testing.T) {
	t.Parallel()
	c := hsmtest.NewToken(t)
	c.MaxSessions, c.QueueLimit = 1, 2
	tok := hsmtest.Open(t, c)
	k := hsmtest.NewKey(t, tok, hsm.RSA4096, hsm.UseSign)
	in := digest(crypto.SHA256, "a")
	if _, err := tok.Sign(ctx, k, rsaPKCS1, in); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	outcome := map[string]int{}
	for range 32 {
		wg.Go(func() {
			_, err := tok.Sign(ctx, k, rsaPKCS1, in)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				outcome["signed"]++
			case errors.Is(err, hsm.ErrBusy):
				outcome["busy"]++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if outcome["signed"] == 0 || outcome["busy"] == 0 {
		t.Errorf("outcome: %v", outcome)
	}
	if s := tok.Stats(); int(s.Refused) != outcome["busy"] || s.Waiting != 0 {
		t.Errorf("stats: %+v, %v", s, outcome)
	}
	expired, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := tok.Sign(expired, k, rsaPKCS1, in); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that has gone: %v", err)
	}
	if _, err := tok.Sign(ctx, k, rsaPKCS1, in); err != nil {
		t.Error(err)
	}
}

// TestGreedyCallerIsNotInTheWay: a caller with one call waits for about one of
// another's, however many wait.
func TestGreedyCallerIsNotInTheWay(t *testing.T) {
	t.Parallel()
	const greedy = 40
	c := hsmtest.NewToken(t)
	c.MaxSessions, c.WaitTimeout = 1, time.Minute
	tok := hsmtest.Open(t, c)
	k := hsmtest.NewKey(t, tok, hsm.RSA4096, hsm.UseSign) // slow, so that the token is what callers wait for
	in := digest(crypto.SHA256, "a")
	var stop atomic.Bool
	var wg sync.WaitGroup
	crowd := hsm.WithCaller(ctx, "greedy")
	for range greedy {
		wg.Go(func() {
			for !stop.Load() {
				if _, err := tok.Sign(crowd, k, rsaPKCS1, in); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	passed := func(who context.Context) uint64 {
		hsmtest.Eventually(t, back, "the others wait", func() error {
			if n := tok.Stats().Waiting; n < greedy-2 {
				return fmt.Errorf("%d wait", n)
			}
			return nil
		})
		before := tok.Stats().Calls
		if _, err := tok.Sign(who, k, rsaPKCS1, in); err != nil {
			t.Error(err)
		}
		return tok.Stats().Calls - before
	}
	var modest, one []uint64
	for range 5 {
		modest = append(modest, passed(hsm.WithCaller(ctx, "modest")))
		one = append(one, passed(crowd))
	}
	stop.Store(true)
	wg.Wait()
	if slices.Sort(modest); modest[2] > greedy/4 {
		t.Errorf("%v calls of the greedy one came first", modest)
	}
	if slices.Sort(one); one[2] < greedy/2 { // or this test shows nothing
		t.Errorf("only %v calls of one caller came before its last", one)
	}
}

func TestConfigRefused(t *testing.T) {
	t.Parallel()
	good := hsmtest.NewToken(t)
	slot := uint(0)
	loose := hsmtest.PINFile(t, hsmtest.PIN)
	if err := os.Chmod(loose, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*hsm.Config){
		"no token chosen":     func(c *hsm.Config) { c.Serial = "" },
		"token chosen twice":  func(c *hsm.Config) { c.Slot = &slot },
		"no module":           func(c *hsm.Config) { c.Module = "" },
		"not a library":       func(c *hsm.Config) { c.Module = c.PINFile },
		"no PIN file":         func(c *hsm.Config) { c.PINFile = "" },
		"loose PIN file":      func(c *hsm.Config) { c.PINFile = loose },
		"negative limit":      func(c *hsm.Config) { c.QueueLimit = -1 },
		"unknown attribute":   func(c *hsm.Config) { c.OmitAttributes = []string{"CKA_WHATEVER"} },
		"exception, no cause": func(c *hsm.Config) { c.Exceptions = map[string]string{"00": ""} },
	} {
		c := good
		change(&c)
		if tok, err := hsm.Open(ctx, c); !errors.Is(err, hsm.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
			if tok != nil {
				tok.Close()
			}
		}
	}
	c := good
	c.Serial = "0123456789abcdef"
	if _, err := hsm.Open(ctx, c); !errors.Is(err, hsm.ErrUnavailable) {
		t.Errorf("a token that is not there: %v", err)
	}
}

// InitToken refuses a label that exists, and two tokens with one label are not guessed between.
func TestLabels(t *testing.T) {
	t.Parallel()
	c := hsmtest.NewToken(t)
	tok := hsmtest.Open(t, c)
	info, err := tok.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if info.Serial != c.Serial || !info.LoggedIn || info.PINLocked || info.Module != c.Module {
		t.Errorf("info: %+v", info)
	}
	if _, err := hsm.InitToken(c.Module, "", info.Label, "12345678", "1234"); !errors.Is(err, hsm.ErrInvalid) {
		t.Errorf("a label that exists: %v", err)
	}
	byLabel := c
	byLabel.Serial, byLabel.Label = "", info.Label
	if err := hsmtest.Open(t, byLabel).Ready(ctx); err != nil {
		t.Error(err)
	}
	bySlot := c
	bySlot.Serial, bySlot.Slot = "", &info.Slot
	if err := hsmtest.Open(t, bySlot).Ready(ctx); err != nil {
		t.Error(err)
	}
}

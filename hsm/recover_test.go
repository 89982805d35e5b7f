package hsm_test

import (
	"crypto"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// back is how soon the token has to be in service again after its return.
const back = 5 * time.Second

// load signs from several goroutines until the test stops it, and counts. A signature that does not verify, or an error of another kind than
// the token's absence, fails the test; so does a call that takes longer than its limits.
type load struct {
	good, away atomic.Int64
	stop       chan struct{}
	wg         sync.WaitGroup
}

func startLoad(t *testing.T, tok *hsm.Token, k *hsm.Key, callers int, limit time.Duration) *load {
	l := &load{stop: make(chan struct{})}
	in := digest(crypto.SHA256, "under load")
	for range callers {
		l.wg.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				begin := time.Now()
				sig, err := tok.Sign(ctx, k, p256, in)
				if took := time.Since(begin); took > limit {
					t.Errorf("a call took %v", took)
				}
				switch {
				case err == nil:
					l.good.Add(1)
					if err := k.Verify(p256, in, sig); err != nil {
						t.Error(err)
					}
				case errors.Is(err, hsm.ErrUnavailable), errors.Is(err, hsm.ErrBusy):
					l.away.Add(1)
					time.Sleep(time.Millisecond) // a caller that tries again
				default:
					t.Errorf("an error of the wrong kind: %v", err)
					return
				}
			}
		})
	}
	t.Cleanup(l.end)
	return l
}

func (l *load) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.wg.Wait()
}

// flows waits until more signatures come.
func (l *load) flows(t *testing.T, bound time.Duration) {
	t.Helper()
	from := l.good.Load()
	hsmtest.Eventually(t, bound, "signatures flow", func() error {
		if l.good.Load() < from+20 {
			return fmt.Errorf("%d good, %d refused", l.good.Load()-from, l.away.Load())
		}
		return nil
	})
}

// refuses waits until calls are refused.
func (l *load) refuses(t *testing.T, bound time.Duration) {
	t.Helper()
	from := l.away.Load()
	hsmtest.Eventually(t, bound, "calls are refused", func() error {
		if l.away.Load() < from+5 {
			return fmt.Errorf("none refused, %d good", l.good.Load())
		}
		return nil
	})
}

// tokenFolder is the one folder of SoftHSM's token.
func tokenFolder(t *testing.T) string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(hsmtest.Folder(t), "*-*"))
	if err != nil || len(dirs) != 1 {
		t.Fatalf("token folders: %v, %v", dirs, err)
	}
	return dirs[0]
}

func TestTokenGoneAndBack(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	tok := hsmtest.Open(t, hsmtest.NewToken(t))
	k := hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseSign)
	dir := tokenFolder(t)
	gone := filepath.Join(t.TempDir(), "gone") // not beside it: every folder there is a token to SoftHSM
	l := startLoad(t, tok, k, 4, 2*time.Second)
	l.flows(t, back)
	for range 2 {
		if err := os.Rename(dir, gone); err != nil {
			t.Fatal(err)
		}
		l.refuses(t, back)
		hsmtest.Eventually(t, back, "Ready says no", func() error {
			if tok.Ready(ctx) == nil || tok.Stats().Available { // the watch has to have seen it too, or it has nothing to recover from
				return errors.New("ready")
			}
			return nil
		})
		if err := tok.Destroy(ctx, k.ID()); !errors.Is(err, hsm.ErrUnavailable) {
			t.Fatalf("destroying while the token is away: %v", err)
		}
		if err := os.Rename(gone, dir); err != nil {
			t.Fatal(err)
		}
		l.flows(t, back)
	}
	l.end()
	if s := tok.Stats(); s.Recoveries < 2 || !s.Available || s.CheckFailures != 0 {
		t.Errorf("stats: %+v", s)
	}
}

func TestSessionsClosedBehindOurBack(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	c := hsmtest.NewToken(t)
	tok := hsmtest.Open(t, c)
	k := hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseSign)
	info, err := tok.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	other := pkcs11.New(c.Module) // the same library in the same process: it is initialised already
	for range 3 {
		l := startLoad(t, tok, k, 4, 2*time.Second)
		l.flows(t, back)
		l.end() // SoftHSM itself crashes when a session is closed under a call
		if err := other.CloseAllSessions(info.Slot); err != nil {
			t.Fatal(err)
		}
	}
	l := startLoad(t, tok, k, 4, 2*time.Second)
	l.flows(t, back)
	l.end()
	if _, err := tok.Generate(ctx, hsm.NISTP256, hsm.UseSign, hsm.NewID(), "after"); err != nil {
		t.Error(err)
	}
	if s := tok.Stats(); s.CheckFailures != 0 {
		t.Errorf("stats: %+v", s)
	}
}

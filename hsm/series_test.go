package hsm_test

import (
	"crypto"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// Each job of a series gets its own signature, or its own error, whatever becomes of the others.
func TestSeries(t *testing.T) {
	t.Parallel()
	tok := hsmtest.Open(t, hsmtest.NewToken(t))
	pair := []*hsm.Key{hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseSign), hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseSign)}
	keys, digests := make([]*hsm.Key, hsm.MaxSeries), make([][]byte, hsm.MaxSeries)
	for i := range keys {
		keys[i], digests[i] = pair[i%2], digest(crypto.SHA256, fmt.Sprint(i))
	}
	const spoilt = 5
	for name, c := range map[string]struct {
		prepare func(*pkcs11.Ctx, pkcs11.SessionHandle, []uint, []bool) error
		rv      uint // of the one that is spoilt
		left    bool
	}{
		"all is well": {prepare: func(*pkcs11.Ctx, pkcs11.SessionHandle, []uint, []bool) error { return nil }},
		"a key is gone": {rv: pkcs11.CKR_OBJECT_HANDLE_INVALID, prepare: func(_ *pkcs11.Ctx, _ pkcs11.SessionHandle, h []uint, _ []bool) error {
			h[spoilt] = 1 << 30
			return nil
		}},
		"a caller is gone": {left: true, prepare: func(_ *pkcs11.Ctx, _ pkcs11.SessionHandle, _ []uint, gone []bool) error {
			gone[spoilt] = true
			return nil
		}},
		"the session is gone": {prepare: func(ctx *pkcs11.Ctx, s pkcs11.SessionHandle, _ []uint, _ []bool) error { return ctx.CloseSession(s) }},
	} {
		outcomes, err := hsm.Series(tok, keys, digests, c.prepare)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i, o := range outcomes {
			if i == spoilt && (c.rv != 0 || c.left) {
				if o.Signature != nil || o.RV != c.rv || o.Left != c.left {
					t.Errorf("%s: it got %+v", name, o)
				}
				continue
			}
			if err := keys[i].Verify(p256, digests[i], o.Signature); err != nil {
				t.Errorf("%s: signature %d: %v, CKR 0x%X", name, i, err, o.RV)
			}
		}
	}
}

// A call that hangs in a series costs its own caller the deadline: the others of the series take their jobs back.
func TestSeriesHangs(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	f := newFaulty(t)
	c := hsmtest.TokenIn(t, f.module)
	c.MaxSessions, c.CallTimeout = 3, 400*time.Millisecond
	tok := hsmtest.Open(t, c)
	k := hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseSign)
	var signed, late atomic.Int64
	var callers sync.WaitGroup
	stop := make(chan struct{})
	for n := range 24 {
		callers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				in := digest(crypto.SHA256, fmt.Sprint(n, i))
				sig, err := tok.Sign(ctx, k, p256, in)
				switch {
				case errors.Is(err, hsm.ErrTimeout):
					late.Add(1)
				case err != nil:
					t.Error(err)
				case k.Verify(p256, in, sig) != nil:
					t.Error("a wrong signature")
				default:
					signed.Add(1)
				}
			}
		})
	}
	more := func(what string, n int64) {
		before := signed.Load()
		hsmtest.Eventually(t, back, what, func() error {
			if now := signed.Load(); now < before+n {
				return fmt.Errorf("%d of %d", now-before, n)
			}
			return nil
		})
	}
	const times = 6 // at any place of a series
	for n := range times {
		more("signatures", 300)
		f.set("hang-one")
		hsmtest.Eventually(t, back, "a call hangs", func() error {
			if int(late.Load()) <= n {
				return errors.New("nobody has waited in vain")
			}
			return nil
		})
		more("signatures beside it", 300)
		f.set("go-on")
	}
	close(stop)
	callers.Wait()
	if n := late.Load(); n != times {
		t.Errorf("%d callers waited in vain, %d calls hung", n, times)
	}
}

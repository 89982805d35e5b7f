package hsm_test

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// faulty is SoftHSM behind testdata/fault.c, in a process of the test's own.
type faulty struct {
	t            *testing.T
	module, file string
}

func newFaulty(t *testing.T) *faulty {
	t.Helper()
	dir := t.TempDir()
	f := &faulty{t, filepath.Join(dir, "fault.so"), filepath.Join(dir, "fault")}
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Fatal("no C compiler, though cgo needs one too")
	}
	run(t, cc, "-shared", "-fPIC", "-O1", "-o", f.module, "testdata/fault.c", "-ldl")
	if err := os.Setenv("HSM_FAULT_MODULE", hsmtest.SoftHSM(t)); err != nil {
		t.Fatal(err)
	}
	if err := os.Setenv("HSM_FAULT_FILE", f.file); err != nil {
		t.Fatal(err)
	}
	return f
}

// set names the fault; empty is none.
func (f *faulty) set(name string) {
	f.t.Helper()
	if err := os.WriteFile(f.file+".new", []byte(name), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(f.file+".new", f.file); err != nil {
		f.t.Fatal(err)
	}
}

// objects counts everything in the token by pkcs11-tool, which knows nothing of us.
func (f *faulty) objects(serial string) int {
	f.t.Helper()
	out := run(f.t, "pkcs11-tool", "--module", hsmtest.SoftHSM(f.t), "--login", "--pin", hsmtest.PIN, "--token-label", serial, "--list-objects")
	return bytes.Count(out, []byte("Key Object"))
}

// A call that never comes back costs its own caller the deadline and nobody else anything; the pool is whole again, and the late answer reaches
// nobody.
func TestOneCallHangs(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	f := newFaulty(t)
	c := hsmtest.TokenIn(t, f.module)
	c.MaxSessions, c.CallTimeout = 2, 300*time.Millisecond
	tok := hsmtest.Open(t, c)
	k := hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseSign)
	sign := func() error {
		_, err := tok.Sign(ctx, k, p256, digest(crypto.SHA256, "a"))
		return err
	}
	if err := sign(); err != nil {
		t.Fatal(err)
	}
	f.set("hang-one")
	if err := sign(); !errors.Is(err, hsm.ErrTimeout) || !errors.Is(err, hsm.ErrUnavailable) {
		t.Fatalf("a call that hangs: %v", err)
	}
	for range 50 {
		if err := sign(); err != nil {
			t.Fatalf("beside a call that hangs: %v", err)
		}
	}
	hsmtest.Eventually(t, back, "another session takes the place", func() error {
		if s := tok.Stats(); s.Stuck != 1 || s.Sessions != 2 || !tok.Hung(time.Second) {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	f.set("go-on")
	hsmtest.Eventually(t, back, "the stuck call is over", func() error {
		if s := tok.Stats(); s.Stuck != 0 || s.Busy != 0 || tok.Hung(time.Second) {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	if err := sign(); err != nil {
		t.Error(err)
	}
}

// A wrong signature never leaves; the check may be left out for ECDSA alone, and not for the first signature of a key.
func TestWrongSignature(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	f := newFaulty(t)
	c := hsmtest.TokenIn(t, f.module)
	for _, skip := range []bool{false, true} {
		c.SkipECDSACheck = skip
		tok := hsmtest.Open(t, c)
		for _, spec := range []hsm.KeySpec{hsm.NISTP256, hsm.RSA2048, hsm.Edwards25519} {
			m := map[hsm.KeySpec]hsm.SignMechanism{hsm.NISTP256: p256, hsm.RSA2048: rsaPKCS1, hsm.Edwards25519: ed25519m}[spec]
			k := hsmtest.NewKey(t, tok, spec, hsm.UseSign)
			in := digest(crypto.SHA256, "a")
			for _, first := range []bool{true, false} {
				f.set("wrong-signature")
				sig, err := tok.Sign(ctx, k, m, in)
				if skip && spec == hsm.NISTP256 && !first {
					if err != nil {
						t.Errorf("unchecked: %v", err)
					}
				} else if !errors.Is(err, hsm.ErrKeyMissing) || sig != nil {
					t.Errorf("%s, skip %v: a wrong signature: %x, %v", spec, skip, sig, err)
				}
				f.set("")
				if _, err := tok.Sign(ctx, k, m, in); err != nil {
					t.Errorf("%s: afterwards: %v", spec, err)
				}
			}
		}
		if s := tok.Stats(); s.CheckFailures < 5 {
			t.Errorf("stats: %+v", s)
		}
	}
}

// A module that refuses session keys cannot be tested at start: 'unknown', and everything that it can do works all the same.
func TestNoSessionKeys(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	f := newFaulty(t)
	f.set("no-session-keys")
	c := hsmtest.TokenIn(t, f.module)
	tok := hsmtest.Open(t, c)
	for _, a := range tok.Abilities() {
		if a.Name == "RANDOM" || strings.HasPrefix(a.Name, "ML_") {
			continue // needs no key; SoftHSM has no such keys at all
		}
		if a.State == hsm.No && strings.Contains(a.Name, "ML_") {
			continue // SoftHSM lists nothing of it
		}
		if a.State != hsm.Unknown || a.Detail == "" {
			t.Errorf("%+v", a)
		}
	}
	if tok.KeepsNeverExtractable() {
		t.Error("nothing has shown that the module keeps CKA_NEVER_EXTRACTABLE")
	}
	hsmtest.TestToken(t, c)
}

// The token allows six sessions: of these one is the spare, one makes keys and two are crypto11's.
func TestFewSessions(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	f := newFaulty(t)
	f.set("six-sessions")
	tok := hsmtest.Open(t, hsmtest.TokenIn(t, f.module))
	if s := tok.Stats(); s.Sessions != 2 {
		t.Errorf("stats: %+v", s)
	}
	k := hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseSign)
	if _, err := tok.Sign(ctx, k, p256, digest(crypto.SHA256, "a")); err != nil {
		t.Error(err)
	}
}

// A token that answers a wrong PIN with a code of its own, and counts it: a refusal like any other.
func TestWrongPINByAnotherCode(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	f := newFaulty(t)
	c := hsmtest.TokenIn(t, f.module)
	f.set("vendor-code")
	wrong := c
	wrong.PINFile = hsmtest.PINFile(t, "wrong-pin")
	if _, err := hsm.Open(ctx, wrong); !errors.Is(err, hsm.ErrPINRefused) {
		t.Errorf("a wrong PIN: %v", err)
	}
	hsmtest.Open(t, c)
}

// Whichever single call fails while a key is made, or while the token is opened that holds it: what is not refused is a key that works. A read that
// failed says nothing of a key's protection.
func TestKeysThroughSingleFaults(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	f := newFaulty(t)
	c := hsmtest.TokenIn(t, f.module)
	tok := hsmtest.Open(t, c)
	signs := func(what string, tok *hsm.Token, id, spki []byte) {
		t.Helper()
		k, err := hsm.NewKey(id, hsm.NISTP256, spki)
		if err == nil {
			_, err = tok.Sign(ctx, k, p256, digest(crypto.SHA256, "a"))
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	id := hsm.NewID()
	spki, err := tok.Generate(ctx, hsm.NISTP256, hsm.UseSign, id, "kept")
	if err != nil {
		t.Fatal(err)
	}
	steps := func(what string, run func(what string)) {
		t.Helper()
		made := 0
		for n := 1; ; n++ {
			made++
			f.set(fmt.Sprintf("step failed %d %d", n, len(what)*1000+n))
			run(fmt.Sprintf("%s, call %d fails", what, n))
			if os.Remove(f.file+".met") != nil { // it has fewer calls
				break
			}
		}
		if made < 10 {
			t.Errorf("%s: %d calls", what, made)
		}
	}
	steps("a key is made", func(what string) {
		id := hsm.NewID()
		spki, err := tok.Generate(ctx, hsm.NISTP256, hsm.UseSign, id, "new")
		f.set("")
		if err == nil {
			signs(what, tok, id, spki)
		}
	})
	steps("the token is opened", func(what string) {
		other, err := hsm.Open(ctx, c)
		f.set("")
		if err != nil {
			return
		}
		signs(what, other, id, spki)
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	})
}

package hsm_test

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// spy is OpenSC's pkcs11-spy, which writes down every call that reaches SoftHSM.
type spy struct {
	t            *testing.T
	module, file string
}

// newSpy sets the spy up, in a process of the test's own.
func newSpy(t *testing.T) *spy {
	t.Helper()
	s := &spy{t: t, file: filepath.Join(t.TempDir(), "spy.log")}
	for _, path := range []string{"/usr/lib/x86_64-linux-gnu/pkcs11-spy.so", "/usr/lib/aarch64-linux-gnu/pkcs11-spy.so", "/usr/lib64/pkcs11-spy.so"} {
		if _, err := os.Stat(path); err == nil {
			s.module = path
		}
	}
	if s.module == "" {
		t.Skip("pkcs11-spy is not installed: apt-get install opensc-pkcs11")
	}
	if err := os.Setenv("PKCS11SPY", hsmtest.SoftHSM(t)); err != nil {
		t.Fatal(err)
	}
	if err := os.Setenv("PKCS11SPY_OUTPUT", s.file); err != nil {
		t.Fatal(err)
	}
	return s
}

// counts runs f and says how often each of these functions was called meanwhile.
func (s *spy) counts(f func(), names ...string) map[string]int {
	s.t.Helper()
	before := s.read()
	f()
	after := s.read()[len(before):]
	n := map[string]int{}
	for _, name := range names {
		n[name] = bytes.Count(after, []byte(": "+name+"\n"))
	}
	return n
}

func (s *spy) read() []byte {
	s.t.Helper()
	b, err := os.ReadFile(s.file)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// SoftHSM 680 and others: a search for each request. A thousand signatures are a thousand C_SignInit and C_Sign and no search at all.
func TestHotPathCalls(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	s := newSpy(t)
	tok := hsmtest.Open(t, hsmtest.TokenIn(t, s.module))
	k := hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseSign)
	in := digest(crypto.SHA256, "a")
	sign := func() {
		if _, err := tok.Sign(ctx, k, p256, in); err != nil {
			t.Fatal(err)
		}
	}
	sign()
	got := s.counts(func() {
		for range 1000 {
			sign()
		}
	}, "C_SignInit", "C_Sign", "C_FindObjectsInit", "C_FindObjects", "C_GetAttributeValue", "C_OpenSession", "C_Login")
	want := map[string]int{"C_SignInit": 1000, "C_Sign": 1000, "C_FindObjectsInit": 0, "C_FindObjects": 0, "C_GetAttributeValue": 0,
		"C_OpenSession": 0, "C_Login": 0}
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%s: %d calls, want %d", name, got[name], n)
		}
	}
}

// The same of secret keys: two calls each.
func TestHotPathCallsOfSecrets(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	s := newSpy(t)
	tok := hsmtest.Open(t, hsmtest.TokenIn(t, s.module))
	k, m := hsmtest.NewSecret(t, tok, hsm.Symmetric), hsmtest.NewSecret(t, tok, hsm.HMAC256)
	use := func() {
		iv, ct, err := tok.EncryptGCM(ctx, k, []byte("a"), []byte("aad"))
		if err == nil {
			_, err = tok.DecryptGCM(ctx, k, iv, ct, []byte("aad"))
		}
		if err == nil {
			_, err = tok.MAC(ctx, m, []byte("a"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	use()
	want := map[string]int{"C_EncryptInit": 500, "C_Encrypt": 500, "C_DecryptInit": 500, "C_Decrypt": 500, "C_SignInit": 500, "C_Sign": 500,
		"C_FindObjectsInit": 0, "C_FindObjects": 0, "C_GetAttributeValue": 0, "C_OpenSession": 0, "C_Login": 0}
	got := s.counts(func() {
		for range 500 {
			use()
		}
	}, slices.Collect(maps.Keys(want))...)
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%s: %d calls, want %d", name, got[name], n)
		}
	}
}

// A wrong PIN is tried exactly once: opencryptoki locks after three, a TPM after four, for all its tokens.
func TestWrongPINIsTriedOnce(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	s := newSpy(t)
	c := hsmtest.TokenIn(t, s.module)
	right := c.PINFile
	c.PINFile = hsmtest.PINFile(t, "wrong-pin")
	n := s.counts(func() {
		_, err := hsm.Open(ctx, c)
		if !errors.Is(err, hsm.ErrPINRefused) {
			t.Errorf("a wrong PIN: %v", err)
		}
		if bytes.Contains(fmt.Append(nil, err), []byte("wrong-pin")) {
			t.Error("the error shows the PIN")
		}
	}, "C_Login", "C_Logout")
	if n["C_Login"] != 1 || n["C_Logout"] != 0 {
		t.Errorf("calls: %v", n)
	}
	// With a live login in the process, a wrong PIN proves nothing and is not needed (CKR_USER_ALREADY_LOGGED_IN).
	wrong := c.PINFile
	c.PINFile = right
	hsmtest.Open(t, c)
	c.PINFile = wrong
	second := hsmtest.Open(t, c)
	if err := second.Ready(ctx); err != nil {
		t.Error(err)
	}
}

// The token is initialised by someone else under our feet, with another PIN: that PIN's refusal ends the attempts until the PIN file changes.
func TestPINChangedByAnother(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	s := newSpy(t)
	c := hsmtest.TokenIn(t, s.module)
	tok := hsmtest.Open(t, c)
	k := hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseSign)
	in := digest(crypto.SHA256, "a")
	sign := func(want error) {
		t.Helper()
		hsmtest.Eventually(t, back, "sign answers "+want.Error(), func() error {
			if _, err := tok.Sign(ctx, k, p256, in); !errors.Is(err, want) {
				return err
			}
			return nil
		})
	}
	n := s.counts(func() {
		reinitialise(t, c.Serial, "another-pin")
		sign(hsm.ErrPINRefused)
		time.Sleep(3 * time.Second) // not to synchronise: long enough for several rounds of the recovery
		sign(hsm.ErrPINRefused)
	}, "C_Login")
	if n["C_Login"] != 1 {
		t.Errorf("%d login attempts", n["C_Login"])
	}
	if err := os.WriteFile(c.PINFile, []byte("another-pin"), 0o600); err != nil {
		t.Fatal(err)
	}
	sign(hsm.ErrKeyMissing)
	if err := tok.Ready(ctx); err != nil {
		t.Error(err)
	}
}

// reinitialise has another process initialise the token with this serial: its keys are gone.
func reinitialise(t *testing.T, serial, pin string) {
	t.Helper()
	run(t, "softhsm2-util", "--init-token", "--serial", serial, "--label", "again", "--so-pin", hsmtest.SOPIN, "--pin", pin)
}

func run(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return out
}

// The token is initialised by someone else, and another key made under the same CKA_ID: never a signature by that one.
func TestReinitialisedWithAnotherKey(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	c := hsmtest.NewToken(t)
	c.SkipECDSACheck = true // the check must not be all that stands between
	tok := hsmtest.Open(t, c)
	k := hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseSign)
	in := digest(crypto.SHA256, "a")
	if _, err := tok.Sign(ctx, k, p256, in); err != nil {
		t.Fatal(err)
	}
	l := startReinitLoad(t, tok, k, in)
	reinitialise(t, c.Serial, hsmtest.PIN)
	run(t, "pkcs11-tool", "--module", c.Module, "--login", "--pin", hsmtest.PIN, "--token-label", "again", "--keypairgen",
		"--key-type", "EC:prime256v1", "--usage-sign", "--id", fmt.Sprintf("%x", k.ID()), "--label", "other", "--sensitive")
	hsmtest.Eventually(t, back, "the key is refused", func() error {
		_, err := tok.Sign(ctx, k, p256, in)
		if errors.Is(err, hsm.ErrKeyMissing) && bytes.Contains([]byte(err.Error()), []byte("another key under this CKA_ID")) {
			return nil
		}
		return err
	})
	l()
}

// startReinitLoad signs all the while: whatever comes out must be the right key's.
func startReinitLoad(t *testing.T, tok *hsm.Token, k *hsm.Key, in []byte) (end func()) {
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if sig, err := tok.Sign(ctx, k, p256, in); err == nil {
				if err := k.Verify(p256, in, sig); err != nil {
					t.Error("signed by the wrong key")
				}
			}
		}
	}()
	return func() {
		close(stop)
		<-ended
	}
}

// Idle sessions are used now and then, so that an HSM does not close them (crypto11 10, autograph 132); sessions in use need not be.
func TestKeepAlive(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	s := newSpy(t)
	c := hsmtest.TokenIn(t, s.module)
	c.KeepAlive = 50 * time.Millisecond
	tok := hsmtest.Open(t, c)
	k := hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseSign)
	hsmtest.Eventually(t, back, "idle sessions are used", func() error {
		n := s.counts(func() { time.Sleep(100 * time.Millisecond) }, "C_GetSessionInfo", "C_OpenSession")
		if n["C_GetSessionInfo"] < 4 || n["C_OpenSession"] != 0 {
			return fmt.Errorf("%v", n)
		}
		return nil
	})
	if _, err := tok.Sign(ctx, k, p256, digest(crypto.SHA256, "a")); err != nil {
		t.Error(err)
	}
}

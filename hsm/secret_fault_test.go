package hsm_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// Who makes the IV: the IV that is told is the one that was used, or there is no ciphertext.
func TestGCMIV(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	f := newFaulty(t)
	c := hsmtest.TokenIn(t, f.module)
	for _, x := range []struct {
		fault, mode string
		size        int // of the IV; 0: fails closed
	}{
		{"", "", 12},
		{"", "random", 12},
		{"", "token", 0}, // SoftHSM makes none, and would take zeros
		{"writes-iv", "token", 12},
		{"writes-iv", "random", 0},
		{"appends-iv", "token", 16},
		{"appends-iv", "random", 0},
		{"ignores-iv", "random", 0},
	} {
		t.Run(x.fault+"/"+x.mode, func(t *testing.T) {
			c.GCMIV, c.OmitAttributes = x.mode, nil
			if x.fault != "" { // the self-test is remembered by the configuration: this one is another
				c.OmitAttributes = []string{"CKA_LABEL"}
			}
			f.set("")
			plain := c
			plain.GCMIV = "random"
			s, key := known(t, hsmtest.Open(t, plain), hsm.Symmetric)
			f.set(x.fault)
			hsm.ForgetSelfTests()
			tok := hsmtest.Open(t, c)
			err := tok.Supports(hsm.Symmetric, hsm.UseCipher)
			if x.size == 0 {
				if _, got := tok.GenerateSecret(ctx, hsm.Symmetric, hsm.NewID(), ""); !errors.Is(err, hsm.ErrUnsupported) || !errors.Is(got, hsm.ErrUnsupported) {
					t.Errorf("supported: %v, %v", err, got)
				}
				if iv, ct, err := tok.EncryptGCM(ctx, s, []byte("a"), nil); err == nil {
					t.Errorf("a ciphertext: %x %x", iv, ct)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			hsmtest.NewSecret(t, tok, hsm.Symmetric)
			for range 3 {
				iv, ct, err := tok.EncryptGCM(ctx, s, []byte("a text"), []byte("aad"))
				if err != nil || len(iv) != x.size {
					t.Fatalf("%x: %v", iv, err)
				}
				if got, err := tok.DecryptGCM(ctx, s, iv, ct, []byte("aad")); err != nil || string(got) != "a text" {
					t.Errorf("%q, %v", got, err)
				}
				if !hsm.OpensInGo(key, iv, ct, []byte("aad"), []byte("a text")) {
					t.Error("Go does not decrypt it")
				}
			}
			f.set("") // a token that stops making them
			if x.mode == "token" {
				if iv, ct, err := tok.EncryptGCM(ctx, s, []byte("a"), nil); !errors.Is(err, hsm.ErrFailed) {
					t.Errorf("an IV of zeros: %x %x %v", iv, ct, err)
				}
			}
		})
	}
}

// A secret key that may wrap is one that lets other keys out.
func TestWrappingSecret(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	f := newFaulty(t)
	tok := hsmtest.Open(t, hsmtest.TokenIn(t, f.module))
	f.set("wraps")
	for _, spec := range hsm.SecretSpecs() {
		if _, err := tok.GenerateSecret(ctx, spec, hsm.NewID(), ""); !errors.Is(err, hsm.ErrUnprotected) || !strings.Contains(fmt.Sprint(err), "CKA_WRAP") {
			t.Errorf("%s: %v", spec, err)
		}
	}
}

// A random number generator that is broken, and a module that wants no length for ECDH.
func TestOtherModules(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	f := newFaulty(t)
	f.set("no-length")
	tok := hsmtest.Open(t, hsmtest.TokenIn(t, f.module))
	k := hsmtest.NewKey(t, tok, hsm.NISTP521, hsm.UseAgree)
	for range 12 { // half of the secrets of P-521 begin with a zero
		spki, want := peerOf(t, k)
		if got, err := tok.Agree(ctx, k, spki); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%x, %v", got, err)
		}
	}
	f.set("zero-random")
	for _, n := range []int{1, 16, 3000} {
		if b, err := tok.Random(ctx, n); !errors.Is(err, hsm.ErrFailed) || b != nil {
			t.Errorf("random numbers: %x, %v", b, err)
		}
	}
}

// The sessions die and the handles of two keys change places, all in one life of the module: the wrong key is found out before it is used.
func TestSwappedHandles(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	f := newFaulty(t)
	for _, spec := range []hsm.KeySpec{hsm.Symmetric, hsm.HMAC256} {
		tok := hsmtest.Open(t, hsmtest.TokenIn(t, f.module))
		keys := []*hsm.Secret{hsmtest.NewSecret(t, tok, spec), hsmtest.NewSecret(t, tok, spec)}
		use := func(s *hsm.Secret) error {
			if spec == hsm.Symmetric {
				_, _, err := tok.EncryptGCM(ctx, s, []byte("a"), nil)
				return err
			}
			_, err := tok.MAC(ctx, s, []byte("a"))
			return err
		}
		for _, s := range keys {
			if err := use(s); err != nil {
				t.Fatal(err)
			}
		}
		f.set("swapped")
		hsmtest.Eventually(t, back, "the key is refused", func() error {
			err := use(keys[0])
			if err == nil {
				t.Fatal("the other key was used")
			}
			if !errors.Is(err, hsm.ErrKeyMissing) {
				return err
			}
			return nil
		})
		f.set("")
		for _, s := range keys {
			hsmtest.Eventually(t, back, "the keys are back", func() error { return use(s) })
		}
	}
}

// TestSecretsThroughFaults uses secret keys all the while: the token goes away and comes back, the module is opened again, the sessions are
// closed, and the token is initialised again with other keys under the same CKA_IDs. Every answer is the right key's.
func TestSecretsThroughFaults(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	c := hsmtest.NewToken(t)
	tok := hsmtest.Open(t, c)
	s, key := known(t, tok, hsm.Symmetric)
	m, macKey := known(t, tok, hsm.HMAC256)
	k := hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseAgree)
	spki, secret := peerOf(t, k)
	use := func() error {
		iv, ct, err := tok.EncryptGCM(ctx, s, []byte("a text"), nil)
		if err == nil && !hsm.OpensInGo(key, iv, ct, nil, []byte("a text")) {
			t.Error("encrypted with another key")
		}
		got, errMAC := tok.MAC(ctx, m, []byte("a text"))
		if errMAC == nil && !bytes.Equal(got, mac(crypto.SHA256, macKey, []byte("a text"))) {
			t.Error("a MAC of another key")
		}
		agreed, errAgree := tok.Agree(ctx, k, spki)
		if errAgree == nil && !bytes.Equal(agreed, secret) {
			t.Error("agreed with another key")
		}
		fixed := make([]byte, 12)
		_, errOpen := tok.DecryptGCM(ctx, s, fixed, aead(t, key).Seal(nil, fixed, []byte("a text"), nil), nil)
		if errors.Is(errOpen, hsm.ErrBadCiphertext) && tok.Ready(ctx) == nil {
			_, again := tok.DecryptGCM(ctx, s, fixed, aead(t, key).Seal(nil, fixed, []byte("a text"), nil), nil)
			if errors.Is(again, hsm.ErrBadCiphertext) {
				t.Error("a good ciphertext is called bad")
			}
		}
		return errors.Join(err, errMAC, errAgree, errOpen)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = use() // may be refused at any time; must not be wrong
				}
			}
		})
	}
	works := func() { hsmtest.Eventually(t, 2*back, "all work", use) }
	fails := func(want error) {
		hsmtest.Eventually(t, 2*back, "refused", func() error {
			if err := use(); !errors.Is(err, want) {
				return fmt.Errorf("not yet: %w", err)
			}
			return nil
		})
	}
	works()
	dir, gone := tokenFolder(t), filepath.Join(t.TempDir(), "gone")
	for range 2 {
		if err := os.Rename(dir, gone); err != nil {
			t.Fatal(err)
		}
		fails(hsm.ErrUnavailable)
		if err := os.Rename(gone, dir); err != nil {
			t.Fatal(err)
		}
		works()
	}
	reinitialise(t, c.Serial, hsmtest.PIN)
	fails(hsm.ErrKeyMissing)
	close(stop)
	wg.Wait()
	fresh := hsmtest.Open(t, c)
	for spec, id := range map[hsm.KeySpec][]byte{hsm.Symmetric: s.ID(), hsm.HMAC256: m.ID()} {
		other := make([]byte, 32)
		rand.Read(other)
		put(t, fresh, id, spec, other, false)
	}
	for range 20 { // with other keys there now
		for _, err := range []error{second(tok.EncryptGCM(ctx, s, []byte("a"), nil)), first(tok.MAC(ctx, m, []byte("a")))} {
			if !errors.Is(err, hsm.ErrKeyMissing) && !errors.Is(err, hsm.ErrUnavailable) {
				t.Errorf("with another key: %v", err)
			}
		}
		time.Sleep(20 * time.Millisecond) // through the rounds of the recovery
	}
	hsmtest.Eventually(t, 2*back, "another key is named as such", func() error {
		err := first(tok.MAC(ctx, m, []byte("a")))
		if !strings.Contains(fmt.Sprint(err), "another key under this CKA_ID") {
			return fmt.Errorf("not yet: %w", err)
		}
		return nil
	})
}

func first(_ []byte, err error) error { return err }

func second(_, _ []byte, err error) error { return err }

// Sessions closed behind our back cost nobody a secret key.
func TestSecretsOnDeadSessions(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	c := hsmtest.NewToken(t)
	tok := hsmtest.Open(t, c)
	s, m := hsmtest.NewSecret(t, tok, hsm.Symmetric), hsmtest.NewSecret(t, tok, hsm.HMAC256)
	info, err := tok.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	other := pkcs11.New(c.Module)
	for range 3 {
		if err := other.CloseAllSessions(info.Slot); err != nil {
			t.Fatal(err)
		}
		hsmtest.Eventually(t, back, "the keys work", func() error {
			return errors.Join(second(tok.EncryptGCM(ctx, s, []byte("a"), nil)), first(tok.MAC(ctx, m, []byte("a"))))
		})
	}
}

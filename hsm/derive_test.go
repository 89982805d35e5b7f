package hsm_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// A token without AES-GCM makes no symmetric key unless the configuration says how.
func TestWithoutGCMIsRefused(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	f := newFaulty(t)
	f.set("no-gcm")
	c := hsmtest.TokenIn(t, f.module)
	tok := hsmtest.Open(t, c)
	_, err := tok.GenerateSecret(ctx, hsm.Symmetric, hsm.NewID(), "x")
	if !errors.Is(err, hsm.ErrUnsupported) || !strings.Contains(err.Error(), "CKR_MECHANISM_INVALID") || !strings.Contains(err.Error(), "without_gcm: derive") {
		t.Errorf("it says %v", err)
	}
	if err := tok.Supports(hsm.HMAC256, hsm.UseMAC); err != nil {
		t.Error(err)
	}
	c.WithoutGCM = "yes"
	if _, err := hsm.Open(ctx, c); !errors.Is(err, hsm.ErrInvalid) || !strings.Contains(err.Error(), "refuse or derive") {
		t.Errorf("another word: %v", err)
	}
}

// With without_gcm: derive, all that symmetric keys do works there, and what is in the token does not leave it.
func TestWithoutGCMDerives(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	f := newFaulty(t)
	f.set("no-gcm")
	c := hsmtest.TokenIn(t, f.module)
	core, lines := observer.New(zapcore.WarnLevel)
	c.WithoutGCM, c.Log = "derive", zap.New(core)
	tok := hsmtest.Open(t, c)
	if logged := lines.All(); len(logged) != 1 || logged[0].ContextMap()["name"] != "SYMMETRIC_DEFAULT" || !strings.Contains(fmt.Sprint(logged[0].ContextMap()["detail"]), "derived by HMAC") {
		t.Errorf("at start it warns %+v", logged)
	}
	if n := len(tok.Abilities()); n == 0 || !strings.Contains(ability(t, tok, "SYMMETRIC_DEFAULT").Detail, "derived by HMAC") {
		t.Errorf("the self-test does not tell: %+v", ability(t, tok, "SYMMETRIC_DEFAULT"))
	}
	hsmtest.TestSecrets(t, tok)

	s, other := hsmtest.NewSecret(t, tok, hsm.Symmetric), hsmtest.NewSecret(t, tok, hsm.Symmetric)
	text, aad := []byte("a plaintext"), []byte("bound to this")
	iv, ct, err := tok.EncryptGCM(ctx, s, text, aad)
	if err != nil || len(iv) != 28 || len(ct) != len(text)+16 {
		t.Fatalf("%d bytes of IV, %d of ciphertext, %v", len(iv), len(ct), err)
	}
	freshIVs(t, tok, s)
	for name, open := range map[string]func() ([]byte, error){
		"another key":    func() ([]byte, error) { return tok.DecryptGCM(ctx, other, iv, ct, aad) },
		"another nonce":  func() ([]byte, error) { return tok.DecryptGCM(ctx, s, flipped(iv, 0), ct, aad) },
		"another IV":     func() ([]byte, error) { return tok.DecryptGCM(ctx, s, flipped(iv, 27), ct, aad) },
		"a short IV":     func() ([]byte, error) { return tok.DecryptGCM(ctx, s, iv[:12], ct, aad) },
		"another text":   func() ([]byte, error) { return tok.DecryptGCM(ctx, s, iv, flipped(ct, 0), aad) },
		"another tag":    func() ([]byte, error) { return tok.DecryptGCM(ctx, s, iv, flipped(ct, len(ct)-1), aad) },
		"other data":     func() ([]byte, error) { return tok.DecryptGCM(ctx, s, iv, ct, nil) },
		"nothing but IV": func() ([]byte, error) { return tok.DecryptGCM(ctx, s, iv, nil, aad) },
	} {
		if got, err := open(); !errors.Is(err, hsm.ErrBadCiphertext) || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	// Whoever could compute MACs with it could derive the keys of all messages.
	if _, err := tok.MAC(ctx, s, []byte("x")); !errors.Is(err, hsm.ErrInvalid) {
		t.Errorf("a symmetric key computes a MAC: %v", err)
	}
	if err := tok.VerifyMAC(ctx, s, []byte("x"), make([]byte, 32)); !errors.Is(err, hsm.ErrInvalid) {
		t.Errorf("a symmetric key verifies a MAC: %v", err)
	}
}

// freshIVs: each message has a nonce and an IV of its own, and none is zero.
func freshIVs(t *testing.T, tok *hsm.Token, s *hsm.Secret) {
	t.Helper()
	seen := map[string]bool{string(make([]byte, 16)): true, string(make([]byte, 12)): true}
	for range 8 {
		iv, _, err := tok.EncryptGCM(ctx, s, []byte("a plaintext"), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{string(iv[:16]), string(iv[16:])} {
			if seen[part] {
				t.Errorf("%x is zero, or has been before", part)
			}
			seen[part] = true
		}
	}
}

// Only a token that refuses AES-GCM as such derives. What fails in another way is told with the advice that fits, and changes no form of keys.
func TestDerivesOnlyWithoutGCM(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	f := newFaulty(t)
	c := hsmtest.TokenIn(t, f.module)
	for _, without := range []string{"refuse", "derive"} {
		for _, fault := range []struct {
			name, advice string
			derives      bool
		}{
			{"ignores-iv", "gcm_iv: token", false}, {"writes-iv", "gcm_iv: token", false}, {"appends-iv", "gcm_iv: token", false},
			{"gcm-fails", "another token", false}, {"gcm-unlisted", "", true}, {"no-gcm", "", true},
		} {
			hsm.ForgetTests()
			f.set(fault.name)
			c.WithoutGCM = without
			tok := hsmtest.Open(t, c)
			a := ability(t, tok, "SYMMETRIC_DEFAULT")
			want := map[bool]hsm.State{true: hsm.Yes, false: hsm.No}[fault.derives && without == "derive"]
			if a.State != want || strings.Contains(a.Detail, "without_gcm") != fault.derives || !strings.Contains(a.Advice, fault.advice) {
				t.Errorf("%s, %s: %+v", without, fault.name, a)
			}
			if _, err := tok.GenerateSecret(ctx, hsm.Symmetric, hsm.NewID(), "x"); (err == nil) != (want == hsm.Yes) {
				t.Errorf("%s, %s: %v", without, fault.name, err)
			}
		}
	}
}

// Where nothing can be tried, derive is not in effect, and the ability says so.
func TestDerivesNotUntried(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	f := newFaulty(t)
	f.set("no-session-keys")
	c := hsmtest.TokenIn(t, f.module)
	c.WithoutGCM = "derive"
	if a := ability(t, hsmtest.Open(t, c), "SYMMETRIC_DEFAULT"); a.State != hsm.Unknown || !strings.Contains(a.Detail, "derive is not in effect") {
		t.Errorf("%+v", a)
	}
}

// A key for HMAC computes nothing that could be the key of a message, since the same material may be in both.
func TestMACIsNoKeyOfAMessage(t *testing.T) {
	t.Parallel()
	tok := hsmtest.Open(t, hsmtest.NewToken(t))
	prefix := []byte("\x00\x00\x00\x01hsmgate: key of one message, AES-256-GCM\x00")
	for _, spec := range hsm.SecretSpecs()[1:] {
		s := hsmtest.NewSecret(t, tok, spec)
		for _, message := range [][]byte{prefix, append(bytes.Clone(prefix), make([]byte, 20)...), prefix[1:], prefix[:len(prefix)-1]} {
			reserved := spec == hsm.HMAC256 && bytes.HasPrefix(message, prefix)
			mac, err := tok.MAC(ctx, s, message)
			if reserved != errors.Is(err, hsm.ErrInvalid) || reserved == (mac != nil) {
				t.Errorf("%s: %x, %v", spec, mac, err)
			}
			if err := tok.VerifyMAC(ctx, s, message, mac); reserved != (err != nil && strings.Contains(err.Error(), "begins like")) {
				t.Errorf("%s: verify: %v", spec, err)
			}
		}
	}
}

// What is derived is what OpenSSL derives (NIST SP 800-108), for a key whose value is known. A key for GCM and one that derives stay what they
// are, on a token that has GCM, too.
func TestDerivedAgainstOpenSSL(t *testing.T) {
	t.Parallel()
	c := hsmtest.NewToken(t)
	c.WithoutGCM = "derive"
	tok := hsmtest.Open(t, c)
	value, id := make([]byte, 32), hsm.NewID()
	rand.Read(value)
	put(t, tok, id, hsm.HMAC256, value, false)
	s, err := hsm.NewSecret(id, hsm.Symmetric, check(t, hsm.HMAC256, value))
	if err != nil {
		t.Fatal(err)
	}
	iv, ct, err := tok.EncryptGCM(ctx, s, []byte("a plaintext"), []byte("aad"))
	if err != nil {
		t.Fatal(err)
	}
	hsmtest.OpensInGo(t, value, iv, ct, []byte("a plaintext"), []byte("aad"))
	own := hsmtest.NewSecret(t, tok, hsm.Symmetric)
	if iv, _, err := tok.EncryptGCM(ctx, own, []byte("x"), nil); err != nil || len(iv) != 12 {
		t.Errorf("a new key where the token has AES-GCM: %d bytes of IV, %v", len(iv), err)
	}
}

func ability(t *testing.T, tok *hsm.Token, name string) hsm.Ability {
	t.Helper()
	for _, a := range tok.Abilities() {
		if a.Name == name {
			return a
		}
	}
	t.Fatalf("no ability %s", name)
	return hsm.Ability{}
}

func flipped(b []byte, at int) []byte {
	out := bytes.Clone(b)
	out[at] ^= 1
	return out
}

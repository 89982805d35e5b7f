package hsmtest

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"testing"

	"github.com/hsmgate/hsmgate/hsm"
)

// TestSecrets is the part of the conformance kit for secret keys, ECDH and random numbers.
func TestSecrets(t *testing.T, tok *hsm.Token) {
	for _, spec := range hsm.SecretSpecs() {
		t.Run(string(spec), func(t *testing.T) { testSecret(t, tok, spec) })
	}
	for _, spec := range []hsm.KeySpec{hsm.NISTP256, hsm.NISTP384, hsm.NISTP521} {
		t.Run("ECDH_"+string(spec), func(t *testing.T) { testAgree(t, tok, spec) })
	}
	t.Run("random", func(t *testing.T) { testRandom(t, tok) })
}

// testSecret makes a secret key, uses it, and destroys it.
func testSecret(t *testing.T, tok *hsm.Token, spec hsm.KeySpec) {
	ctx := context.Background()
	use := hsm.UseMAC
	if spec == hsm.Symmetric {
		use = hsm.UseCipher
	}
	if err := tok.Supports(spec, use); err != nil {
		t.Skip(err)
	}
	s := NewSecret(t, tok, spec)
	find(t, tok, s.ID(), func(o hsm.Object) {
		if !o.Protected || o.Why != "" || !shownAs(o.Spec, spec) {
			t.Errorf("the token shows %+v for a key of type %s", o, spec)
		}
	})
	if use == hsm.UseCipher {
		testGCM(t, tok, s)
	} else {
		testMAC(t, tok, s)
	}
	if err := tok.Destroy(ctx, s.ID()); err != nil {
		t.Errorf("destroy: %v", err)
	}
	if n := find(t, tok, s.ID(), func(hsm.Object) {}); n != 0 {
		t.Errorf("%d objects are left after destruction", n)
	}
	var err error
	if use == hsm.UseCipher {
		_, _, err = tok.EncryptGCM(ctx, s, []byte("a"), nil)
	} else {
		_, err = tok.MAC(ctx, s, []byte("a"))
	}
	if !errors.Is(err, hsm.ErrKeyMissing) {
		t.Errorf("using a destroyed key: %v", err)
	}
}

// shownAs: a symmetric key may be kept as one for HMAC (Config.WithoutGCM).
func shownAs(got, spec hsm.KeySpec) bool {
	return got == spec || spec == hsm.Symmetric && got == hsm.HMAC256
}

func testGCM(t *testing.T, tok *hsm.Token, s *hsm.Secret) {
	ctx := context.Background()
	seen := map[string]bool{}
	for _, size := range []int{1, 15, 16, 17, 32, 4096, 6 << 10, 64 << 10} {
		for _, aad := range [][]byte{nil, []byte("aad"), bytes.Repeat([]byte("aad"), 2000)} {
			want := bytes.Repeat([]byte{7}, size)
			iv, ct, err := tok.EncryptGCM(ctx, s, want, aad)
			if err != nil {
				t.Fatalf("%d bytes: %v", size, err)
			}
			if len(ct) != size+16 || seen[string(iv)] {
				t.Fatalf("%d bytes: a ciphertext of %d bytes, IV %x", size, len(ct), iv)
			}
			seen[string(iv)] = true
			got, err := tok.DecryptGCM(ctx, s, iv, ct, aad)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes: %v", size, err)
			}
			ct[size/2] ^= 1
			if _, err := tok.DecryptGCM(ctx, s, iv, ct, aad); !errors.Is(err, hsm.ErrBadCiphertext) {
				t.Fatalf("a bad ciphertext: %v", err)
			}
		}
	}
	if _, err := tok.MAC(ctx, s, []byte("a")); !errors.Is(err, hsm.ErrInvalid) {
		t.Errorf("a key for encryption makes a MAC: %v", err)
	}
}

func testMAC(t *testing.T, tok *hsm.Token, s *hsm.Secret) {
	ctx := context.Background()
	for _, size := range []int{0, 1, 63, 64, 128, 4096, 64 << 10} {
		in := bytes.Repeat([]byte{7}, size)
		mac, err := tok.MAC(ctx, s, in)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if err := tok.VerifyMAC(ctx, s, in, mac); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		for _, wrong := range [][]byte{nil, mac[:len(mac)-1], append([]byte{mac[0] ^ 1}, mac[1:]...), append(bytes.Clone(mac), 0)} {
			if err := tok.VerifyMAC(ctx, s, in, wrong); !errors.Is(err, hsm.ErrInvalid) {
				t.Fatalf("a wrong MAC: %v", err)
			}
		}
		if err := tok.VerifyMAC(ctx, s, append(in, 1), mac); !errors.Is(err, hsm.ErrInvalid) {
			t.Fatalf("the MAC of another message: %v", err)
		}
	}
}

// testAgree compares the token's secret with Go's.
func testAgree(t *testing.T, tok *hsm.Token, spec hsm.KeySpec) {
	if err := tok.Supports(spec, hsm.UseAgree); err != nil {
		t.Skip(err)
	}
	ctx := context.Background()
	k := NewKey(t, tok, spec, hsm.UseAgree)
	defer func() {
		if err := tok.Destroy(ctx, k.ID()); err != nil {
			t.Errorf("destroy: %v", err)
		}
	}()
	own, err := k.Public().(*ecdsa.PublicKey).ECDH()
	if err != nil {
		t.Fatal(err)
	}
	for zero := range 2 { // the second secret begins with a zero
		priv, want := peer(t, own, zero == 1)
		spki, err := x509.MarshalPKIXPublicKey(priv.PublicKey())
		if err != nil {
			t.Fatal(err)
		}
		got, err := tok.Agree(ctx, k, spki)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("the secret is %x, want %x, %v", got, want, err)
		}
	}
	m := mechanisms(spec)[0]
	if _, err := tok.Sign(ctx, k, m, input(m)); err == nil {
		t.Error("a key for ECDH signs")
	}
}

// peer makes a key whose secret with own begins with a zero, or does not.
func peer(t *testing.T, own *ecdh.PublicKey, zero bool) (*ecdh.PrivateKey, []byte) {
	t.Helper()
	for {
		priv, err := own.Curve().GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		secret, err := priv.ECDH(own)
		if err != nil {
			t.Fatal(err)
		}
		if (secret[0] == 0) == zero {
			return priv, secret
		}
	}
}

func testRandom(t *testing.T, tok *hsm.Token) {
	ctx := context.Background()
	seen := map[string]bool{}
	for _, n := range []int{1, 8, 16, 32, 1023, 1025, 5000} {
		b, err := tok.Random(ctx, n)
		if errors.Is(err, hsm.ErrUnsupported) {
			t.Skip(err)
		}
		if err != nil || len(b) != n || n >= 16 && seen[string(b[:16])] {
			t.Fatalf("%d random bytes: %d, %v", n, len(b), err)
		}
		if n >= 16 {
			seen[string(b[:16])] = true
		}
	}
	for _, n := range []int{-1, 0, 64<<10 + 1} {
		if _, err := tok.Random(ctx, n); !errors.Is(err, hsm.ErrInvalid) {
			t.Errorf("%d random bytes: %v", n, err)
		}
	}
}

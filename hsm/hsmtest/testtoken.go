package hsmtest

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"testing"

	"github.com/hsmgate/hsmgate/hsm"
)

// mechanisms lists what each spec signs with.
func mechanisms(spec hsm.KeySpec) []hsm.SignMechanism {
	switch spec {
	case hsm.RSA2048, hsm.RSA3072, hsm.RSA4096:
		var all []hsm.SignMechanism
		for _, s := range []hsm.Scheme{hsm.PKCS1v15, hsm.PSS} {
			for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
				all = append(all, hsm.SignMechanism{Scheme: s, Hash: h})
			}
		}
		return all
	case hsm.NISTP384:
		return []hsm.SignMechanism{{Scheme: hsm.ECDSA, Hash: crypto.SHA384}}
	case hsm.NISTP521:
		return []hsm.SignMechanism{{Scheme: hsm.ECDSA, Hash: crypto.SHA512}}
	case hsm.MLDSA44, hsm.MLDSA65, hsm.MLDSA87:
		return []hsm.SignMechanism{{Scheme: hsm.MLDSA}}
	case hsm.Edwards25519:
		return []hsm.SignMechanism{{Scheme: hsm.Ed25519}, {Scheme: hsm.Ed25519ph, Hash: crypto.SHA512}}
	}
	return []hsm.SignMechanism{{Scheme: hsm.ECDSA, Hash: crypto.SHA256}}
}

// input is a digest of the right length, or a message.
func input(m hsm.SignMechanism) []byte {
	if m.Hash == 0 {
		return []byte("a message of any length")
	}
	h := m.Hash.New()
	h.Write([]byte("a message of any length"))
	return h.Sum(nil)
}

// TestToken runs the conformance kit on the token that c opens: every key spec and mechanism that the token says it has, the protection of
// the keys it makes, destruction, and the answers to what it cannot do. Whatever it leaves out is a skipped subtest that says why. It leaves
// no key behind.
func TestToken(t *testing.T, c hsm.Config) {
	tok := Open(t, c)
	info, err := tok.Info(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s %s (library %s %s), token %q, serial %s", info.Manufacturer, info.Model, info.Library, info.LibraryVersion, info.Label, info.Serial)
	for _, a := range tok.Abilities() {
		t.Logf("%-40s %-8s %s", a.Name, a.State, a.Detail)
	}
	for _, spec := range hsm.Specs() {
		t.Run(string(spec), func(t *testing.T) {
			switch spec {
			case hsm.MLKEM512, hsm.MLKEM768, hsm.MLKEM1024:
				testDecapsulate(t, tok, spec)
			default:
				testSign(t, tok, spec)
			}
		})
	}
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
		t.Run("OAEP_"+h.String(), func(t *testing.T) { testDecrypt(t, tok, h) })
	}
	TestSecrets(t, tok)
	t.Run("missing", func(t *testing.T) { testMissing(t, tok) })
}

// testSign makes a key, signs by each mechanism, checks in Go, and destroys the key.
func testSign(t *testing.T, tok *hsm.Token, spec hsm.KeySpec) {
	ctx := context.Background()
	k := makeKey(t, tok, spec, hsm.UseSign)
	for _, m := range mechanisms(spec) {
		t.Run(m.String(), func(t *testing.T) {
			if err := tok.SupportsSign(spec, m); err != nil {
				t.Skip(err)
			}
			in := input(m)
			sig, err := tok.Sign(ctx, k, m, in)
			if err != nil {
				t.Fatal(err)
			}
			if err := k.Verify(m, in, sig); err != nil {
				t.Fatal(err)
			}
			in[0] ^= 1
			if k.Verify(m, in, sig) == nil {
				t.Fatal("the signature verifies for another input")
			}
		})
	}
	find(t, tok, k.ID(), func(o hsm.Object) {
		if !o.Protected || o.Why != "" || o.Spec != spec {
			t.Errorf("the token shows %+v for a key of type %s", o, spec)
		}
	})
}

// makeKey makes a key and has it destroyed and its absence checked at the end of the subtest.
func makeKey(t *testing.T, tok *hsm.Token, spec hsm.KeySpec, use hsm.Use) *hsm.Key {
	t.Helper()
	if err := tok.Supports(spec, use); err != nil {
		t.Skip(err)
	}
	ctx := context.Background()
	k := NewKey(t, tok, spec, use)
	t.Cleanup(func() {
		if err := tok.Destroy(ctx, k.ID()); err != nil {
			t.Errorf("destroy: %v", err)
		}
		if n := find(t, tok, k.ID(), func(hsm.Object) {}); n != 0 {
			t.Errorf("%d objects are left after destruction", n)
		}
		if use == hsm.UseSign {
			m := mechanisms(spec)[0]
			if _, err := tok.Sign(ctx, k, m, input(m)); !errors.Is(err, hsm.ErrKeyMissing) {
				t.Errorf("signing with a destroyed key: %v", err)
			}
		}
	})
	return k
}

func find(t *testing.T, tok *hsm.Token, id []byte, f func(hsm.Object)) (n int) {
	t.Helper()
	all, err := tok.Objects(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range all {
		if bytes.Equal(o.ID, id) {
			n++
			f(o)
		}
	}
	return n
}

func testDecrypt(t *testing.T, tok *hsm.Token, h crypto.Hash) {
	ctx := context.Background()
	k := makeKey(t, tok, hsm.RSA2048, hsm.UseDecrypt)
	for _, size := range []int{0, 1, 32, 256 - 2*h.Size() - 2} {
		want := bytes.Repeat([]byte{7}, size)
		ct, err := k.Encrypt(h, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tok.Decrypt(ctx, k, h, ct)
		if errors.Is(err, hsm.ErrUnsupported) {
			t.Skip(err)
		}
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: %x, %v", size, got, err)
		}
		ct[len(ct)-1] ^= 1
		if _, err := tok.Decrypt(ctx, k, h, ct); !errors.Is(err, hsm.ErrBadCiphertext) {
			t.Fatalf("a bad ciphertext: %v", err)
		}
	}
	m := hsm.SignMechanism{Scheme: hsm.PKCS1v15, Hash: crypto.SHA256}
	if _, err := tok.Sign(ctx, k, m, input(m)); err == nil {
		t.Error("a key for decryption signs")
	}
}

// testDecapsulate has the token open what was encapsulated in Go.
func testDecapsulate(t *testing.T, tok *hsm.Token, spec hsm.KeySpec) {
	ctx := context.Background()
	k := makeKey(t, tok, spec, hsm.UseDecapsulate)
	ct, want, err := k.Encapsulate()
	if err != nil {
		t.Fatal(err)
	}
	got, err := tok.Decapsulate(ctx, k, ct)
	if err != nil || !bytes.Equal(got, want) || len(got) != 32 {
		t.Fatalf("%x, %v", got, err)
	}
	ct[len(ct)-1] ^= 1
	other, err := tok.Decapsulate(ctx, k, ct) // FIPS 203, 7.3: another secret, and no error
	if err != nil || bytes.Equal(other, want) || len(other) != 32 {
		t.Fatalf("a ciphertext that was tampered with: %x, %v", other, err)
	}
	if _, err := tok.Decapsulate(ctx, k, ct[1:]); !errors.Is(err, hsm.ErrBadCiphertext) {
		t.Fatalf("a short ciphertext: %v", err)
	}
	find(t, tok, k.ID(), func(o hsm.Object) {
		if !o.Protected || o.Why != "" || o.Spec != spec {
			t.Errorf("the token shows %+v for a key of type %s", o, spec)
		}
	})
}

// testMissing asks for a key that is not there any more.
func testMissing(t *testing.T, tok *hsm.Token) {
	spec := hsm.NISTP256
	if tok.Supports(spec, hsm.UseSign) != nil {
		spec = hsm.RSA2048
	}
	k := makeKey(t, tok, spec, hsm.UseSign)
	ctx := context.Background()
	for range 2 { // the second time there is nothing to destroy
		if err := tok.Destroy(ctx, k.ID()); err != nil {
			t.Fatal(err)
		}
	}
	if err := tok.Ready(ctx); err != nil {
		t.Error(err)
	}
}

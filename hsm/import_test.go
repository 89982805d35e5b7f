package hsm_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// badCiphertext is the one answer.
const badCiphertext = "hsm: import: bad ciphertext"

// Material that is not what the spec says, unwrapped in the token (SHA-1) and here (SHA-256): refused by saying what would be right, and nothing is left.
func TestImportOfWrongMaterial(t *testing.T) {
	t.Parallel()
	openssl(t)
	tok := hsmtest.Open(t, hsmtest.NewToken(t))
	w, pub := hsmtest.WrappingKey(t, tok, 2048)
	value := func(spec hsm.KeySpec) []byte { return hsmtest.MaterialOf(t, spec, hsm.UseSign).Value }
	p256der := value(hsm.NISTP256)
	for _, how := range []hsm.WrapAlgorithm{hsm.WrapAESSHA1, hsm.WrapAESSHA256} {
		for _, c := range []struct {
			name     string
			spec     hsm.KeySpec
			use      hsm.Use
			material []byte
			says     string
		}{
			{"short AES", hsm.Symmetric, hsm.UseCipher, make([]byte, 16), "32"},
			{"long AES", hsm.Symmetric, hsm.UseCipher, make([]byte, 33), "32"},
			{"HMAC of another length", hsm.HMAC224, hsm.UseMAC, make([]byte, 32), "28"},
			{"HMAC of 64 for 48", hsm.HMAC384, hsm.UseMAC, make([]byte, 64), "48"},
			{"another curve", hsm.NISTP384, hsm.UseSign, p256der, "ECC_NIST_P384"},
			{"another curve, to agree", hsm.NISTP521, hsm.UseAgree, p256der, "ECC_NIST_P521"},
			{"RSA for EC", hsm.NISTP256, hsm.UseSign, value(hsm.RSA2048), "ECC_NIST_P256"},
			{"EC for RSA", hsm.RSA2048, hsm.UseSign, p256der, "RSA_2048"},
			{"another size", hsm.RSA3072, hsm.UseDecrypt, value(hsm.RSA2048), "RSA_3072"},
			{"no PKCS#8", hsm.NISTP256, hsm.UseSign, []byte("this is no key at all"), "PKCS#8"},
			{"cut off", hsm.NISTP256, hsm.UseSign, p256der[:len(p256der)-9], "PKCS#8"},
			{"Ed25519 for P-256", hsm.NISTP256, hsm.UseSign, value(hsm.Edwards25519), "ECC_NIST_P256"},
			{"P-256 for Ed25519", hsm.Edwards25519, hsm.UseSign, p256der, "ECC_NIST_EDWARDS25519"},
		} {
			id := hsm.NewID()
			_, err := tok.Import(ctx, w, how, hsmtest.Wrap(t, pub, how, c.material), c.spec, c.use, id, "wrong", true)
			if !errors.Is(err, hsm.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s, %s: %v", how, c.name, err)
			}
			leftNothing(t, tok, 1)
		}
	}
}

// leftNothing: so many private and secret keys are in the token, and nothing else of any kind.
func leftNothing(t *testing.T, tok *hsm.Token, pairs int) {
	t.Helper()
	info, err := tok.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	out := run(t, "pkcs11-tool", "--module", hsmtest.SoftHSM(t), "--login", "--pin", hsmtest.PIN, "--token-label", info.Label, "--list-objects")
	if n := bytes.Count(out, []byte(" Object;")); n != 2*pairs {
		t.Fatalf("%d objects in the token, want %d:\n%s", n, 2*pairs, out)
	}
}

// Everything that can be wrong with the wrapping gets one and the same answer, to the letter, whoever found it (Manger's attack).
func TestImportOfBadCiphertext(t *testing.T) {
	t.Parallel()
	openssl(t)
	tok := hsmtest.Open(t, hsmtest.NewToken(t))
	w, pub := hsmtest.WrappingKey(t, tok, 2048)
	_, otherPub := hsmtest.WrappingKey(t, tok, 2048)
	m := hsmtest.MaterialOf(t, hsm.NISTP256, hsm.UseSign)
	others := map[hsm.WrapAlgorithm]hsm.WrapAlgorithm{hsm.WrapOAEPSHA1: hsm.WrapOAEPSHA256, hsm.WrapOAEPSHA256: hsm.WrapOAEPSHA1,
		hsm.WrapAESSHA1: hsm.WrapAESSHA256, hsm.WrapAESSHA256: hsm.WrapAESSHA1}
	for how, other := range others {
		good := hsmtest.Wrap(t, pub, how, m.Value)
		flip := func(i int) []byte {
			b := bytes.Clone(good)
			b[i] ^= 1
			return b
		}
		bad := map[string][]byte{
			"empty": nil, "cut off": good[:len(good)-1], "a block less": good[:len(good)-8], "longer": append(bytes.Clone(good), make([]byte, 8)...),
			"zeros": make([]byte, len(good)), "ones": bytes.Repeat([]byte{0xff}, len(good)), "first byte": flip(0), "in the middle": flip(128), "last of the RSA": flip(255),
			"last byte": flip(len(good) - 1), "by another hash": hsmtest.Wrap(t, pub, other, m.Value), "for another key": hsmtest.Wrap(t, otherPub, how, m.Value),
			"much too long": make([]byte, 1<<20),
		}
		if how == hsm.WrapAESSHA1 || how == hsm.WrapAESSHA256 {
			inner := map[hsm.WrapAlgorithm]hsm.WrapAlgorithm{hsm.WrapAESSHA1: hsm.WrapOAEPSHA1, hsm.WrapAESSHA256: hsm.WrapOAEPSHA256}[how]
			bad["an AES key of 31 bytes"] = append(hsmtest.Wrap(t, pub, inner, make([]byte, 31)), good[256:]...)
			bad["another AES key"] = append(hsmtest.Wrap(t, pub, inner, make([]byte, 32)), good[256:]...)
			bad["no AES key"] = append(hsmtest.Wrap(t, pub, inner, nil), good[256:]...)
		}
		for name, wrapped := range bad {
			_, err := tok.Import(ctx, w, how, wrapped, hsm.NISTP256, hsm.UseSign, hsm.NewID(), "bad", true)
			if !errors.Is(err, hsm.ErrBadCiphertext) || err.Error() != badCiphertext {
				t.Errorf("%s, %s: %v", how, name, err)
			}
		}
	}
	for name, spoil := range spoils(crypto.SHA256.Size()) { // as TestBadCiphertexts: what is wrong inside
		k := w.Public().(*rsa.PublicKey)
		wrapped := rawRSA(k, encode(crypto.SHA256, k.Size(), []byte("secret"), spoil))
		_, err := tok.Import(ctx, w, hsm.WrapOAEPSHA256, wrapped, hsm.NISTP256, hsm.UseSign, hsm.NewID(), "bad", true)
		if !errors.Is(err, hsm.ErrBadCiphertext) || err.Error() != badCiphertext {
			t.Errorf("%s: %v", name, err)
		}
	}
	leftNothing(t, tok, 2)
}

// What does not go together is refused before the token is asked.
func TestImportRefused(t *testing.T) {
	t.Parallel()
	openssl(t)
	tok := hsmtest.Open(t, hsmtest.NewToken(t))
	w, pub := hsmtest.WrappingKey(t, tok, 2048)
	ec := hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseSign)
	signing := hsmtest.NewKey(t, tok, hsm.RSA2048, hsm.UseSign)
	m := hsmtest.MaterialOf(t, hsm.NISTP256, hsm.UseSign)
	wrapped := hsmtest.Wrap(t, pub, hsm.WrapAESSHA1, m.Value)
	long := make([]byte, 256)
	for _, c := range []struct {
		name string
		key  *hsm.Key
		how  hsm.WrapAlgorithm
		spec hsm.KeySpec
		use  hsm.Use
		id   []byte
		want error
	}{
		{"an EC key unwraps", ec, hsm.WrapAESSHA1, hsm.NISTP256, hsm.UseSign, hsm.NewID(), hsm.ErrInvalid},
		{"a signing key unwraps", signing, hsm.WrapAESSHA1, hsm.NISTP256, hsm.UseSign, hsm.NewID(), hsm.ErrUnsupported},
		{"another algorithm", w, "RSAES_PKCS1_V1_5", hsm.NISTP256, hsm.UseSign, hsm.NewID(), hsm.ErrInvalid},
		{"RSA by OAEP", w, hsm.WrapOAEPSHA1, hsm.RSA2048, hsm.UseSign, hsm.NewID(), hsm.ErrInvalid},
		{"another spec", w, hsm.WrapAESSHA1, "ECC_NIST_P192", hsm.UseSign, hsm.NewID(), hsm.ErrInvalid},
		{"another use", w, hsm.WrapAESSHA1, hsm.NISTP256, hsm.UseDecrypt, hsm.NewID(), hsm.ErrInvalid},
		{"ML-DSA", w, hsm.WrapAESSHA1, hsm.MLDSA65, hsm.UseSign, hsm.NewID(), hsm.ErrInvalid},
		{"no CKA_ID", w, hsm.WrapAESSHA1, hsm.NISTP256, hsm.UseSign, nil, hsm.ErrInvalid},
		{"a long CKA_ID", w, hsm.WrapAESSHA1, hsm.NISTP256, hsm.UseSign, long, hsm.ErrInvalid},
		{"a CKA_ID in use", w, hsm.WrapAESSHA1, hsm.NISTP256, hsm.UseSign, ec.ID(), hsm.ErrInvalid},
	} {
		wrapped := wrapped
		if c.key == signing { // below its own modulus, and not only below another
			own := filepath.Join(t.TempDir(), "signing.pem")
			if err := os.WriteFile(own, publicPEM(t, signing), 0o600); err != nil {
				t.Fatal(err)
			}
			wrapped = hsmtest.Wrap(t, own, hsm.WrapAESSHA1, m.Value)
		}
		if _, err := tok.Import(ctx, c.key, c.how, wrapped, c.spec, c.use, c.id, "refused", true); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for _, bits := range []int{0, 1024, 2047, 8192} {
		if _, err := tok.GenerateWrapping(ctx, bits, hsm.NewID(), "bits"); !errors.Is(err, hsm.ErrInvalid) {
			t.Errorf("a wrapping key of %d bits: %v", bits, err)
		}
	}
	if _, err := tok.Sign(ctx, ec, p256, digest(crypto.SHA256, "a")); err != nil {
		t.Errorf("the key whose CKA_ID was asked for: %v", err)
	}
	leftNothing(t, tok, 3)
}

// An imported key outlives the module, as one that was made there.
func TestImportedKeyStays(t *testing.T) {
	t.Parallel()
	openssl(t)
	c := hsmtest.NewToken(t)
	tok := hsmtest.Open(t, c)
	w, pub := hsmtest.WrappingKey(t, tok, 2048)
	for spec, how := range map[hsm.KeySpec]hsm.WrapAlgorithm{hsm.SECGP256K1: hsm.WrapAESSHA1, hsm.Edwards25519: hsm.WrapAESSHA256} {
		id := hsm.NewID()
		m := hsmtest.MaterialOf(t, spec, hsm.UseSign)
		in, err := tok.Import(ctx, w, how, hsmtest.Wrap(t, pub, how, m.Value), spec, hsm.UseSign, id, "stays", true)
		if err != nil {
			t.Fatal(err)
		}
		k, err := hsm.NewKey(id, spec, in.Public)
		if err != nil {
			t.Fatal(err)
		}
		sign := hsm.SignMechanism{Scheme: hsm.ECDSA, Hash: crypto.SHA256}
		if spec == hsm.Edwards25519 {
			sign = ed25519m
		}
		if _, err := hsmtest.Open(t, c).Sign(ctx, k, sign, digest(crypto.SHA256, "a")); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
	}
}

// Each way in which the token can go wrong: the import is refused, and nothing is left.
func TestFailedImportLeavesNothing(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	openssl(t)
	f := newFaulty(t)
	tok := hsmtest.Open(t, hsmtest.TokenIn(t, f.module))
	w, pub := hsmtest.WrappingKey(t, tok, 2048)
	kinds := []hsmtest.Material{hsmtest.MaterialOf(t, hsm.RSA2048, hsm.UseSign), hsmtest.MaterialOf(t, hsm.NISTP256, hsm.UseSign),
		hsmtest.MaterialOf(t, hsm.NISTP256, hsm.UseAgree), hsmtest.MaterialOf(t, hsm.Symmetric, hsm.UseCipher)}
	for _, how := range []hsm.WrapAlgorithm{hsm.WrapAESSHA1, hsm.WrapAESSHA256} { // unwrapped in the token, and here
		for _, m := range kinds {
			wrapped := hsmtest.Wrap(t, pub, how, m.Value)
			for fault, want := range map[string]error{"opens-for-good": hsm.ErrUnprotected, "blind": hsm.ErrUnprotected, "public-fails": hsm.ErrFailed,
				"fails-after": hsm.ErrFailed, "wrong-signature": hsm.ErrInvalid} {
				if fault == "public-fails" && m.Public == nil || fault == "wrong-signature" && (m.Spec != hsm.RSA2048) {
					continue
				}
				f.set(fault)
				id := hsm.NewID()
				_, err := tok.Import(ctx, w, how, wrapped, m.Spec, m.Use, id, "faulty", true)
				f.set("")
				if !errors.Is(err, want) {
					t.Errorf("%s, %s, %s: %v, want %v", fault, how, m.Spec, err, want)
				}
				leftNothing(t, tok, 1)
				if _, err := tok.Import(ctx, w, how, wrapped, m.Spec, m.Use, id, "sound", true); err != nil {
					t.Errorf("%s, %s, %s: the same CKA_ID afterwards: %v", fault, how, m.Spec, err)
				}
				if err := tok.Destroy(ctx, id); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// A token that takes no notice of CKA_SENSITIVE and CKA_EXTRACTABLE (opencryptoki, in C_UnwrapKey) is told once more, and then it does.
func TestImportHardens(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	openssl(t)
	f := newFaulty(t)
	tok := hsmtest.Open(t, hsmtest.TokenIn(t, f.module))
	w, pub := hsmtest.WrappingKey(t, tok, 2048)
	for _, how := range []hsm.WrapAlgorithm{hsm.WrapAESSHA1, hsm.WrapAESSHA256} {
		m := hsmtest.MaterialOf(t, hsm.NISTP256, hsm.UseSign)
		id := hsm.NewID()
		f.set("opens")
		if _, err := tok.Import(ctx, w, how, hsmtest.Wrap(t, pub, how, m.Value), m.Spec, m.Use, id, "hardened", true); err != nil {
			t.Errorf("%s: %v", how, err)
		}
		f.set("")
		all, err := tok.Objects(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range all {
			if !o.Protected {
				t.Errorf("%s: %+v", how, o)
			}
		}
	}
}

// A caller who stops waiting gets no key, and none is left.
func TestAbandonedImportLeavesNothing(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	openssl(t)
	f := newFaulty(t)
	tok := hsmtest.Open(t, hsmtest.TokenIn(t, f.module))
	w, pub := hsmtest.WrappingKey(t, tok, 2048)
	for _, how := range []hsm.WrapAlgorithm{hsm.WrapAESSHA1, hsm.WrapAESSHA256} {
		m := hsmtest.MaterialOf(t, hsm.NISTP256, hsm.UseSign)
		wrapped := hsmtest.Wrap(t, pub, how, m.Value)
		f.set("slow-generate")
		short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		_, err := tok.Import(short, w, how, wrapped, m.Spec, m.Use, hsm.NewID(), "slow", true)
		cancel()
		f.set("")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an impatient caller: %v", err)
		}
		id := hsm.NewID()
		if _, err := tok.Import(ctx, w, how, wrapped, m.Spec, m.Use, id, "next", true); err != nil { // one at a time: the other has ended
			t.Fatal(err)
		}
		if err := tok.Destroy(ctx, id); err != nil {
			t.Error(err)
		}
		leftNothing(t, tok, 1)
	}
	f.set("sessions-dead") // an HSM that closed idle sessions: another is taken
	m := hsmtest.MaterialOf(t, hsm.NISTP256, hsm.UseSign)
	if _, err := tok.Import(ctx, w, hsm.WrapAESSHA1, hsmtest.Wrap(t, pub, hsm.WrapAESSHA1, m.Value), m.Spec, m.Use, hsm.NewID(), "another session", false); err != nil {
		t.Error(err)
	}
}

// What the memory way needs is named where it is not allowed.
func TestImportThroughMemoryIsAllowedFirst(t *testing.T) {
	t.Parallel()
	openssl(t)
	tok := hsmtest.Open(t, hsmtest.NewToken(t))
	w, pub := hsmtest.WrappingKey(t, tok, 2048)
	m := hsmtest.MaterialOf(t, hsm.Symmetric, hsm.UseCipher)
	wrapped := hsmtest.Wrap(t, pub, hsm.WrapOAEPSHA256, m.Value)
	_, err := tok.Import(ctx, w, hsm.WrapOAEPSHA256, wrapped, m.Spec, m.Use, hsm.NewID(), "memory", false)
	if !errors.Is(err, hsm.ErrUnsupported) || !strings.Contains(fmt.Sprint(err), "allow imports through this process's memory") {
		t.Errorf("%v", err)
	}
	leftNothing(t, tok, 1)
}

// Where a library makes another client of each C_GetFunctionList, everything goes through miekg/pkcs11.
func TestImportWithoutFunctionList(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	openssl(t)
	c := hsmtest.NewToken(t)
	if err := hsm.DropFunctionList(c.Module); err != nil {
		t.Fatal(err)
	}
	tok := hsmtest.Open(t, c)
	w, pub := hsmtest.WrappingKey(t, tok, 2048)
	for _, how := range []hsm.WrapAlgorithm{hsm.WrapAESSHA1, hsm.WrapAESSHA256} {
		for _, m := range []hsmtest.Material{hsmtest.MaterialOf(t, hsm.RSA2048, hsm.UseSign), hsmtest.MaterialOf(t, hsm.Symmetric, hsm.UseCipher)} {
			in, err := tok.Import(ctx, w, how, hsmtest.Wrap(t, pub, how, m.Value), m.Spec, m.Use, hsm.NewID(), "no list", true)
			if err != nil || !bytes.Equal(in.Public, m.Public) {
				t.Errorf("%s, %s: %v", how, m.Spec, err)
			}
		}
	}
}

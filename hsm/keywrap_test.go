package hsm_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"math/big"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	secpecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The vectors of RFC 5649, 6.
func TestKeyWrapVectors(t *testing.T) {
	t.Parallel()
	kek := unhex(t, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8")
	for material, wrapped := range map[string]string{
		"c37b7e6492584340bed12207808941155068f738": "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a",
		"466f7250617369": "afbeb0f07dfbf5419200f2ccb50bb24f",
	} {
		got, ok := hsm.KWPUnwrap(kek, unhex(t, wrapped))
		if !ok || hex.EncodeToString(got) != material {
			t.Errorf("unwraps %x, %v; want %s", got, ok, material)
		}
		back, err := hsm.KWPWrap(kek, unhex(t, material))
		if err != nil || hex.EncodeToString(back) != wrapped {
			t.Errorf("wraps %x, %v; want %s", back, err, wrapped)
		}
	}
}

// Lengths around the block, wrapped by OpenSSL; and everything that was tampered with is refused.
func TestKeyWrapOfOpenSSL(t *testing.T) {
	t.Parallel()
	openssl(t)
	kek := bytes.Repeat([]byte{7}, 32)
	for _, size := range []int{1, 7, 8, 9, 15, 16, 17, 32, 138, 1217} {
		material := make([]byte, size)
		rand.Read(material)
		wrapped := hsmtest.OpenSSL(t, material, "enc", "-id-aes256-wrap-pad", "-e", "-K", hex.EncodeToString(kek), "-iv", "A65959A6")
		got, ok := hsm.KWPUnwrap(kek, wrapped)
		if !ok || !bytes.Equal(got, material) {
			t.Errorf("%d bytes: %x, %v", size, got, ok)
		}
		for i := 0; i < len(wrapped); i += 1 + len(wrapped)/16 {
			wrapped[i] ^= 1
			if _, ok := hsm.KWPUnwrap(kek, wrapped); ok {
				t.Errorf("%d bytes: taken with another byte %d", size, i)
			}
			wrapped[i] ^= 1
		}
	}
	for size := range 24 {
		if _, ok := hsm.KWPUnwrap(kek, make([]byte, size)); ok {
			t.Errorf("%d zeros are taken", size)
		}
	}
	if _, ok := hsm.KWPUnwrap(kek[:31], make([]byte, 16)); ok {
		t.Error("a key of 31 bytes is taken")
	}
}

// Padding that is not zeros, and lengths that do not fit, are refused although the block begins rightly.
func TestKeyWrapPadding(t *testing.T) {
	t.Parallel()
	kek := bytes.Repeat([]byte{7}, 32)
	for name, plain := range map[string]string{
		"padding not zero": "a65959a6" + "00000005" + "0102030405000001",
		"too long":         "a65959a6" + "00000009" + "0102030405060708",
		"too short":        "a65959a6" + "00000000" + "0000000000000000",
		"huge":             "a65959a6" + "ffffffff" + "0102030405060708",
		"another begin":    "a65959a7" + "00000008" + "0102030405060708",
	} {
		wrapped := hsmtest.OpenSSL(t, unhex(t, plain), "enc", "-aes-256-ecb", "-nopad", "-e", "-K", hex.EncodeToString(kek))
		if got, ok := hsm.KWPUnwrap(kek, wrapped); ok {
			t.Errorf("%s: %x", name, got)
		}
	}
}

// The public key is among those that a signature leaves.
func TestCandidates(t *testing.T) {
	t.Parallel()
	has := func(all []crypto.PublicKey, pub interface{ Equal(crypto.PublicKey) bool }) bool {
		for _, p := range all {
			if pub.Equal(p) {
				return true
			}
		}
		return false
	}
	for spec, c := range map[hsm.KeySpec]elliptic.Curve{hsm.NISTP256: elliptic.P256(), hsm.NISTP384: elliptic.P384(), hsm.NISTP521: elliptic.P521()} {
		size := (c.Params().BitSize + 7) / 8
		for range 8 {
			k, err := ecdsa.GenerateKey(c, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			digest := make([]byte, 64) // longer than P-256's and P-384's orders
			rand.Read(digest)
			der, err := k.Sign(rand.Reader, digest, nil)
			if err != nil {
				t.Fatal(err)
			}
			sig := rawSignature(t, der, size)
			all := hsm.Candidates(spec, digest, sig)
			if !has(all, k.Public().(*ecdsa.PublicKey)) {
				t.Errorf("%s: not among %d", spec, len(all))
			}
			if hsm.Candidates(spec, digest, sig[1:]) != nil || hsm.Candidates(spec, digest, make([]byte, 2*size)) != nil {
				t.Errorf("%s: no signature leaves points", spec)
			}
		}
	}
	k, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	digest := make([]byte, 32)
	rand.Read(digest)
	found := false
	for _, p := range hsm.Candidates(hsm.SECGP256K1, digest, rawSignature(t, secpecdsa.Sign(k, digest).Serialize(), 32)) {
		found = found || k.PubKey().IsEqual(p.(*secp256k1.PublicKey))
	}
	if !found {
		t.Error("secp256k1: not among them")
	}
}

func rawSignature(t *testing.T, der []byte, size int) []byte {
	t.Helper()
	r, s := new(big.Int), new(big.Int)
	in, inner := cryptobyte.String(der), cryptobyte.String(nil)
	if !in.ReadASN1(&inner, asn1.SEQUENCE) || !inner.ReadASN1Integer(r) || !inner.ReadASN1Integer(s) {
		t.Fatal("no signature")
	}
	return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
}

// Private keys that OpenSSL made, in each form, and what is none.
func TestParsePrivate(t *testing.T) {
	t.Parallel()
	openssl(t)
	for _, spec := range []hsm.KeySpec{hsm.RSA2048, hsm.NISTP256, hsm.NISTP384, hsm.NISTP521, hsm.SECGP256K1, hsm.Edwards25519} {
		m := hsmtest.MaterialOf(t, spec, hsm.UseSign)
		pub, err := hsm.ParsePrivate(m.Value)
		if err != nil {
			t.Errorf("%s: %v", spec, err)
			continue
		}
		k, err := hsm.NewKey([]byte{1}, spec, m.Public)
		if err != nil {
			t.Fatal(err)
		}
		if want, ok := k.Public().(interface{ Equal(crypto.PublicKey) bool }); ok && !want.Equal(pub) {
			t.Errorf("%s: another public key", spec)
		}
		for n := range m.Value {
			if n%13 == 0 {
				if _, err := hsm.ParsePrivate(m.Value[:n]); err == nil {
					t.Errorf("%s: the first %d bytes are taken", spec, n)
				}
			}
		}
		if _, err := hsm.ParsePrivate(append(m.Value, 0)); err == nil {
			t.Errorf("%s: with a byte behind it", spec)
		}
	}
	p := hsmtest.MaterialOf(t, hsm.NISTP256, hsm.UseSign).Value
	other := bytes.Clone(p)
	other[len(other)-1] ^= 1 // the public key in it
	zero := bytes.Clone(p)
	clear(zero[36:68]) // the number
	multi := bytes.Clone(hsmtest.MaterialOf(t, hsm.RSA2048, hsm.UseSign).Value)
	multi[len(multi)/2] ^= 1 // modulus or primes
	for name, der := range map[string][]byte{"another's public key": other, "zero": zero, "not the product": multi, "empty": nil,
		"X25519":          hsmtest.OpenSSL(t, nil, "genpkey", "-algorithm", "X25519", "-outform", "DER"),
		"explicit curve":  hsmtest.OpenSSL(t, nil, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit", "-outform", "DER"),
		"another curve":   hsmtest.OpenSSL(t, nil, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1", "-outform", "DER"),
		"the public half": hsmtest.MaterialOf(t, hsm.NISTP256, hsm.UseSign).Public,
	} {
		if _, err := hsm.ParsePrivate(der); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// FuzzParsePrivate: no input ends in a panic, and what is taken, crypto/x509 takes too, where it knows the curve.
func FuzzParsePrivate(f *testing.F) {
	for _, k := range []any{must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), must(rsa.GenerateKey(rand.Reader, 2048)), ed25519.NewKeyFromSeed(make([]byte, 32))} {
		f.Add(must(x509.MarshalPKCS8PrivateKey(k)))
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		pub, err := hsm.ParsePrivate(der)
		if err != nil {
			return
		}
		if pub == nil {
			t.Fatal("no public key and no error")
		}
		if _, secp := pub.(*secp256k1.PublicKey); secp {
			return
		}
		if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
			own := k.(crypto.Signer).Public().(interface{ Equal(crypto.PublicKey) bool })
			if !own.Equal(pub) {
				t.Fatal("another public key than crypto/x509's")
			}
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

package hsm_test

import (
	"bytes"
	"crypto/mlkem"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/mldsa"
	mldsax509 "filippo.io/mldsa/x509"
	"github.com/cloudflare/circl/kem/mlkem/mlkem512"

	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// pure is ML-DSA over the message.
var pure = hsm.SignMechanism{Scheme: hsm.MLDSA}

func testdata(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A public key and a signature that OpenSSL 3.6.5 made: `openssl pkeyutl -sign -rawin`.
func TestMLDSAOfOpenSSL(t *testing.T) {
	t.Parallel()
	k, err := hsm.NewKey([]byte{1}, hsm.MLDSA44, testdata(t, "mldsa44.spki"))
	if err != nil {
		t.Fatal(err)
	}
	msg, sig := []byte("a message signed by OpenSSL"), testdata(t, "mldsa44.sig")
	if err := k.Verify(pure, msg, sig); err != nil {
		t.Error(err)
	}
	for i := range sig {
		if i%97 == 0 {
			sig[i] ^= 1
			if k.Verify(pure, msg, sig) == nil {
				t.Errorf("a signature with another byte %d verifies", i)
			}
			sig[i] ^= 1
		}
	}
	if k.Verify(pure, msg, sig[1:]) == nil || k.Verify(pure, msg[1:], sig) == nil || k.Verify(pure, nil, nil) == nil {
		t.Error("a wrong signature verifies")
	}
	if spki, err := k.SPKI(); err != nil || !bytes.Equal(spki, testdata(t, "mldsa44.spki")) {
		t.Errorf("the public key is not written as it was read: %v", err)
	}
}

// An ML-KEM key that OpenSSL 3.6.5 made, and what is none.
func TestMLKEMKeys(t *testing.T) {
	t.Parallel()
	spki := testdata(t, "mlkem512.spki")
	k, err := hsm.NewKey([]byte{1}, hsm.MLKEM512, spki)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.SPKI(); err != nil || !bytes.Equal(got, spki) {
		t.Errorf("the public key is not written as it was read: %v", err)
	}
	if ct, shared, err := k.Encapsulate(); err != nil || len(ct) != 768 || len(shared) != 32 {
		t.Errorf("%d bytes, %d bytes, %v", len(ct), len(shared), err)
	}
	over := bytes.Clone(spki)
	over[len(over)-100], over[len(over)-101] = 0xff, 0xff // a coefficient over q: FIPS 203, 7.2
	for name, c := range map[string]struct {
		spec hsm.KeySpec
		der  []byte
	}{
		"cut off":         {hsm.MLKEM512, spki[:len(spki)-1]},
		"another size":    {hsm.MLKEM768, spki},
		"no coefficients": {hsm.MLKEM512, over},
		"a parameter":     {hsm.MLKEM512, withNull(t, spki)},
		"too short": {hsm.MLKEM512, mustMarshal(t, struct {
			A pkix.AlgorithmIdentifier
			K asn1.BitString
		}{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 1}}, asn1.BitString{Bytes: make([]byte, 799), BitLength: 8 * 799}})},
	} {
		if _, err := hsm.NewKey([]byte{1}, c.spec, c.der); !errors.Is(err, hsm.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	dsa, err := hsm.NewKey([]byte{1}, hsm.MLDSA44, testdata(t, "mldsa44.spki"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := dsa.Encapsulate(); !errors.Is(err, hsm.ErrInvalid) {
		t.Errorf("a key for signatures encapsulates: %v", err)
	}
}

func mustMarshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// withNull gives the algorithm of a public key the parameter NULL, which RFC 9935 forbids.
func withNull(t *testing.T, spki []byte) []byte {
	t.Helper()
	var info struct {
		A pkix.AlgorithmIdentifier
		K asn1.BitString
	}
	if _, err := asn1.Unmarshal(spki, &info); err != nil {
		t.Fatal(err)
	}
	info.A.Parameters = asn1.NullRawValue
	return mustMarshal(t, info)
}

// What is encapsulated for a key, its private key opens, by other code than ours.
func TestEncapsulate(t *testing.T) {
	t.Parallel()
	pub512, priv512, err := mlkem512.Scheme().GenerateKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	raw512, err := pub512.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	priv768, err := mlkem.GenerateKey768()
	if err != nil {
		t.Fatal(err)
	}
	priv1024, err := mlkem.GenerateKey1024()
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		spec hsm.KeySpec
		raw  []byte
		open func([]byte) ([]byte, error)
	}{
		{hsm.MLKEM512, raw512, func(ct []byte) ([]byte, error) { return mlkem512.Scheme().Decapsulate(priv512, ct) }},
		{hsm.MLKEM768, priv768.EncapsulationKey().Bytes(), priv768.Decapsulate},
		{hsm.MLKEM1024, priv1024.EncapsulationKey().Bytes(), priv1024.Decapsulate},
	} {
		der := mustMarshal(t, struct {
			A pkix.AlgorithmIdentifier
			K asn1.BitString
		}{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, i + 1}}, asn1.BitString{Bytes: c.raw, BitLength: 8 * len(c.raw)}})
		k, err := hsm.NewKey([]byte{1}, c.spec, der)
		if err != nil {
			t.Fatal(err)
		}
		ct, want, err := k.Encapsulate()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.open(ct); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, want %x, %v", c.spec, got, want, err)
		}
		if same, err := hsm.Decapsulates(k, c.open); err != nil || !same {
			t.Errorf("%s: its own key is refused, %v", c.spec, err)
		}
		if c.spec == hsm.MLKEM768 { // another key answers, too, as FIPS 203 has it
			stranger, err := mlkem.GenerateKey768()
			if err != nil {
				t.Fatal(err)
			}
			if same, err := hsm.Decapsulates(k, stranger.Decapsulate); err != nil || same {
				t.Errorf("another key passes, %v", err)
			}
		}
		again, other, err := k.Encapsulate()
		if err != nil || bytes.Equal(ct, again) || bytes.Equal(want, other) {
			t.Errorf("%s: the same secret twice, %v", c.spec, err)
		}
	}
}

// SoftHSM 2.6 has neither, and says so before anything is made.
func TestTokenWithoutLattices(t *testing.T) {
	t.Parallel()
	tok := hsmtest.Open(t, hsmtest.NewToken(t))
	for spec, use := range map[hsm.KeySpec]hsm.Use{hsm.MLDSA44: hsm.UseSign, hsm.MLDSA65: hsm.UseSign, hsm.MLDSA87: hsm.UseSign,
		hsm.MLKEM512: hsm.UseDecapsulate, hsm.MLKEM768: hsm.UseDecapsulate, hsm.MLKEM1024: hsm.UseDecapsulate} {
		_, err := tok.Generate(ctx, spec, use, hsm.NewID(), "lattice")
		if !errors.Is(err, hsm.ErrUnsupported) || !strings.Contains(err.Error(), "PKCS#11 v3.2") {
			t.Errorf("%s: %v", spec, err)
		}
		for _, wrong := range []hsm.Use{hsm.UseSign, hsm.UseDecrypt, hsm.UseDecapsulate} {
			if err := tok.Supports(spec, wrong); wrong != use && !errors.Is(err, hsm.ErrInvalid) {
				t.Errorf("%s with use %d: %v", spec, wrong, err)
			}
		}
	}
	if err := tok.Supports(hsm.RSA2048, hsm.UseDecapsulate); !errors.Is(err, hsm.ErrInvalid) {
		t.Errorf("RSA decapsulates: %v", err)
	}
	k, err := hsm.NewKey(hsm.NewID(), hsm.MLKEM512, testdata(t, "mlkem512.spki"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tok.Decapsulate(ctx, k, make([]byte, 768)); !errors.Is(err, hsm.ErrUnsupported) {
		t.Errorf("decapsulates: %v", err)
	}
	if _, err := tok.Decapsulate(ctx, k, make([]byte, 767)); !errors.Is(err, hsm.ErrBadCiphertext) {
		t.Errorf("a short ciphertext: %v", err)
	}
}

// No mechanism of PKCS#11 v3.2 takes a mu that the caller computed, and no library verifies one.
func TestExternalMu(t *testing.T) {
	t.Parallel()
	tok := hsmtest.Open(t, hsmtest.NewToken(t))
	priv, err := mldsa.GenerateKey(mldsa.MLDSA65())
	if err != nil {
		t.Fatal(err)
	}
	der, err := mldsax509.MarshalPKIXPublicKey(priv.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	k, err := hsm.NewKey(hsm.NewID(), hsm.MLDSA65, der)
	if err != nil {
		t.Fatal(err)
	}
	mu := hsm.SignMechanism{Scheme: hsm.MLDSAMu}
	if err := tok.SupportsSign(hsm.MLDSA65, mu); !errors.Is(err, hsm.ErrUnsupported) {
		t.Error(err)
	}
	for size, want := range map[int]error{0: hsm.ErrInvalid, 63: hsm.ErrInvalid, 64: hsm.ErrUnsupported, 65: hsm.ErrInvalid} {
		if _, err := tok.Sign(ctx, k, mu, make([]byte, size)); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v", size, err)
		}
		if err := k.Verify(mu, make([]byte, size), nil); !errors.Is(err, want) {
			t.Errorf("verify %d bytes: %v", size, err)
		}
	}
	if _, err := tok.Sign(ctx, k, hsm.SignMechanism{Scheme: hsm.Ed25519}, []byte("a")); !errors.Is(err, hsm.ErrInvalid) {
		t.Errorf("Ed25519 with an ML-DSA key: %v", err)
	}
	msg := []byte("a message")
	sig, err := priv.Sign(nil, msg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Verify(pure, msg, sig); err != nil {
		t.Error(err)
	}
	sig, err = priv.Sign(nil, msg, &mldsa.Options{Context: "another"})
	if err != nil {
		t.Fatal(err)
	}
	if k.Verify(pure, msg, sig) == nil {
		t.Error("a signature in another context verifies")
	}
}

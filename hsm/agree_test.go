package hsm_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// timeUp is a limit that no call reaches, on a busy machine and under the race detector.
const timeUp = time.Minute

// peerOf makes a peer for k and says what the two agree on.
func peerOf(t *testing.T, k *hsm.Key) (spki, secret []byte) {
	t.Helper()
	own, err := k.Public().(*ecdsa.PublicKey).ECDH()
	if err != nil {
		t.Fatal(err)
	}
	priv, err := own.Curve().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if secret, err = priv.ECDH(own); err != nil {
		t.Fatal(err)
	}
	return publicDER(t, priv.PublicKey()), secret
}

func publicDER(t *testing.T, pub any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// spkiOf is a SubjectPublicKeyInfo with whatever for a point, and whatever for a curve.
func spkiOf(t *testing.T, point []byte, params any) []byte {
	t.Helper()
	curve, err := asn1.Marshal(params)
	if err != nil {
		t.Fatal(err)
	}
	der, err := asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}, Parameters: asn1.RawValue{FullBytes: curve}},
		asn1.BitString{Bytes: point, BitLength: 8 * len(point)}})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// The peer's keys that Wycheproof has in its tests of ECDH: none gets as far as the token.
func TestBadPeers(t *testing.T) {
	t.Parallel()
	tok := hsmtest.Open(t, hsmtest.NewToken(t))
	oid := asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}
	k := hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseAgree)
	good, want := peerOf(t, k)
	if got, err := tok.Agree(ctx, k, good); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%x, %v", got, err)
	}
	pub := k.Public().(*ecdsa.PublicKey)
	point, err := pub.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	off := bytes.Clone(point)
	off[64] ^= 1
	big := bytes.Clone(point) // x + p is congruent, and no field element
	copy(big[1:], bytes.Repeat([]byte{0xff}, 32))
	p384, err := ecdh.P384().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secp := hsmtest.NewKey(t, tok, hsm.SECGP256K1, hsm.UseSign)
	secpDER, err := secp.SPKI()
	if err != nil {
		t.Fatal(err)
	}
	before := tok.Stats().Calls
	for name, spki := range map[string][]byte{
		"nothing":                nil,
		"no DER":                 []byte("key"),
		"something after it":     append(bytes.Clone(good), 0),
		"cut":                    good[:len(good)-1],
		"not on the curve":       spkiOf(t, off, oid),
		"zero":                   spkiOf(t, append([]byte{4}, make([]byte, 64)...), oid),
		"infinity":               spkiOf(t, []byte{0}, oid),
		"no point":               spkiOf(t, nil, oid),
		"coordinate too large":   spkiOf(t, big, oid),
		"compressed":             spkiOf(t, append([]byte{2 | point[64]&1}, point[1:33]...), oid),
		"hybrid":                 spkiOf(t, append([]byte{6 | point[64]&1}, point[1:]...), oid),
		"a byte too many":        spkiOf(t, append(bytes.Clone(point), 0), oid),
		"P-384":                  publicDER(t, p384.PublicKey()),
		"P-384, named P-256":     spkiOf(t, p384.PublicKey().Bytes(), oid),
		"P-256, named P-384":     spkiOf(t, point, asn1.ObjectIdentifier{1, 3, 132, 0, 34}),
		"P-256, named secp256k1": spkiOf(t, point, asn1.ObjectIdentifier{1, 3, 132, 0, 10}),
		"a curve without a name": spkiOf(t, point, []int{1, 2, 3}),
		"an unknown curve":       spkiOf(t, point, asn1.ObjectIdentifier{1, 2, 3}),
		"X25519":                 publicDER(t, x25519.PublicKey()),
		"secp256k1":              secpDER,
	} {
		if got, err := tok.Agree(ctx, k, spki); !errors.Is(err, hsm.ErrInvalid) || got != nil {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
	if got, err := tok.Agree(ctx, secp, secpDER); !errors.Is(err, hsm.ErrInvalid) || got != nil {
		t.Errorf("secp256k1: %x, %v", got, err)
	}
	if after := tok.Stats().Calls; after != before {
		t.Errorf("the token was asked %d times", after-before)
	}
	signing := hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseSign)
	if got, err := tok.Agree(ctx, signing, good); err == nil {
		t.Errorf("a key for signing agrees: %x", got)
	}
}

// Another private key under the CKA_ID, where the token shows no public key to compare: found out before a secret leaves.
func TestAgreeByAnotherKey(t *testing.T) {
	t.Parallel()
	c := hsmtest.NewToken(t)
	tok := hsmtest.Open(t, c)
	k, other := hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseAgree), hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseAgree)
	info, err := tok.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	module := pkcs11.New(c.Module)
	s, err := module.OpenSession(info.Slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		t.Fatal(err)
	}
	defer module.CloseSession(s)
	if err := module.FindObjectsInit(s, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY)}); err != nil {
		t.Fatal(err)
	}
	public, _, err := module.FindObjects(s, 10)
	if err != nil || len(public) != 2 || module.FindObjectsFinal(s) != nil {
		t.Fatal(public, err)
	}
	for _, h := range public {
		if err := module.DestroyObject(s, h); err != nil {
			t.Fatal(err)
		}
	}
	tok = hsmtest.Open(t, c) // lists the objects anew
	der, err := other.SPKI()
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := hsm.NewKey(k.ID(), hsm.NISTP256, der)
	if err != nil {
		t.Fatal(err)
	}
	spki, want := peerOf(t, k)
	if got, err := tok.Agree(ctx, wrong, spki); !errors.Is(err, hsm.ErrKeyMissing) || got != nil {
		t.Errorf("another key: %x, %v", got, err)
	}
	if got, err := tok.Agree(ctx, k, spki); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the right one: %x, %v", got, err)
	}
}

// No shared secret stays in the token, as an object of a session or otherwise.
func TestAgreeLeavesNothing(t *testing.T) {
	t.Parallel()
	c := hsmtest.NewToken(t)
	tok := hsmtest.Open(t, c)
	k := hsmtest.NewKey(t, tok, hsm.NISTP384, hsm.UseAgree)
	for range 20 {
		spki, want := peerOf(t, k)
		if got, err := tok.Agree(ctx, k, spki); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%x, %v", got, err)
		}
	}
	info, err := tok.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	other := pkcs11.New(c.Module) // session objects can be seen by all sessions of the process
	s, err := other.OpenSession(info.Slot, pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		t.Fatal(err)
	}
	defer other.CloseSession(s)
	if err := other.FindObjectsInit(s, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY)}); err != nil {
		t.Fatal(err)
	}
	if left, _, err := other.FindObjects(s, 100); err != nil || len(left) != 0 {
		t.Errorf("%d secrets are left: %v", len(left), err)
	}
}

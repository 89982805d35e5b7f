package hsm

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"

	"github.com/miekg/pkcs11"
)

var oidRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}

// privateKeyInfo is RFC 5208, 5, and the first part of RFC 5958, 2.
type privateKeyInfo struct {
	Version   int
	Algorithm pkix.AlgorithmIdentifier
	Key       []byte
}

type rsaPrivateKey struct { // RFC 8017, A.1.2
	Version                     int
	N, E, D, P, Q, DP, DQ, QInv *big.Int
	AdditionalPrimes            asn1.RawValue `asn1:"optional"`
}

type ecPrivateKey struct { // RFC 5915, 3
	Version int
	D       []byte
	Curve   asn1.ObjectIdentifier `asn1:"optional,explicit,tag:0"`
	Public  asn1.BitString        `asn1:"optional,explicit,tag:1"`
}

// privateKey is a private key on its way into the token: its public key, computed, and what it is made of.
type privateKey struct {
	pub   crypto.PublicKey
	parts []*pkcs11.Attribute // secret: to be cleared
}

func (k *privateKey) clear() {
	for _, a := range k.parts {
		clear(a.Value)
	}
}

var errNoPKCS8 = errors.New("it is not the PKCS#8 DER of an RSA, EC or Ed25519 private key")

// parsePrivate reads the DER of PKCS#8. crypto/x509 does the same for fewer curves, and keeps copies that nobody can clear.
func parsePrivate(der []byte) (*privateKey, error) {
	var info privateKeyInfo
	rest, err := asn1.Unmarshal(der, &info)
	defer func() { clear(info.Key) }()
	if err != nil || len(rest) != 0 || info.Version < 0 || info.Version > 1 {
		return nil, errNoPKCS8
	}
	switch oid := info.Algorithm.Algorithm; {
	case oid.Equal(oidRSA):
		return parseRSA(info.Key)
	case oid.Equal(oidECPublicKey):
		return parseEC(info.Algorithm.Parameters.FullBytes, info.Key)
	case oid.Equal(oidEd25519):
		return parseEd25519(info.Key)
	}
	return nil, errNoPKCS8
}

func parseRSA(der []byte) (*privateKey, error) {
	var k rsaPrivateKey
	rest, err := asn1.Unmarshal(der, &k)
	secrets := []*big.Int{k.D, k.P, k.Q, k.DP, k.DQ, k.QInv}
	defer func() {
		for _, n := range secrets {
			if n != nil {
				clear(n.Bits())
			}
		}
	}()
	if err != nil || len(rest) != 0 || k.Version != 0 {
		return nil, errNoPKCS8 // version 1 has more than two primes
	}
	for _, n := range append(secrets, k.N, k.E) {
		if n.Sign() <= 0 {
			return nil, errNoPKCS8
		}
	}
	if err := k.consistent(); err != nil {
		return nil, err
	}
	pub, err := rsaPublic(k.N.Bytes(), k.E.Bytes())
	if err != nil {
		return nil, errNoPKCS8
	}
	out := &privateKey{pub: pub}
	for i, typ := range []uint{pkcs11.CKA_PRIVATE_EXPONENT, pkcs11.CKA_PRIME_1, pkcs11.CKA_PRIME_2, pkcs11.CKA_EXPONENT_1, pkcs11.CKA_EXPONENT_2, pkcs11.CKA_COEFFICIENT} {
		out.parts = append(out.parts, pkcs11.NewAttribute(typ, secrets[i].Bytes()))
	}
	out.parts = append(out.parts, pkcs11.NewAttribute(pkcs11.CKA_MODULUS, k.N.Bytes()), pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, k.E.Bytes()))
	return out, nil
}

// consistent checks the numbers against each other (RFC 8017, 3.2): some tokens sign with the wrong ones as if nothing was, until they do not.
func (k *rsaPrivateKey) consistent() error {
	one, t := big.NewInt(1), new(big.Int)
	p1, q1 := new(big.Int).Sub(k.P, one), new(big.Int).Sub(k.Q, one)
	defer func() {
		for _, n := range []*big.Int{t, p1, q1} {
			clear(n.Bits()[:cap(n.Bits())])
		}
	}()
	is := func(x, y, m, want *big.Int) bool { return t.Mod(t.Mul(x, y), m).Cmp(want) == 0 }
	switch {
	case p1.Sign() == 0 || q1.Sign() == 0 || t.Mul(k.P, k.Q).Cmp(k.N) != 0:
		return errors.New("its modulus is not the product of its primes")
	case !is(k.D, k.E, p1, one) || !is(k.D, k.E, q1, one):
		return errors.New("its private exponent does not go with its public one")
	case !is(k.D, one, p1, k.DP) || !is(k.D, one, q1, k.DQ) || !is(k.QInv, k.Q, k.P, one):
		return errors.New("its numbers for the Chinese remainder theorem do not go with its primes")
	}
	return nil
}

func parseEC(params, der []byte) (*privateKey, error) {
	var k ecPrivateKey
	rest, err := asn1.Unmarshal(der, &k)
	defer func() { clear(k.D) }()
	if err != nil || len(rest) != 0 || k.Version != 1 {
		return nil, errNoPKCS8
	}
	spec := curveOf(params)
	if ecParams[spec] == nil {
		return nil, errors.New("it is on a curve that is none of ours")
	}
	size := 32
	if c := curves[spec]; c != nil {
		size = (c.Params().BitSize + 7) / 8
	}
	if len(k.D) > size {
		return nil, errNoPKCS8
	}
	d := make([]byte, size)
	copy(d[size-len(k.D):], k.D)
	pub := basePoint(spec, d)
	if pub == nil {
		clear(d)
		return nil, errors.New("its number is not one of the curve's private keys")
	}
	out := &privateKey{pub, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_VALUE, d)}}
	if raw := k.Public.RightAlign(); len(raw) != 0 && !equalPublic(pub, pointOn(spec, raw)) {
		out.clear()
		return nil, errors.New("the public key in it is another's")
	}
	return out, nil
}

func parseEd25519(der []byte) (*privateKey, error) {
	var seed []byte
	rest, err := asn1.Unmarshal(der, &seed)
	if err != nil || len(rest) != 0 || len(seed) != ed25519.SeedSize {
		clear(seed)
		return nil, errNoPKCS8
	}
	full := ed25519.NewKeyFromSeed(seed)
	defer clear(full)
	pub := ed25519.PublicKey(bytes.Clone(full[ed25519.SeedSize:]))
	return &privateKey{pub, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_VALUE, seed)}}, nil
}

package hsm

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"filippo.io/mldsa"
	"filippo.io/mldsa/x509" // crypto/x509 with ML-DSA (RFC 9881)
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

var (
	oidECPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidSecp256k1   = asn1.ObjectIdentifier{1, 3, 132, 0, 10}
	oidEd25519     = asn1.ObjectIdentifier{1, 3, 101, 112}
	oidP256        = asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}
	oidP384        = asn1.ObjectIdentifier{1, 3, 132, 0, 34}
	oidP521        = asn1.ObjectIdentifier{1, 3, 132, 0, 35}
)

type subjectPublicKeyInfo struct {
	Algorithm pkix.AlgorithmIdentifier
	Key       asn1.BitString
}

// marshalPublic returns the DER of SubjectPublicKeyInfo (RFC 5280, 4.1.2.7); neither package x509 knows secp256k1 or ML-KEM.
func marshalPublic(pub crypto.PublicKey) ([]byte, error) {
	if k, ok := pub.(*KEMPublicKey); ok {
		return k.marshal()
	}
	k, ok := pub.(*secp256k1.PublicKey)
	if !ok {
		return x509.MarshalPKIXPublicKey(pub)
	}
	curve, err := asn1.Marshal(oidSecp256k1)
	if err != nil {
		return nil, err
	}
	point := k.SerializeUncompressed()
	return asn1.Marshal(subjectPublicKeyInfo{
		Algorithm: pkix.AlgorithmIdentifier{Algorithm: oidECPublicKey, Parameters: asn1.RawValue{FullBytes: curve}},
		Key:       asn1.BitString{Bytes: point, BitLength: 8 * len(point)},
	})
}

// parsePublic reads the DER of SubjectPublicKeyInfo, secp256k1 and ML-KEM too. Each key has one encoding, and no other is taken: encoding/asn1 passes over
// what else stands at the end of a SEQUENCE.
func parsePublic(spki []byte) (crypto.PublicKey, error) {
	pub, err := parseAnyPublic(spki)
	if err != nil {
		return nil, err
	}
	if again, err := marshalPublic(pub); err != nil || !bytes.Equal(again, spki) {
		return nil, errors.New("not the one DER of its SubjectPublicKeyInfo")
	}
	return pub, nil
}

func parseAnyPublic(spki []byte) (crypto.PublicKey, error) {
	var info subjectPublicKeyInfo
	rest, err := asn1.Unmarshal(spki, &info)
	if err != nil || len(rest) != 0 {
		return nil, errors.New("not the DER of a SubjectPublicKeyInfo")
	}
	if spec := kemOf(info.Algorithm.Algorithm); spec != "" {
		return parseKEM(spec, info)
	}
	var curve asn1.ObjectIdentifier
	if info.Algorithm.Algorithm.Equal(oidECPublicKey) {
		if _, err := asn1.Unmarshal(info.Algorithm.Parameters.FullBytes, &curve); err == nil && curve.Equal(oidSecp256k1) {
			return secp256k1.ParsePubKey(info.Key.RightAlign())
		}
	}
	return x509.ParsePKIXPublicKey(spki)
}

// specOf names the public key's type and size, empty where it is none of ours.
func specOf(pub crypto.PublicKey) KeySpec {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		switch k.N.BitLen() {
		case 2048, 3072, 4096:
			return KeySpec(fmt.Sprintf("RSA_%d", k.N.BitLen()))
		}
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return NISTP256
		case elliptic.P384():
			return NISTP384
		case elliptic.P521():
			return NISTP521
		}
	case *secp256k1.PublicKey:
		return SECGP256K1
	case ed25519.PublicKey:
		return Edwards25519
	case *mldsa.PublicKey:
		return mldsaSpecs[k.Parameters()]
	case *KEMPublicKey:
		return k.spec
	}
	return ""
}

// equalPublic compares two public keys.
func equalPublic(a, b crypto.PublicKey) bool {
	if k, ok := a.(*secp256k1.PublicKey); ok {
		other, ok := b.(*secp256k1.PublicKey)
		return ok && k.IsEqual(other)
	}
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// rsaPublic makes a public key of CKA_MODULUS and CKA_PUBLIC_EXPONENT.
func rsaPublic(modulus, exponent []byte) (crypto.PublicKey, error) {
	e := new(big.Int).SetBytes(exponent)
	if len(modulus) == 0 || !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 {
		return nil, errors.New("the token gives no usable RSA modulus and exponent")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(e.Int64())}, nil
}

// curveOf reads CKA_EC_PARAMS: an OID, or for Edwards curves a printable string (PKCS#11 v3.0, 2.3.5).
func curveOf(params []byte) KeySpec {
	var oid asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(params, &oid); err == nil {
		for spec, o := range map[KeySpec]asn1.ObjectIdentifier{NISTP256: oidP256, NISTP384: oidP384, NISTP521: oidP521,
			SECGP256K1: oidSecp256k1, Edwards25519: oidEd25519} {
			if oid.Equal(o) {
				return spec
			}
		}
	}
	var name string
	if _, err := asn1.Unmarshal(params, &name); err == nil && name == "edwards25519" {
		return Edwards25519
	}
	return ""
}

// ecPublic makes a public key of CKA_EC_PARAMS and CKA_EC_POINT. The standard wraps the point in an OCTET STRING; modules also give it bare or
// in a BIT STRING, so each reading is tried, and a point that is not on the curve is none.
func ecPublic(params, point []byte) (crypto.PublicKey, error) {
	spec := curveOf(params)
	if spec == "" {
		return nil, errors.New("the curve is none of ours")
	}
	readings := [][]byte{point}
	var octets []byte
	if rest, err := asn1.Unmarshal(point, &octets); err == nil && len(rest) == 0 {
		readings = [][]byte{octets, point}
	}
	var bits asn1.BitString
	if rest, err := asn1.Unmarshal(point, &bits); err == nil && len(rest) == 0 {
		readings = [][]byte{bits.RightAlign(), point}
	}
	for _, r := range readings {
		if pub := pointOn(spec, r); pub != nil {
			return pub, nil
		}
	}
	return nil, errors.New("the token gives no usable point in CKA_EC_POINT")
}

func pointOn(spec KeySpec, p []byte) crypto.PublicKey {
	switch spec {
	case Edwards25519:
		if len(p) == ed25519.PublicKeySize {
			return ed25519.PublicKey(append([]byte{}, p...))
		}
	case SECGP256K1:
		if k, err := secp256k1.ParsePubKey(p); err == nil {
			return k
		}
	default:
		if k, err := ecdsa.ParseUncompressedPublicKey(curves[spec], p); err == nil {
			return k
		}
	}
	return nil
}

// curves are the NIST curves of Go.
var curves = map[KeySpec]elliptic.Curve{NISTP256: elliptic.P256(), NISTP384: elliptic.P384(), NISTP521: elliptic.P521()}

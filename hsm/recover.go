package hsm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"math/big"

	"filippo.io/nistec"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	secpecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"github.com/miekg/pkcs11"
)

// recoverPublic finds the public key of an EC private key that signs, where the token does not show it: one signature leaves two points or
// four (SEC 1, 4.1.6), and a second one says which. Nothing here is secret.
func (s *session) recoverPublic(key uint, spec KeySpec) (crypto.PublicKey, error) {
	m := SignMechanism{ECDSA, curveHash[spec]}
	how := signers[signerKey{spec, m}]
	if how == nil {
		return nil, errors.New("no curve of ours")
	}
	var digests, sigs [2][]byte
	for i := range digests {
		digests[i] = make([]byte, m.Hash.Size())
		rand.Read(digests[i])
		sig, rv := s.trySign(key, how, digests[i])
		if rv != pkcs11.CKR_OK {
			return nil, pkcs11.Error(rv)
		}
		sigs[i] = sig
	}
	for _, pub := range candidates(spec, digests[0], sigs[0]) {
		if der := derSignature(sigs[1]); der != nil && verify(pub, m, digests[1], der) {
			return pub, nil
		}
	}
	return nil, errors.New("the key's signatures belong to no point")
}

// candidates are the public keys for which sig (r || s) is right over the digest.
func candidates(spec KeySpec, digest, sig []byte) []crypto.PublicKey {
	var points [][]byte
	switch spec {
	case NISTP256:
		points = recoverPoints(nistec.NewP256Point, elliptic.P256().Params(), digest, sig)
	case NISTP384:
		points = recoverPoints(nistec.NewP384Point, elliptic.P384().Params(), digest, sig)
	case NISTP521:
		points = recoverPoints(nistec.NewP521Point, elliptic.P521().Params(), digest, sig)
	case SECGP256K1:
		return recoverSecp256k1(digest, sig)
	}
	var all []crypto.PublicKey
	for _, p := range points {
		if pub := pointOn(spec, p); pub != nil {
			all = append(all, pub)
		}
	}
	return all
}

func recoverSecp256k1(digest, sig []byte) (all []crypto.PublicKey) {
	if len(sig) != 64 {
		return nil
	}
	for code := byte(27); code < 31; code++ {
		if pub, _, err := secpecdsa.RecoverCompact(append([]byte{code}, sig...), digest); err == nil {
			all = append(all, pub)
		}
	}
	return all
}

// nistPoint is what the points of nistec have in common.
type nistPoint[P any] interface {
	SetBytes([]byte) (P, error)
	ScalarMult(P, []byte) (P, error)
	ScalarBaseMult([]byte) (P, error)
	Add(P, P) P
	Bytes() []byte
}

// recoverPoints computes Q = (s R - e G) / r for each point R whose x is r modulo the order.
func recoverPoints[P nistPoint[P]](point func() P, c *elliptic.CurveParams, digest, sig []byte) (all [][]byte) {
	size := (c.BitSize + 7) / 8
	if len(sig) != 2*size {
		return nil
	}
	r, s := new(big.Int).SetBytes(sig[:size]), new(big.Int).SetBytes(sig[size:])
	if r.Sign() == 0 || s.Sign() == 0 || r.Cmp(c.N) >= 0 || s.Cmp(c.N) >= 0 {
		return nil
	}
	e := new(big.Int).SetBytes(digest)
	if extra := 8*len(digest) - c.N.BitLen(); extra > 0 {
		e.Rsh(e, uint(extra))
	}
	inv := new(big.Int).ModInverse(r, c.N)
	u1 := e.Mul(e.Neg(e), inv).Mod(e, c.N).FillBytes(make([]byte, size))
	u2 := s.Mul(s, inv).Mod(s, c.N).FillBytes(make([]byte, size))
	base, err := point().ScalarBaseMult(u1)
	if err != nil {
		return nil
	}
	for x := r; x.Cmp(c.P) < 0; x = new(big.Int).Add(x, c.N) {
		for sign := byte(2); sign < 4; sign++ {
			p, err := point().SetBytes(append([]byte{sign}, x.FillBytes(make([]byte, size))...))
			if err != nil {
				continue // no point has this x
			}
			if p, err = point().ScalarMult(p, u2); err == nil {
				all = append(all, point().Add(p, base).Bytes())
			}
		}
	}
	return all
}

// basePoint multiplies the generator by a private key: its public key, nil where d is none.
func basePoint(spec KeySpec, d []byte) crypto.PublicKey {
	switch spec {
	case NISTP256:
		return basePointOf(nistec.NewP256Point, spec, d)
	case NISTP384:
		return basePointOf(nistec.NewP384Point, spec, d)
	case NISTP521:
		return basePointOf(nistec.NewP521Point, spec, d)
	case SECGP256K1:
		var k secp256k1.PrivateKey
		defer k.Zero()
		if len(d) != 32 || k.Key.SetByteSlice(d) || k.Key.IsZero() {
			return nil
		}
		return k.PubKey()
	}
	return nil
}

func basePointOf[P nistPoint[P]](point func() P, spec KeySpec, d []byte) crypto.PublicKey {
	order := curves[spec].Params().N
	x := new(big.Int).SetBytes(d)
	defer clear(x.Bits())
	if x.Sign() == 0 || x.Cmp(order) >= 0 {
		return nil
	}
	p, err := point().ScalarBaseMult(d)
	if err != nil {
		return nil
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(curves[spec], p.Bytes())
	if err != nil {
		return nil
	}
	return pub
}

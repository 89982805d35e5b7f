package hsm

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"math/big"
	"slices"

	"filippo.io/nistec"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Checking a P-256 signature costs as much as making it. A key that signs often gets a comb of its public key, with which a check takes half
// the time of crypto/ecdsa or less. Only Token.Sign's own check uses it; Key.Verify, which answers callers, stays with crypto/ecdsa.

// p256Table checks signatures of one key.
type p256Table struct{ key *comb[*nistec.P256Point] }

var (
	p256      = group[*nistec.P256Point]{nistec.NewP256Point, func(p *nistec.P256Point) { p.Double(p) }}
	p256Order = elliptic.P256().Params().N
)

// checkP256 checks a signature of a P-256 key over a digest of at least 32 bytes.
func (k *Key) checkP256(public *ecdsa.PublicKey, digest, sig []byte) bool {
	if t := k.p256.Load(); t != nil && len(digest) >= 32 {
		return t.verify(digest, sig)
	}
	if k.checks.Add(1) == tableAfter {
		k.p256.Store(takeTable(func() (*p256Table, error) { return newP256Table(public) }))
	}
	return ecdsa.VerifyASN1(public, digest, sig)
}

func newP256Table(public *ecdsa.PublicKey) (*p256Table, error) {
	raw, err := public.Bytes()
	if err != nil {
		return nil, err
	}
	base, err := nistec.NewP256Point().SetBytes(raw) // refuses a point that is not on the curve
	if err != nil {
		return nil, err
	}
	return &p256Table{newComb(p256, base)}, nil
}

// verify is FIPS 186-5, 6.4.2, over the first 256 bits of the digest, with a signature in DER.
func (t *p256Table) verify(digest, sig []byte) bool {
	r, s := new(big.Int), new(big.Int)
	in, inner := cryptobyte.String(sig), cryptobyte.String(nil)
	if !in.ReadASN1(&inner, asn1.SEQUENCE) || !in.Empty() || !inner.ReadASN1Integer(r) || !inner.ReadASN1Integer(s) || !inner.Empty() {
		return false
	}
	if r.Sign() <= 0 || s.Sign() <= 0 || r.Cmp(p256Order) >= 0 || s.Cmp(p256Order) >= 0 {
		return false
	}
	w := new(big.Int).ModInverse(s, p256Order)
	u1 := new(big.Int).SetBytes(digest[:32])
	u1.Mul(u1, w).Mod(u1, p256Order)
	u2 := w.Mul(w, r).Mod(w, p256Order)

	var scalar [32]byte
	p, err := nistec.NewP256Point().ScalarBaseMult(u1.FillBytes(scalar[:]))
	if err != nil {
		return false
	}
	slices.Reverse(u2.FillBytes(scalar[:]))
	p.Add(p, p256.sum(term[*nistec.P256Point]{t.key, &scalar}))
	x, err := p.BytesX() // an error for the point at infinity
	if err != nil {
		return false
	}
	v := u1.SetBytes(x)
	return v.Mod(v, p256Order).Cmp(r) == 0
}

package hsm

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"sync"

	"filippo.io/edwards25519"
)

// An Ed25519 key that signs often gets a comb of its public key, as a P-256 key does; the base point has one for all. Key.Verify stays with
// crypto/ed25519.

// ed25519Table checks signatures of one key.
type ed25519Table struct {
	public ed25519.PublicKey
	minus  *comb[*edwards25519.Point] // of the public key's negative
}

var (
	edwards     = group[*edwards25519.Point]{edwards25519.NewIdentityPoint, func(p *edwards25519.Point) { p.Add(p, p) }}
	edwardsBase = sync.OnceValue(func() *comb[*edwards25519.Point] { return newComb(edwards, edwards25519.NewGeneratorPoint()) })
)

// checkEd25519 checks a signature of an Ed25519 key over a message.
func (k *Key) checkEd25519(public ed25519.PublicKey, message, sig []byte) bool {
	if t := k.ed25519.Load(); t != nil {
		return t.verify(message, sig)
	}
	if k.checks.Add(1) == tableAfter {
		k.ed25519.Store(takeTable(func() (*ed25519Table, error) { return newEd25519Table(public) }))
	}
	return ed25519.Verify(public, message, sig)
}

func newEd25519Table(public ed25519.PublicKey) (*ed25519Table, error) {
	p, err := new(edwards25519.Point).SetBytes(public) // refuses what is no point
	if err != nil {
		return nil, err
	}
	return &ed25519Table{public, newComb(edwards, p.Negate(p))}, nil
}

// verify is RFC 8032, 5.1.7, without the cofactor, as in crypto/ed25519: R must be the encoding of [S]B - [k]A.
func (t *ed25519Table) verify(message, sig []byte) bool {
	if len(sig) != ed25519.SignatureSize {
		return false
	}
	s, err := edwards25519.NewScalar().SetCanonicalBytes(sig[32:]) // refuses S beyond the order
	if err != nil {
		return false
	}
	h := sha512.New()
	h.Write(sig[:32])
	h.Write(t.public)
	h.Write(message)
	k, err := edwards25519.NewScalar().SetUniformBytes(h.Sum(nil))
	if err != nil {
		return false
	}
	r := edwards.sum(
		term[*edwards25519.Point]{edwardsBase(), (*[32]byte)(s.Bytes())},
		term[*edwards25519.Point]{t.minus, (*[32]byte)(k.Bytes())})
	return bytes.Equal(sig[:32], r.Bytes())
}

package hsm

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"math/big"
	"runtime"
	"sync/atomic"

	"filippo.io/nistec"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Checking a P-256 signature costs as much as making it. A key that signs often gets a table of multiples of its public key, with which a
// check needs 43 additions in place of 255 doublings and 51 additions: half the time of crypto/ecdsa. Only Token.Sign's own check uses it;
// Key.Verify, which answers callers, stays with crypto/ecdsa. The values are public, so nothing here has to take constant time.

// p256Table has in row i, column j the point (j+1) * 2^(6i) * Q. It takes 260 KB and 1.5 ms to make.
type p256Table [p256Rows][p256Columns]*nistec.P256Point

const (
	p256Window  = 6
	p256Rows    = (256 + p256Window - 1) / p256Window
	p256Columns = 1<<p256Window - 1

	tableAfter = 64 // signatures after which a key gets its table
	maxTables  = 64 // in the process: 17 MB. The keys that come later are checked by crypto/ecdsa
)

var (
	p256Order  = elliptic.P256().Params().N
	p256Tables atomic.Int32 // how many there are
)

// checkP256 checks a signature of a P-256 key over a digest of at least 32 bytes.
func (k *Key) checkP256(public *ecdsa.PublicKey, digest, sig []byte) bool {
	if t := k.table.Load(); t != nil && len(digest) >= 32 {
		return t.verify(digest, sig)
	}
	if k.checks.Add(1) == tableAfter {
		k.table.Store(takeP256Table(public))
	}
	return ecdsa.VerifyASN1(public, digest, sig)
}

// takeP256Table makes a table where there is room for one, nil otherwise. The room is free again when the key, and the table with it, is
// garbage.
func takeP256Table(public *ecdsa.PublicKey) *p256Table {
	if p256Tables.Add(1) > maxTables {
		p256Tables.Add(-1)
		return nil
	}
	t, err := newP256Table(public)
	if err != nil {
		p256Tables.Add(-1)
		return nil
	}
	runtime.AddCleanup(t, func(n int32) { p256Tables.Add(n) }, -1)
	return t
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
	t := new(p256Table)
	for i := range t {
		t[i][0] = base
		for j := 1; j < p256Columns; j++ {
			t[i][j] = nistec.NewP256Point().Add(t[i][j-1], base)
		}
		base = nistec.NewP256Point().Add(t[i][p256Columns-1], base)
	}
	return t, nil
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
	u2.FillBytes(scalar[:])
	for i := range t {
		if d := p256Digit(&scalar, i*p256Window); d != 0 {
			p.Add(p, t[i][d-1])
		}
	}
	x, err := p.BytesX() // an error for the point at infinity
	if err != nil {
		return false
	}
	v := u1.SetBytes(x)
	return v.Mod(v, p256Order).Cmp(r) == 0
}

// p256Digit is the six bits of a big-endian scalar from bit on, where bit 0 is the lowest.
func p256Digit(scalar *[32]byte, bit int) int {
	i := 31 - bit/8
	v := int(scalar[i])
	if i > 0 {
		v |= int(scalar[i-1]) << 8
	}
	return v >> (bit % 8) & (1<<p256Window - 1)
}

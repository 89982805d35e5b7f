package hsm

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"math/big"
)

// crypto/rsa computes in constant time, prepares the modulus anew for each signature, and has assembly up to 2048 bits only. The values of
// a check are public, so Token.Sign's own check keeps the prepared modulus and computes with vectors, or with math/big where the processor has
// none: 4096 bits take a tenth of the time, or less than half. Key.Verify, which answers callers, stays with crypto/rsa.

// rsaCheck checks signatures of one key.
type rsaCheck struct {
	n, e   *big.Int
	vector *rsaVector // nil: math/big
}

// newRSACheck returns nil for a key that only crypto/rsa should judge.
func newRSACheck(pub *rsa.PublicKey) *rsaCheck {
	if pub.E < 3 || pub.E%2 == 0 || pub.N.Bit(0) == 0 || pub.N.BitLen()%8 != 0 {
		return nil
	}
	c := &rsaCheck{n: pub.N, e: big.NewInt(int64(pub.E))}
	if vectorRSA && pub.E == 65537 {
		c.vector = newRSAVector(pub.N)
	}
	return c
}

// checkRSA checks a signature of an RSA key; in has been checked by signerFor.
func (k *Key) checkRSA(public *rsa.PublicKey, m SignMechanism, in, sig []byte) bool {
	c := k.rsa.Load()
	if c == nil {
		if c = newRSACheck(public); c == nil {
			return verify(public, m, in, sig)
		}
		k.rsa.Store(c)
	}
	return c.verify(m, in, sig)
}

// verify is RSASSA-PKCS1-v1_5 or RSASSA-PSS with a salt of the hash's length (RFC 8017, 8.2.2 and 8.1.2).
func (c *rsaCheck) verify(m SignMechanism, digest, sig []byte) bool {
	em := c.open(sig)
	switch {
	case em == nil:
		return false
	case m.Scheme == PKCS1v15:
		return bytes.Equal(em, paddedPKCS1v15(m.Hash, digest, len(em)))
	case m.Scheme == PSS:
		return verifyPSS(m.Hash, digest, em)
	}
	return false
}

// open gives sig^e mod n in as many bytes as n has (RSAVP1); nil where sig is not a number below n in as many bytes.
func (c *rsaCheck) open(sig []byte) []byte {
	size := c.n.BitLen() / 8
	if len(sig) != size {
		return nil
	}
	s := new(big.Int).SetBytes(sig)
	if s.Cmp(c.n) >= 0 {
		return nil
	}
	if c.vector == nil {
		return s.Exp(s, c.e, c.n).FillBytes(make([]byte, size))
	}
	em := c.vector.exp65537(s)
	if em.Cmp(c.n) >= 0 {
		em.Sub(em, c.n)
	}
	return em.FillBytes(make([]byte, size))
}

// paddedPKCS1v15 is the one encoding of a digest in so many bytes (EMSA-PKCS1-v1_5, RFC 8017, 9.2).
func paddedPKCS1v15(h crypto.Hash, digest []byte, size int) []byte {
	em := bytes.Repeat([]byte{0xff}, size)
	end := size - len(digestInfo[h]) - len(digest)
	em[0], em[1], em[end-1] = 0, 1, 0
	copy(em[end:], digestInfo[h])
	copy(em[size-len(digest):], digest)
	return em
}

// verifyPSS is EMSA-PSS-VERIFY (RFC 8017, 9.1.2) for a modulus of whole bytes. It changes em.
func verifyPSS(h crypto.Hash, digest, em []byte) bool {
	size := h.Size()
	db, sum := em[:len(em)-size-1], em[len(em)-size-1:len(em)-1]
	if em[len(em)-1] != 0xbc || db[0]&0x80 != 0 {
		return false
	}
	mgf1XOR(h, sum, db)
	db[0] &= 0x7f
	salt := len(db) - size
	for _, b := range db[:salt-1] {
		if b != 0 {
			return false
		}
	}
	if db[salt-1] != 1 {
		return false
	}
	d := h.New()
	d.Write(make([]byte, 8))
	d.Write(digest)
	d.Write(db[salt:])
	return bytes.Equal(sum, d.Sum(nil))
}

package hsm

import (
	"crypto"
	"crypto/subtle"
	"encoding/binary"
)

// unpadOAEP undoes EME-OAEP (RFC 8017, 7.1.2 step 3) over the k bytes that CKM_RSA_X_509 gave, with an empty label and MGF1 of the same hash.
//
// J. Manger, 'A Chosen Ciphertext Attack on RSA-OAEP as Standardized in PKCS #1 v2.0' (CRYPTO 2001): who can tell 'the first byte was not
// zero' from 'the rest was wrong' decrypts any ciphertext with about 1,100 questions. So everything that can be wrong is gathered into
// one bit, in time that does not depend on the data, and there is one answer, ok = false.
func unpadOAEP(h crypto.Hash, em []byte) (msg []byte, ok bool) {
	size := h.Size()
	if len(em) < 2*size+2 {
		return nil, false // depends on the key's size alone
	}
	seed, db := em[1:1+size], em[1+size:]
	mgf1XOR(h, db, seed) // the seed is masked by the masked block, so it comes first
	mgf1XOR(h, seed, db)
	empty := h.New().Sum(nil)

	bad := 1 - subtle.ConstantTimeByteEq(em[0], 0)
	bad |= 1 - subtle.ConstantTimeCompare(db[:size], empty)
	looking, index := 1, 0 // looking: no 0x01 so far
	rest := db[size:]
	for i, b := range rest {
		one := subtle.ConstantTimeByteEq(b, 1)
		zero := subtle.ConstantTimeByteEq(b, 0)
		index = subtle.ConstantTimeSelect(looking&one, i, index)
		bad |= looking & (1 - one) & (1 - zero)
		looking &= 1 - one
	}
	bad |= looking
	if bad != 0 {
		return nil, false
	}
	return append([]byte{}, rest[index+1:]...), true
}

// mgf1XOR lays MGF1 (RFC 8017, B.2.1) of seed over out.
func mgf1XOR(h crypto.Hash, seed, out []byte) {
	var counter [4]byte
	for n := uint32(0); len(out) > 0; n++ {
		binary.BigEndian.PutUint32(counter[:], n)
		d := h.New()
		d.Write(seed)
		d.Write(counter[:])
		sum := d.Sum(nil)
		m := min(len(sum), len(out))
		subtle.XORBytes(out[:m], out[:m], sum[:m])
		out = out[m:]
	}
}

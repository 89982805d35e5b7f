package hsm

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
)

// AES key wrap with padding, RFC 5649, for what the token cannot unwrap itself; no package of Go has it.

// kwpIV begins the block that says whether the unwrapped is right (RFC 5649, 3); the length of the material follows.
var kwpIV = []byte{0xA6, 0x59, 0x59, 0xA6}

// kwpUnwrap is RFC 5649, 4.2. Everything that can be wrong with wrapped is the same false.
func kwpUnwrap(kek, wrapped []byte) (material []byte, ok bool) {
	block, err := aes.NewCipher(kek)
	if err != nil || len(wrapped) < 16 || len(wrapped)%8 != 0 {
		return nil, false
	}
	b := append([]byte{}, wrapped...)
	defer clear(b)
	if len(b) == 16 {
		block.Decrypt(b, b)
	} else {
		kwRounds(block, b, false)
	}
	size := int(binary.BigEndian.Uint32(b[4:8]))
	good := subtle.ConstantTimeCompare(b[:4], kwpIV)
	good &= subtle.ConstantTimeLessOrEq(size, len(b)-8) & subtle.ConstantTimeLessOrEq(len(b)-8-7, size) & subtle.ConstantTimeLessOrEq(1, size)
	for i := range b[8:] { // the padding is zeros
		inside := subtle.ConstantTimeLessOrEq(i+1, size)
		good &= inside | subtle.ConstantTimeByteEq(b[8+i], 0)
	}
	if good != 1 {
		return nil, false
	}
	return append([]byte{}, b[8:8+size]...), true
}

// kwpWrap is RFC 5649, 4.1.
func kwpWrap(kek, material []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	b := binary.BigEndian.AppendUint32(append([]byte{}, kwpIV...), uint32(len(material)))
	b = append(b, material...)
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	if len(b) == 16 {
		block.Encrypt(b, b)
	} else {
		kwRounds(block, b, true)
	}
	return b, nil
}

// kwRounds is the wrapping of RFC 3394, 2.2.1, or its inverse, over a || r[1] … r[n].
func kwRounds(block cipher.Block, b []byte, wrap bool) {
	n := len(b)/8 - 1
	var x [16]byte
	copy(x[:8], b)
	for k := range 6 * n {
		t := uint64(k + 1)
		if !wrap {
			t = uint64(6*n - k)
		}
		r := b[8*((t-1)%uint64(n)+1):][:8]
		copy(x[8:], r)
		if wrap {
			block.Encrypt(x[:], x[:])
		}
		binary.BigEndian.PutUint64(x[:8], binary.BigEndian.Uint64(x[:8])^t)
		if !wrap {
			block.Decrypt(x[:], x[:])
		}
		copy(r, x[8:])
	}
	copy(b, x[:8])
	clear(x[:])
}

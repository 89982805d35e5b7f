package vectors

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math/big"
	"slices"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// The orders of the curves (SEC 2, 2.4.1, 2.4.2, 2.5.1 and 2.6.1).
var orders = map[api.KeySpec]string{
	api.P256:   "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
	api.P384:   "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
	api.P521:   "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
	api.P256K1: "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
}

// tlv is DER of a tag with its shortest length.
func tlv(tag byte, content ...[]byte) []byte {
	body := bytes.Join(content, nil)
	switch n := len(body); {
	case n < 0x80:
		return append([]byte{tag, byte(n)}, body...)
	case n < 0x100:
		return append([]byte{tag, 0x81, byte(n)}, body...)
	default:
		return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, body...)
	}
}

// spoiltDER are forms of a signature that are not its DER (X.690, 10.1), or hold
// other numbers.
func spoiltDER(t *testing.T, spec api.KeySpec, good []byte) map[string][]byte {
	t.Helper()
	var sig struct{ R, S *big.Int }
	_, err := asn1.Unmarshal(good, &sig)
	must(t, err)
	n, _ := new(big.Int).SetString(orders[spec], 16)
	integer := func(v *big.Int) []byte { return der(t, v) }
	both := func(r, s *big.Int) []byte { return tlv(0x30, integer(r), integer(s)) }
	r, s, zero, one := integer(sig.R), integer(sig.S), big.NewInt(0), big.NewInt(1)
	minus := func(v *big.Int) *big.Int { return new(big.Int).Neg(v) }
	plus := func(v *big.Int) *big.Int { return new(big.Int).Add(v, n) }
	padded := func(v []byte) []byte { return tlv(0x02, append([]byte{0}, v[2:]...)) }
	body := append(bytes.Clone(r), s...)
	size := (n.BitLen() + 7) / 8
	raw := append(sig.R.FillBytes(make([]byte, size)), sig.S.FillBytes(make([]byte, size))...)
	long := func(octets int, content []byte) []byte { // the length in more bytes than it needs
		length := make([]byte, 8)
		binary.BigEndian.PutUint64(length, uint64(len(content)))
		return append(append([]byte{0x30, 0x80 | byte(octets)}, length[8-octets:]...), content...)
	}
	return map[string][]byte{
		"r zero": both(zero, sig.S), "s zero": both(sig.R, zero), "both zero": both(zero, zero), "both one": both(one, one),
		"r zero, s one": both(zero, one), "r one, s zero": both(one, zero), "r order, s one": both(n, one), "r one, s order": both(one, n),
		"r the order": both(n, sig.S), "s the order": both(sig.R, n), "both the order": both(n, n),
		"r beyond": both(plus(sig.R), sig.S), "s beyond": both(sig.R, plus(sig.S)),
		"r negative": both(minus(sig.R), sig.S), "s negative": both(sig.R, minus(sig.S)), "r minus the order": both(new(big.Int).Sub(sig.R, n), sig.S),
		"s minus the order": both(sig.R, new(big.Int).Sub(sig.S, n)),
		"r of n minus r":    both(new(big.Int).Sub(n, sig.R), sig.S), "swapped": both(sig.S, sig.R), "r huge": both(new(big.Int).Lsh(one, 8000), sig.S),
		"r padded": tlv(0x30, padded(r), s), "s padded": tlv(0x30, r, padded(s)), "r without content": tlv(0x30, []byte{2, 0}, s), "s without content": tlv(0x30, r, []byte{2, 0}),
		"r without sign": tlv(0x30, []byte{0x02, byte(size)}, bytes.Repeat([]byte{0xff}, size), s),
		"one integer":    tlv(0x30, r), "no integer": tlv(0x30), "three integers": tlv(0x30, body, s), "something after it": append(bytes.Clone(good), 0),
		"something inside": tlv(0x30, body, []byte{5, 0}), "twice": append(bytes.Clone(good), good...),
		"a SET": tlv(0x31, body), "no constructed bit": tlv(0x10, body), "r an OCTET STRING": tlv(0x30, tlv(0x04, r[2:]), s), "s a BIT STRING": tlv(0x30, r, tlv(0x03, s[2:])),
		"BER: length of two bytes": long(2, body), "BER: length of four bytes": long(4, body), "BER: length of eight bytes": long(8, body),
		"BER: indefinite length": append(append([]byte{0x30, 0x80}, body...), 0, 0), "BER: r in a long length": tlv(0x30, append([]byte{2, 0x81, r[1]}, r[2:]...), s),
		"length too small": append([]byte{0x30, byte(len(body) - 1)}, body...), "length too large": append([]byte{0x30, byte(len(body) + 1)}, body...),
		"length of the largest": append([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff}, body...), "r and s alone (P1363)": raw, "DER in an OCTET STRING": tlv(0x04, good),
		"base64": []byte(base64Of(good)), "hexadecimal": []byte(hex.EncodeToString(good)), "zeros": make([]byte, len(good)), "the longest": make([]byte, 6144), "one byte": {0x30},
	}
}

// TestBadECDSA: on each curve, every form that is not the one, and every number
// that is none of a signature.
func TestBadECDSA(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	algorithms := map[api.KeySpec]api.SigningAlgorithm{api.P256: api.ECDSASHA256, api.P384: api.ECDSASHA384, api.P521: api.ECDSASHA512, api.P256K1: api.ECDSASHA256}
	good, keys := map[api.KeySpec][]byte{}, map[api.KeySpec]string{}
	message := []byte("m")
	for spec, a := range algorithms {
		keys[spec] = b.CreateKey(spec, api.SignVerify).KeyId
		good[spec] = b.signs(t, keys[spec], a, api.Raw, message)
	}
	for spec, a := range algorithms {
		in := api.VerifyRequest{Message: message, SigningAlgorithm: a}
		refused := func(what string, signature []byte, want api.Code) {
			t.Helper()
			in.Signature = signature
			b.refused(t, string(spec)+": "+what, "Verify", keys[spec], in, want)
		}
		for what, signature := range spoiltDER(t, spec, good[spec]) {
			refused(what, signature, api.KMSInvalidSignature)
		}
		for other, signature := range good {
			if other != spec {
				refused("of "+string(other), signature, api.KMSInvalidSignature)
			}
		}
		for i := 1; i < len(good[spec]); i++ {
			refused("cut", good[spec][:i], api.KMSInvalidSignature)
		}
		for i := range good[spec] {
			changed := bytes.Clone(good[spec])
			changed[i] ^= 1 << (i % 8)
			refused("changed", changed, api.KMSInvalidSignature)
		}
		refused("empty", []byte{}, api.Validation)
		refused("too long", make([]byte, 6145), api.Validation)
		in.Message, in.MessageType = digestOf(string(a), message), api.Raw // hashed twice
		refused("over the digest's digest", good[spec], api.KMSInvalidSignature)
		in.Message, in.MessageType = make([]byte, len(in.Message)), api.Digest
		refused("over zeros", good[spec], api.KMSInvalidSignature)
		if !b.verifies(t, keys[spec], a, api.Raw, message, b.signs(t, keys[spec], a, api.Raw, message)) {
			t.Errorf("%s: the key does not sign any more", spec)
		}
	}
}

// TestBadEd25519: numbers beyond the order, points that are none, and other keys'.
func TestBadEd25519(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	key, other := b.CreateKey(api.Ed25519, api.SignVerify).KeyId, b.CreateKey(api.Ed25519, api.SignVerify).KeyId
	message := []byte("m")
	good := b.signs(t, key, api.Ed25519SHA512, api.Raw, message)
	refused := func(what string, signature []byte) {
		t.Helper()
		b.refused(t, what, "Verify", key, api.VerifyRequest{Message: message, Signature: signature, SigningAlgorithm: api.Ed25519SHA512}, api.KMSInvalidSignature)
	}
	order, _ := new(big.Int).SetString("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed", 16) // RFC 8032, 5.1
	s := slices.Clone(good[32:])
	slices.Reverse(s)
	for n := int64(1); n <= 15; n++ { // s + n·order says the same and is refused (RFC 8032, 5.1.7)
		sum := new(big.Int).Add(new(big.Int).SetBytes(s), new(big.Int).Mul(big.NewInt(n), order))
		if sum.BitLen() > 256 {
			continue
		}
		beyond := sum.FillBytes(make([]byte, 32))
		slices.Reverse(beyond)
		refused("s beyond the order", append(slices.Clone(good[:32]), beyond...))
	}
	for i := range good {
		changed := bytes.Clone(good)
		changed[i] ^= 1 << (i % 8)
		refused("changed", changed)
		if i > 0 {
			refused("cut", good[:i])
		}
	}
	identity := append([]byte{1}, make([]byte, 31)...)
	for what, signature := range map[string][]byte{
		"longer": append(bytes.Clone(good), 0), "zeros": make([]byte, 64), "ones": bytes.Repeat([]byte{0xff}, 64), "swapped": append(bytes.Clone(good[32:]), good[:32]...),
		"r the identity, s zero": append(identity, make([]byte, 32)...), "r alone": append(bytes.Clone(good[:32]), make([]byte, 32)...),
		"of another key": b.signs(t, other, api.Ed25519SHA512, api.Raw, message), "DER": tlv(0x30, tlv(2, good[:32]), tlv(2, good[32:])),
	} {
		refused(what, signature)
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	spki, err := x509.MarshalPKIXPublicKey(private.Public())
	must(t, err)
	hash := sha512.Sum512(message)
	again := sha512.Sum512(hash[:])
	foreign := b.adopted(t, api.Ed25519, api.SignVerify, spki)
	for what, signed := range map[string][]byte{"pure, over the digest": ed25519.Sign(private, hash[:]), "pure, over its digest": ed25519.Sign(private, again[:])} {
		in := api.VerifyRequest{Message: hash[:], MessageType: api.Digest, Signature: signed, SigningAlgorithm: api.Ed25519PHSHA512}
		b.refused(t, what, "Verify", foreign, in, api.KMSInvalidSignature)
	}
	withContext, err := private.Sign(nil, again[:], &ed25519.Options{Hash: crypto.SHA512, Context: "c"})
	must(t, err)
	in := api.VerifyRequest{Message: hash[:], MessageType: api.Digest, Signature: withContext, SigningAlgorithm: api.Ed25519PHSHA512}
	b.refused(t, "with a context", "Verify", foreign, in, api.KMSInvalidSignature)
	if !b.verifies(t, key, api.Ed25519SHA512, api.Raw, message, b.signs(t, key, api.Ed25519SHA512, api.Raw, message)) {
		t.Error("the key does not sign any more")
	}
}

// forger makes RSA signatures of any encoded message.
type forger struct{ *rsa.PrivateKey }

func (f forger) raw(em []byte) []byte {
	m := new(big.Int).SetBytes(em)
	return m.Exp(m, f.D, f.N).FillBytes(make([]byte, f.Size()))
}

// pad is EMSA-PKCS1-v1_5 (RFC 8017, 9.2) around what stands at its end.
func (f forger) pad(end []byte) []byte {
	em := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, f.Size()-3-len(end))...)
	return append(append(em, 0), end...)
}

// pss is EMSA-PSS (RFC 8017, 9.1.1) with SHA-256 and a hash of its own for MGF1.
func (f forger) pss(mgf func() hash.Hash, digest, salt []byte) []byte {
	bits := f.N.BitLen() - 1
	size := (bits + 7) / 8
	h := sha256.New()
	h.Write(make([]byte, 8))
	h.Write(digest)
	h.Write(salt)
	sum := h.Sum(nil)
	db := make([]byte, size-len(sum)-1)
	copy(db[len(db)-len(salt):], salt)
	db[len(db)-len(salt)-1] = 1
	mask := mgf1(mgf, sum, len(db))
	for i := range db {
		db[i] ^= mask[i]
	}
	db[0] &= 0xff >> (8*size - bits)
	return bytes.Join([][]byte{db, sum, {0xbc}}, nil)
}

func mgf1(hash func() hash.Hash, seed []byte, size int) (out []byte) {
	for n := uint32(0); len(out) < size; n++ {
		h := hash()
		h.Write(seed)
		h.Write(binary.BigEndian.AppendUint32(nil, n))
		out = h.Sum(out)
	}
	return out[:size]
}

func newForger(t *testing.T) (forger, []byte) {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	spki, err := x509.MarshalPKIXPublicKey(k.Public())
	must(t, err)
	return forger{k}, spki
}

// numbers are what is wrong with any RSA signature.
func (f forger) numbers(good []byte) map[string][]byte {
	below := func(n int64) []byte { return new(big.Int).Sub(f.N, big.NewInt(n)).FillBytes(make([]byte, f.Size())) }
	sum := new(big.Int).Add(new(big.Int).SetBytes(good), f.N)
	return map[string][]byte{
		"zero": make([]byte, 256), "one": append(make([]byte, 255), 1), "the modulus less one": below(1), "the modulus": below(0), "beyond the modulus": sum.Bytes(),
		"ones": bytes.Repeat([]byte{0xff}, 256), "cut": good[:255], "cut before": good[1:], "a byte": {1}, "longer": append(bytes.Clone(good), 0),
		"a zero before": append([]byte{0}, good...), "the longest": make([]byte, 6144), "negative": new(big.Int).Sub(f.N, new(big.Int).SetBytes(good)).FillBytes(make([]byte, 256)),
	}
}

// TestBadPKCS1: RFC 8017, 8.2.2 compares with the one encoding, and so nothing else
// is good.
func TestBadPKCS1(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f, spki := newForger(t)
	key := b.adopted(t, api.RSA2048, api.SignVerify, spki)
	message := []byte("m")
	digest := sha256.Sum256(message)
	oid := func(last byte) []byte { return tlv(0x06, []byte{0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, last}) } // 1: SHA-256, 2: SHA-384, 4: SHA-224
	null, octets := []byte{5, 0}, tlv(0x04, digest[:])
	info := tlv(0x30, tlv(0x30, oid(1), null), octets)
	good := f.raw(f.pad(info))
	if !b.verifies(t, key, api.PKCS1SHA256, api.Raw, message, good) {
		t.Fatal("the one good encoding does not verify")
	}
	encodings := map[string][]byte{
		"NULL missing": f.pad(tlv(0x30, tlv(0x30, oid(1)), octets)), "NULL twice": f.pad(tlv(0x30, tlv(0x30, oid(1), null, null), octets)),
		"NULL with content": f.pad(tlv(0x30, tlv(0x30, oid(1), []byte{5, 1, 0}), octets)), "parameters a SEQUENCE": f.pad(tlv(0x30, tlv(0x30, oid(1), tlv(0x30)), octets)),
		"named SHA-384": f.pad(tlv(0x30, tlv(0x30, oid(2), null), octets)), "named SHA-224": f.pad(tlv(0x30, tlv(0x30, oid(4), null), octets)),
		"named SHA-1":            f.pad(tlv(0x30, tlv(0x30, tlv(0x06, []byte{0x2b, 0x0e, 3, 2, 0x1a}), null), octets)),
		"no DigestInfo":          f.pad(digest[:]),
		"no digest":              f.pad(tlv(0x30, tlv(0x30, oid(1), null))),
		"digest empty":           f.pad(tlv(0x30, tlv(0x30, oid(1), null), tlv(0x04))),
		"digest cut":             f.pad(tlv(0x30, tlv(0x30, oid(1), null), tlv(0x04, digest[:31]))),
		"digest of another":      f.pad(tlv(0x30, tlv(0x30, oid(1), null), tlv(0x04, make([]byte, 32)))),
		"digest a BIT STRING":    f.pad(tlv(0x30, tlv(0x30, oid(1), null), tlv(0x03, digest[:]))),
		"inside the DigestInfo":  f.pad(tlv(0x30, tlv(0x30, oid(1), null), octets, null)),
		"after the DigestInfo":   f.pad(append(bytes.Clone(info), 0)),
		"BER: long lengths":      f.pad(append([]byte{0x30, 0x81, byte(len(info) - 2)}, info[2:]...)),
		"BER: indefinite length": f.pad(append(append([]byte{0x30, 0x80}, info[2:]...), 0, 0)),
		"padding of zeros":       append(append([]byte{0, 1}, make([]byte, 253-len(info))...), append([]byte{0}, info...)...),
		"no separator":           append(append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, 254-len(info))...), info...),
	}
	for what, at := range map[string]int{"block type 0": 1, "a byte of the padding": 50, "the last byte of the padding": 255 - len(info) - 1, "the separator": 255 - len(info)} {
		em := f.pad(info)
		em[at] ^= 1
		encodings[what] = em
	}
	second := f.pad(info)
	second[1] = 2
	encodings["block type 2"] = second
	for _, padding := range []int{0, 1, 7, 8, 100} { // Bleichenbacher 2006: the rest of the block is free
		em := append(append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, padding)...), append([]byte{0}, info...)...)
		rest := make([]byte, 256-len(em))
		rand.Read(rest)
		encodings["short padding, then anything"] = append(em, rest...)
		b.refused(t, "short padding, then anything", "Verify", key, api.VerifyRequest{Message: message, Signature: f.raw(encodings["short padding, then anything"]), SigningAlgorithm: api.PKCS1SHA256}, api.KMSInvalidSignature)
	}
	signatures := f.numbers(good)
	for what, em := range encodings {
		if len(em) != 256 {
			t.Fatalf("%s: %d bytes", what, len(em))
		}
		signatures[what] = f.raw(em)
	}
	var err error
	signatures["PSS"], err = rsa.SignPSS(rand.Reader, f.PrivateKey, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: 32})
	must(t, err)
	for what, signature := range signatures {
		b.refused(t, what, "Verify", key, api.VerifyRequest{Message: message, Signature: signature, SigningAlgorithm: api.PKCS1SHA256}, api.KMSInvalidSignature)
	}
	for _, a := range []api.SigningAlgorithm{api.PKCS1SHA384, api.PKCS1SHA512, api.PSSSHA256} {
		b.refused(t, "another algorithm", "Verify", key, api.VerifyRequest{Message: message, Signature: good, SigningAlgorithm: a}, api.KMSInvalidSignature)
	}
}

// TestBadPSS: the salt is as long as the hash, MGF1 has the same hash, and nothing
// in the encoding is free (RFC 8017, 9.1.2).
func TestBadPSS(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f, spki := newForger(t)
	key := b.adopted(t, api.RSA2048, api.SignVerify, spki)
	message := []byte("m")
	digest := sha256.Sum256(message)
	salt := make([]byte, 256)
	rand.Read(salt)
	em := func() []byte { return f.pss(sha256.New, digest[:], salt[:32]) }
	good := f.raw(em())
	if !b.verifies(t, key, api.PSSSHA256, api.Raw, message, good) {
		t.Fatal("a good encoding does not verify")
	}
	signatures := f.numbers(good)
	for _, n := range []int{0, 1, 10, 20, 31, 33, 48, 64, 222} {
		signatures["salt of "+big.NewInt(int64(n)).String()+" bytes"] = f.raw(f.pss(sha256.New, digest[:], salt[:n]))
	}
	change := func(what string, at int, to func(byte) byte) {
		changed := em()
		changed[at] = to(changed[at])
		signatures[what] = f.raw(changed)
	}
	change("trailer 0xcc", 255, func(byte) byte { return 0xcc })
	change("trailer zero", 255, func(byte) byte { return 0 })
	change("a padding byte", 100, func(x byte) byte { return x ^ 1 })
	change("the separator", 190, func(x byte) byte { return x ^ 2 })
	change("the hash", 230, func(x byte) byte { return x ^ 1 })
	top := em()
	top[0] |= 0x80 // the bit that must be zero; below the modulus only by chance, then bad for that
	signatures["the highest bit"] = f.raw(top)
	signatures["MGF1 with SHA-1"] = f.raw(f.pss(sha1.New, digest[:], salt[:32]))
	signatures["MGF1 with SHA-512"] = f.raw(f.pss(sha512.New, digest[:], salt[:32]))
	signatures["over another digest"] = f.raw(f.pss(sha256.New, make([]byte, 32), salt[:32]))
	var err error
	signatures["PKCS #1 v1.5"], err = rsa.SignPKCS1v15(nil, f.PrivateKey, crypto.SHA256, digest[:])
	must(t, err)
	for what, signature := range signatures {
		b.refused(t, what, "Verify", key, api.VerifyRequest{Message: message, Signature: signature, SigningAlgorithm: api.PSSSHA256}, api.KMSInvalidSignature)
	}
	for _, a := range []api.SigningAlgorithm{api.PSSSHA384, api.PSSSHA512, api.PKCS1SHA256} {
		b.refused(t, "another algorithm", "Verify", key, api.VerifyRequest{Message: message, Signature: good, SigningAlgorithm: a}, api.KMSInvalidSignature)
	}
}

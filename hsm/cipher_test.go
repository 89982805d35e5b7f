package hsm_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"testing"

	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// encode is EME-OAEP (RFC 8017, 7.1.1), written again here with room for each mistake.
func encode(h crypto.Hash, k int, msg []byte, spoil func(em, db []byte)) []byte {
	hash := h.New()
	lhash := hash.Sum(nil)
	em := make([]byte, k)
	seed, db := em[1:1+len(lhash)], em[1+len(lhash):]
	rand.Read(seed)
	copy(db, lhash)
	db[len(db)-len(msg)-1] = 1
	copy(db[len(db)-len(msg):], msg)
	spoil(em, db)
	mask(h, seed, db)
	mask(h, db, seed)
	return em
}

func mask(h crypto.Hash, seed, out []byte) {
	for n, done := 0, 0; done < len(out); n++ {
		d := h.New()
		d.Write(seed)
		d.Write([]byte{0, 0, 0, byte(n)})
		for _, b := range d.Sum(nil) {
			if done < len(out) {
				out[done] ^= b
				done++
			}
		}
	}
}

// spoils are the ways in which a decrypted block can be wrong. Manger's attack (CRYPTO 2001) needs no more than the first to be told from the others.
func spoils(hash int) map[string]func(em, db []byte) {
	return map[string]func(em, db []byte){
		"first byte":         func(em, _ []byte) { em[0] = 1 },
		"label hash, first":  func(_, db []byte) { db[0] ^= 1 },
		"label hash, last":   func(_, db []byte) { db[hash-1] ^= 0x80 },
		"byte in padding":    func(_, db []byte) { db[hash+3] = 2 },
		"no separator":       func(_, db []byte) { clear(db[hash:]) },
		"everything":         func(em, db []byte) { em[0] = 9; rand.Read(db) },
		"separator is not 1": func(_, db []byte) { db[len(db)-len("secret")-1] = 3 },
	}
}

func TestUnpadOAEP(t *testing.T) {
	t.Parallel()
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
		for _, size := range []int{0, 1, 6, 256 - 2*h.Size() - 2} {
			want := bytes.Repeat([]byte{1}, size) // looks like separators
			got, ok := hsm.UnpadOAEP(h, encode(h, 256, want, func(_, _ []byte) {}))
			if !ok || !bytes.Equal(got, want) {
				t.Errorf("%s, %d bytes: %x, %v", h, size, got, ok)
			}
		}
		for name, spoil := range spoils(h.Size()) {
			if got, ok := hsm.UnpadOAEP(h, encode(h, 256, []byte("secret"), spoil)); ok || got != nil {
				t.Errorf("%s, %s: taken, %x", h, name, got)
			}
		}
		if _, ok := hsm.UnpadOAEP(h, make([]byte, 2*h.Size()+1)); ok {
			t.Error("too short a block is taken")
		}
	}
}

// rawRSA is RSA without padding.
func rawRSA(pub *rsa.PublicKey, em []byte) []byte {
	c := new(big.Int).Exp(new(big.Int).SetBytes(em), big.NewInt(int64(pub.E)), pub.N)
	return c.FillBytes(make([]byte, pub.Size()))
}

// Every bad ciphertext gets one and the same answer, to the letter, whichever way the token decrypts (Manger's attack).
func TestBadCiphertexts(t *testing.T) {
	t.Parallel()
	tok := hsmtest.Open(t, hsmtest.NewToken(t))
	k := hsmtest.NewKey(t, tok, hsm.RSA2048, hsm.UseDecrypt)
	pub := k.Public().(*rsa.PublicKey)
	raw := func(em []byte) []byte { return rawRSA(pub, em) }
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256} { // by the token's OAEP, and by CKM_RSA_X_509
		bad := map[string][]byte{
			"empty":          nil,
			"short":          make([]byte, 255),
			"long":           make([]byte, 257),
			"zero":           make([]byte, 256),
			"the modulus":    pub.N.Bytes(),
			"over it":        bytes.Repeat([]byte{0xff}, 256),
			"the other hash": nil,
		}
		other := map[crypto.Hash]crypto.Hash{crypto.SHA1: crypto.SHA256, crypto.SHA256: crypto.SHA1}[h]
		ct, err := k.Encrypt(other, []byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		bad["the other hash"] = ct
		for name, spoil := range spoils(h.Size()) {
			bad[name] = raw(encode(h, 256, []byte("secret"), spoil))
		}
		for name, ct := range bad {
			pt, err := tok.Decrypt(ctx, k, h, ct)
			if !errors.Is(err, hsm.ErrBadCiphertext) || pt != nil || err.Error() != "hsm: decrypt: bad ciphertext" {
				t.Errorf("%s, %s: %x, %v", h, name, pt, err)
			}
		}
		got, err := tok.Decrypt(ctx, k, h, raw(encode(h, 256, []byte("secret"), func(_, _ []byte) {})))
		if err != nil || string(got) != "secret" {
			t.Errorf("%s: %q, %v", h, got, err)
		}
	}
	if s := tok.Stats(); s.Replaced != 0 || s.Recoveries != 0 {
		t.Errorf("bad ciphertexts cost sessions: %+v", s)
	}
}

// What OpenSSL encrypts, the token decrypts.
func TestDecryptsOpenSSL(t *testing.T) {
	t.Parallel()
	openssl(t)
	tok := hsmtest.Open(t, hsmtest.NewToken(t))
	k := hsmtest.NewKey(t, tok, hsm.RSA2048, hsm.UseDecrypt)
	pub := write(t, "pub.pem", publicPEM(t, k))
	for h, md := range map[crypto.Hash]string{crypto.SHA1: "sha1", crypto.SHA256: "sha256"} {
		ct := run(t, "openssl", "pkeyutl", "-encrypt", "-pubin", "-inkey", pub, "-in", write(t, "in", []byte("secret")), "-pkeyopt", "rsa_padding_mode:oaep",
			"-pkeyopt", "rsa_oaep_md:"+md, "-pkeyopt", "rsa_mgf1_md:"+md)
		got, err := tok.Decrypt(ctx, k, h, ct)
		if err != nil || string(got) != "secret" {
			t.Errorf("%s: %q, %v", md, got, err)
		}
	}
	signing := hsmtest.NewKey(t, tok, hsm.RSA2048, hsm.UseSign)
	ct, err := signing.Encrypt(crypto.SHA1, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if pt, err := tok.Decrypt(ctx, signing, crypto.SHA1, ct); err == nil {
		t.Errorf("a key for signing decrypts: %q", pt)
	}
	if hsm.RawOAEP(tok, crypto.SHA1) {
		t.Error("what one key may not do is taken for what the token cannot do")
	}
}

package hsm

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"

	"github.com/miekg/pkcs11"
)

// The values of Config.GCMIV.
const (
	ivRandom = "random"
	ivToken  = "token"
)

const (
	ivSize   = 12       // NIST SP 800-38D, 8.2: 96 bits
	ivMost   = 16       // what an HSM may make instead (Luna)
	tagSize  = 16       // 128 bits, never less
	maxInput = 64 << 10 // plaintexts, additional data and messages: one call in the token
)

// gcm is the parameter of AES-GCM in a job.
type gcm struct {
	given [ivSize]byte // what the token is given: random, or zeros for it to write over
	iv    [ivMost]byte // what it has made of that
	size  int          // of the IV; 0: none is given, the token makes one and appends it
	aad   []byte
}

func validIV(n int) bool { return n == ivSize || n == ivMost }

func (g *gcm) setAAD(aad []byte) { g.aad = append(g.aad[:0], aad...) }

// fresh readies g for one encryption.
func (t *Token) fresh(g *gcm, aad []byte) {
	g.size = ivSize
	clear(g.given[:])
	switch {
	case t.cfg.GCMIV == ivRandom:
		rand.Read(g.given[:]) // never fails: crypto/rand ends the process instead
	case t.gcmNoIV.Load():
		g.size = 0
	}
	g.setAAD(aad)
}

// EncryptGCM encrypts plaintext (1 byte to 64 KiB) by AES-256-GCM (NIST SP 800-38D) in the token, with additional data of up to 64 KiB that is only
// authenticated. The ciphertext ends with the tag of 16 bytes. The IV has 12 bytes; of some tokens that make it themselves, 16; where the key of the message
// is derived (Config.WithoutGCM) it is 28 bytes long, a nonce of 16 and the IV. Random IVs allow 2^32 encryptions under one key (8.3 there).
func (t *Token) EncryptGCM(ctx context.Context, s *Secret, plaintext, aad []byte) (iv, ciphertext []byte, err error) {
	if err := s.ciphers("encrypt"); err != nil {
		return nil, nil, err
	}
	if len(plaintext) == 0 || len(plaintext) > maxInput || len(aad) > maxInput {
		return nil, nil, &Error{Kind: ErrInvalid, Op: "encrypt",
			Detail: fmt.Sprintf("takes 1 to %d bytes of plaintext, and at most %d of additional data", maxInput, maxInput)}
	}
	if s.derives {
		return t.sealDerived(ctx, s, plaintext, aad)
	}
	j, b, err := t.run(ctx, "encrypt", s, func(j *job) {
		j.kind = jobSeal
		t.fresh(&j.gcm, aad)
		j.in = append(j.in[:0], plaintext...)
		j.room(len(plaintext) + tagSize + ivMost)
	})
	if err != nil {
		return nil, nil, err
	}
	defer j.free()
	if j.rv != pkcs11.CKR_OK {
		return nil, nil, t.explain(ctx, b.gen, "encrypt", pkcs11.Error(j.rv))
	}
	return t.sealed(&j.gcm, j.out, len(plaintext))
}

// sealed takes apart what the token gave for n bytes of plaintext. It fails closed where it is not known which IV was used.
func (t *Token) sealed(g *gcm, out []byte, n int) (iv, ciphertext []byte, err error) {
	wrong := func(detail, advice string) ([]byte, []byte, error) {
		return nil, nil, &Error{Kind: ErrFailed, Op: "encrypt", Detail: detail, Advice: advice}
	}
	own := !bytes.Equal(g.iv[:g.size], g.given[:g.size])
	more := len(out) - n - tagSize // an IV at the end
	switch {
	case t.cfg.GCMIV == ivRandom && (own || validIV(more)):
		return wrong("the token made an IV of its own", "set gcm_iv: token")
	case more == 0 && g.size != 0 && (own || t.cfg.GCMIV == ivRandom):
		iv = bytes.Clone(g.iv[:g.size])
	case validIV(more) && !own:
		iv = bytes.Clone(out[n+tagSize:])
	case more == 0:
		return wrong("the token made no IV", "set gcm_iv: random")
	default:
		return wrong(fmt.Sprintf("the token gave %d bytes for %d of plaintext", len(out), n), "")
	}
	if allZero(iv) {
		return wrong("the IV is all zero", "")
	}
	return iv, bytes.Clone(out[:n+tagSize]), nil
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// DecryptGCM undoes EncryptGCM. Everything that can be wrong with the IV, the ciphertext and the additional data is the same ErrBadCiphertext.
func (t *Token) DecryptGCM(ctx context.Context, s *Secret, iv, ciphertext, aad []byte) ([]byte, error) {
	if err := s.ciphers("decrypt"); err != nil {
		return nil, err
	}
	if s.derives != (len(iv) == derivedIVSize) || !s.derives && !validIV(len(iv)) || len(ciphertext) <= tagSize || len(ciphertext) > maxInput+tagSize || len(aad) > maxInput {
		return nil, errCiphertext()
	}
	if s.derives {
		return t.openDerived(ctx, s, iv, ciphertext, aad)
	}
	j, b, err := t.run(ctx, "decrypt", s, func(j *job) {
		j.kind = jobOpen
		j.gcm.size = copy(j.gcm.iv[:], iv)
		j.gcm.setAAD(aad)
		j.in = append(j.in[:0], ciphertext...)
		j.room(len(ciphertext))
	})
	if err != nil {
		return nil, err
	}
	defer j.free()
	switch c := classify(j.rv); {
	case c == classOK && len(j.out) == len(ciphertext)-tagSize:
		return bytes.Clone(j.out), nil
	case c == classLost || c == classSession || c == classKeyGone:
		return nil, fail("decrypt", j.rv, "")
	case j.begun, j.rv == pkcs11.CKR_MECHANISM_PARAM_INVALID, j.rv == pkcs11.CKR_ARGUMENTS_BAD: // an IV or additional data that the token does not take
		return nil, errCiphertext()
	}
	return nil, t.explain(ctx, b.gen, "decrypt", pkcs11.Error(j.rv))
}

// gcm encrypts or decrypts into out. It returns the CK_RV, the length, and whether the operation had begun when it failed.
func (s *session) gcm(key uint, seal bool, p *gcm, in, out []byte) (rv uint, n int, begun bool) {
	if seal {
		p.iv = [ivMost]byte{}
		copy(p.iv[:], p.given[:p.size])
	}
	if s.list != nil {
		return fastGCM(s.list, uint(s.h), key, seal, p, in, out)
	}
	params := pkcs11.NewGCMParams(p.iv[:p.size], p.aad, 8*tagSize)
	defer params.Free()
	mech := []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}
	begin, run := s.ctx.DecryptInit, s.ctx.Decrypt
	if seal {
		begin, run = s.ctx.EncryptInit, s.ctx.Encrypt
	}
	if err := begin(s.h, mech, pkcs11.ObjectHandle(key)); err != nil {
		return rvOf(err), 0, false
	}
	b, err := run(s.h, in)
	if seal && err == nil {
		copy(p.iv[:p.size], params.IV())
	}
	n = copy(out, b)
	clear(b)
	return rvOf(err), n, true
}

// sealIn encrypts by a session that is at hand.
func (t *Token) sealIn(s *session, key uint, plaintext, aad []byte) (iv, ciphertext []byte, err error) {
	var g gcm
	t.fresh(&g, aad)
	out := make([]byte, len(plaintext)+tagSize+ivMost)
	rv, n, _ := s.gcm(key, true, &g, plaintext, out)
	if rv != pkcs11.CKR_OK || n > len(out) {
		return nil, nil, fail("encrypt", rv, "by AES-GCM")
	}
	return t.sealed(&g, out[:n], len(plaintext))
}

// openIn decrypts by a session that is at hand; refuted as in job.
func (s *session) openIn(key uint, iv, ciphertext, aad []byte) (plaintext []byte, rv uint, refuted bool) {
	g := gcm{size: len(iv), aad: aad}
	copy(g.iv[:], iv)
	out := make([]byte, len(ciphertext))
	rv, n, begun := s.gcm(key, false, &g, ciphertext, out)
	if rv != pkcs11.CKR_OK || n > len(out) {
		return nil, rv, begun
	}
	return out[:n], rv, false
}

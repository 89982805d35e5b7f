package hsm

import (
	"bytes"
	"context"
	"crypto"
	"crypto/subtle"
	"fmt"

	"github.com/miekg/pkcs11"
)

// macName is the name of the ability, in the words of the KMS API.
func macName(h crypto.Hash) string { return fmt.Sprintf("HMAC_SHA_%d", 8*h.Size()) }

// MAC computes the HMAC (RFC 2104) of message (up to 64 KiB) in the token, with the hash of the key's spec and as long as that.
func (t *Token) MAC(ctx context.Context, s *Secret, message []byte) ([]byte, error) {
	if err := notMAC("mac", s, message); err != nil {
		return nil, err
	}
	return t.mac(ctx, "mac", s, message)
}

// VerifyMAC checks mac, by computing it again in the token and comparing here, in constant time. Nil means valid; a wrong one is ErrInvalid.
func (t *Token) VerifyMAC(ctx context.Context, s *Secret, message, mac []byte) error {
	if err := notMAC("verify", s, message); err != nil {
		return err
	}
	want, err := t.mac(ctx, "verify", s, message)
	if err != nil {
		return err
	}
	defer clear(want)
	if subtle.ConstantTimeCompare(want, mac) != 1 {
		return &Error{Kind: ErrInvalid, Op: "verify", Detail: "the MAC does not verify"}
	}
	return nil
}

// notMAC refuses a key and a message that no caller may compute a MAC with.
func notMAC(op string, s *Secret, message []byte) error {
	switch {
	case s.kind.use != UseMAC || s.derives || len(message) > maxInput:
		return &Error{Kind: ErrInvalid, Op: op, Detail: fmt.Sprintf("takes a key for HMAC and at most %d bytes", maxInput)}
	case ReservedForKeys(s.spec, message):
		return &Error{Kind: ErrInvalid, Op: op, Detail: "the message begins like what keys of messages are derived from"}
	}
	return nil
}

func (t *Token) mac(ctx context.Context, op string, s *Secret, message []byte) ([]byte, error) {
	j, b, err := t.run(ctx, op, s, func(j *job) {
		j.kind, j.mech = jobSign, mechanism{typ: s.kind.mech}
		j.in = append(j.in[:0], message...)
	})
	if err != nil {
		return nil, err
	}
	defer j.free()
	if j.rv != pkcs11.CKR_OK {
		return nil, t.explain(ctx, b.gen, op, pkcs11.Error(j.rv))
	}
	if len(j.out) != s.kind.hash.Size() {
		return nil, &Error{Kind: ErrFailed, Op: op, Detail: fmt.Sprintf("the token gave a MAC of %d bytes", len(j.out))}
	}
	return bytes.Clone(j.out), nil
}

// mac computes by a session that is at hand.
func (s *session) mac(key uint, kind *secretKind, message []byte) ([]byte, uint) {
	mac, rv := s.trySign(key, &signer{mech: mechanism{typ: kind.mech}}, message)
	if rv == pkcs11.CKR_OK && len(mac) != kind.hash.Size() {
		return nil, pkcs11.CKR_FUNCTION_FAILED
	}
	return mac, rv
}

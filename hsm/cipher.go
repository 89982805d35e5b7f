package hsm

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"sync/atomic"

	"github.com/miekg/pkcs11"
)

// errCiphertext is the one answer for everything that can be wrong with a ciphertext, whoever found it and how: see unpadOAEP.
func errCiphertext() *Error { return &Error{Kind: ErrBadCiphertext, Op: "decrypt"} }

// rawOAEP says for which hashes the token has no OAEP, so that CKM_RSA_X_509 and unpadOAEP stand in.
type rawOAEP struct{ sha1, sha256 atomic.Bool }

func (r *rawOAEP) of(h crypto.Hash) *atomic.Bool {
	if h == crypto.SHA1 {
		return &r.sha1
	}
	return &r.sha256
}

// Decrypt decrypts ct by RSAES-OAEP with an empty label and h (SHA-1 or SHA-256) for both the label hash and MGF1. Everything that can be
// wrong with ct is the same ErrBadCiphertext.
func (t *Token) Decrypt(ctx context.Context, k *Key, h crypto.Hash, ct []byte) ([]byte, error) {
	pub, ok := k.pub.(*rsa.PublicKey)
	if !ok || h != crypto.SHA1 && h != crypto.SHA256 {
		return nil, &Error{Kind: ErrInvalid, Op: "decrypt", Detail: "takes an RSA key and SHA-1 or SHA-256"}
	}
	if len(ct) != pub.Size() || bytes.Compare(ct, pub.N.FillBytes(make([]byte, pub.Size()))) >= 0 {
		return nil, errCiphertext()
	}
	raw := t.oaep.of(h)
	if !raw.Load() {
		pt, err := t.decryptOAEP(ctx, k, h, ct)
		if !errors.Is(err, errNoOAEP) {
			return pt, err
		}
	}
	pt, err := t.decryptRaw(ctx, k, h, ct, pub.Size())
	if err == nil || errors.Is(err, ErrBadCiphertext) { // it may be this key that may not decrypt, and not the mechanism
		raw.Store(true)
	}
	return pt, err
}

// errNoOAEP: the token refused the mechanism before it saw the ciphertext.
var errNoOAEP = &Error{Kind: ErrUnsupported, Op: "decrypt"}

func (t *Token) decryptOAEP(ctx context.Context, k *Key, h crypto.Hash, ct []byte) ([]byte, error) {
	n := hashMech[h]
	return t.decrypt(ctx, k, mechanism{typ: pkcs11.CKM_RSA_PKCS_OAEP, param: paramOAEP, hash: n.ckm, mgf: n.mgf}, ct, func(out []byte) ([]byte, error) {
		return bytes.Clone(out), nil
	})
}

func (t *Token) decryptRaw(ctx context.Context, k *Key, h crypto.Hash, ct []byte, size int) ([]byte, error) {
	pt, err := t.decrypt(ctx, k, mechanism{typ: pkcs11.CKM_RSA_X_509}, ct, func(out []byte) ([]byte, error) {
		if len(out) > size {
			return nil, errCiphertext()
		}
		em := make([]byte, size)
		copy(em[size-len(out):], out) // a module may drop leading zeros
		defer clear(em)
		msg, ok := unpadOAEP(h, em)
		if !ok {
			return nil, errCiphertext()
		}
		return msg, nil
	})
	if errors.Is(err, errNoOAEP) {
		return nil, &Error{Kind: ErrUnsupported, Op: "decrypt", Detail: "the token has neither this OAEP nor CKM_RSA_X_509, or not for this key"}
	}
	return pt, err
}

// decrypt runs the mechanism and hands what came out to finish, which must not keep it.
func (t *Token) decrypt(ctx context.Context, k *Key, m mechanism, ct []byte, finish func([]byte) ([]byte, error)) ([]byte, error) {
	j, b, err := t.run(ctx, "decrypt", k, func(j *job) {
		j.kind, j.mech = jobDecrypt, m
		j.in = append(j.in[:0], ct...)
	})
	if err != nil {
		return nil, err
	}
	defer j.free()
	switch c := classify(j.rv); {
	case c == classOK:
		return finish(j.out)
	case c == classLost || c == classSession || c == classKeyGone:
		return nil, fail("decrypt", j.rv, "")
	case j.begun:
		return nil, errCiphertext()
	case c == classUnsupported:
		return nil, errNoOAEP
	}
	return nil, t.explain(ctx, b.gen, "decrypt", pkcs11.Error(j.rv))
}

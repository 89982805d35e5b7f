package hsm

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"

	"github.com/miekg/pkcs11"
	"go.uber.org/zap"
)

// agreeName is the name of the ability: a token may have it on one curve and not on another.
func agreeName(spec KeySpec) string { return "ECDH (" + string(spec) + ")" }

// agreeForm is one way to ask for ECDH; PKCS#11 v2.40, 2.3.9 has the raw point, older modules its DER, and some want no length.
type agreeForm struct{ der, length bool }

var agreeForms = []agreeForm{{false, true}, {true, true}, {false, false}, {true, false}}

// Agree computes the raw ECDH secret (NIST SP 800-56A, 5.7.1.2) of k and the peer's public key (DER of SubjectPublicKeyInfo) in the token: the x coordinate,
// as long as the field's elements (32, 48 or 66 bytes), with its leading zeros. A peer's key that is no point of k's curve is ErrInvalid. The first result
// of each handle is checked against Go's.
func (t *Token) Agree(ctx context.Context, k *Key, peerSPKI []byte) ([]byte, error) {
	own, peer, err := agreePair(k, peerSPKI)
	if err != nil {
		return nil, err
	}
	other, runs := false, 0
	j, b, err := t.run(ctx, "agree", k, func(j *job) {
		other, runs = false, 0
		j.what = callAgree
		j.fn = func(s *session) error {
			if runs++; runs > 1 || !j.bound.verified.Load() { // a second time in a new session: the handle may be another's by now
				same, err := t.proveAgree(s, j.key, own)
				if err != nil || !same {
					other = err == nil
					return err
				}
				j.bound.verified.Store(true)
			}
			rv := s.agree(j.key, agreeForms[t.agreeForm.Load()], peer, &j.out)
			if rv != pkcs11.CKR_OK {
				return pkcs11.Error(rv)
			}
			return nil
		}
	})
	if err != nil {
		return nil, err
	}
	defer j.free()
	if j.err != nil {
		return nil, t.explain(ctx, b.gen, "agree", j.err)
	}
	if other {
		t.stats.checkFailures.Add(1)
		k.bound.CompareAndSwap(b, nil)
		t.log.Error("a shared secret was not the expected one and was thrown away", zap.String("cka_id", hex.EncodeToString(k.id)))
		return nil, otherKey("agree", k.id)
	}
	return bytes.Clone(j.out), nil
}

// agreePair checks in Go that both are points of one NIST curve.
func agreePair(k *Key, peerSPKI []byte) (own, peer *ecdh.PublicKey, err error) {
	bad := func(detail string) (*ecdh.PublicKey, *ecdh.PublicKey, error) {
		return nil, nil, &Error{Kind: ErrInvalid, Op: "agree", Detail: detail}
	}
	mine, ok := k.pub.(*ecdsa.PublicKey)
	if !ok {
		return bad("takes a key on a NIST curve")
	}
	pub, err := parsePublic(peerSPKI)
	if err != nil {
		return bad("the peer's public key: " + err.Error())
	}
	theirs, ok := pub.(*ecdsa.PublicKey)
	if !ok || theirs.Curve != mine.Curve {
		return bad("the peer's public key is not on the curve of " + string(k.spec))
	}
	if own, err = mine.ECDH(); err == nil {
		peer, err = theirs.ECDH() // NewPublicKey: not infinity, and on the curve
	}
	if err != nil {
		return bad("the peer's public key is no point of its curve")
	}
	return own, peer, nil
}

// proveAgree has the token agree with a key pair made here, for which Go knows the secret, and keeps the form that gave it. err where the token
// answered nothing at all.
func (t *Token) proveAgree(s *session, key uint, own *ecdh.PublicKey) (same bool, err error) {
	mine, err := own.Curve().GenerateKey(rand.Reader)
	if err != nil {
		return false, err
	}
	want, err := mine.ECDH(own)
	if err != nil {
		return false, err
	}
	defer clear(want)
	begin, answered := int(t.agreeForm.Load()), false
	for i := range agreeForms {
		n := (begin + i) % len(agreeForms)
		got := make([]byte, maxOutput)
		rv := s.agree(key, agreeForms[n], mine.PublicKey(), &got)
		if c := classify(rv); c == classLost || c == classSession || c == classKeyGone {
			return false, pkcs11.Error(rv)
		}
		if rv == pkcs11.CKR_OK {
			answered = true
		} else if err == nil {
			err = pkcs11.Error(rv)
		}
		if rv == pkcs11.CKR_OK && subtle.ConstantTimeCompare(got, want) == 1 {
			t.agreeForm.Store(int32(n))
			return true, nil
		}
	}
	if answered {
		return false, nil
	}
	return false, err
}

// agree derives the secret into *out, which it cuts to the length of the curve's field.
func (s *session) agree(key uint, form agreeForm, peer *ecdh.PublicKey, out *[]byte) (rv uint) {
	point := peer.Bytes()
	field := (len(point) - 1) / 2
	size := 0
	if form.length {
		size = field
	}
	if form.der {
		point = mustDER(point)
	}
	room := (*out)[:cap(*out)]
	rv, n := s.derive(key, point, size, room)
	if rv == pkcs11.CKR_OK && (n == 0 || n > field) {
		clear(room)
		rv = pkcs11.CKR_FUNCTION_FAILED
	}
	if rv != pkcs11.CKR_OK {
		*out = room[:0]
		return rv
	}
	copy(room[field-n:field], room[:n]) // a module that was told no length may drop leading zeros
	clear(room[:field-n])
	*out = room[:field]
	return rv
}

// derive makes the secret an object of this session, reads it and destroys it.
func (s *session) derive(key uint, point []byte, size int, out []byte) (rv uint, n int) {
	if s.list != nil {
		return fastAgree(s.list, uint(s.h), key, point, size, out)
	}
	template := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, false),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, false),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, true),
	}
	if size != 0 {
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, size))
	}
	mech := []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_ECDH1_DERIVE, pkcs11.NewECDH1DeriveParams(pkcs11.CKD_NULL, nil, point))}
	h, err := s.ctx.DeriveKey(s.h, mech, pkcs11.ObjectHandle(key), template)
	if err != nil {
		return rvOf(err), 0
	}
	value, err := s.attribute(h, pkcs11.CKA_VALUE)
	if gone := s.ctx.DestroyObject(s.h, h); err == nil {
		err = gone
	}
	if err == nil {
		n = copy(out, value)
	}
	clear(value)
	return rvOf(err), n
}

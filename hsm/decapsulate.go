package hsm

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/hex"
	"fmt"

	"github.com/miekg/pkcs11"
	"go.uber.org/zap"
)

// Encapsulate makes a shared secret of 32 bytes and the ciphertext that carries it to the holder of the private key (FIPS 203, 7.2), in Go.
func (k *Key) Encapsulate() (ciphertext, shared []byte, err error) {
	pub, ok := k.pub.(*KEMPublicKey)
	if !ok {
		return nil, nil, &Error{Kind: ErrInvalid, Op: "encapsulate", Detail: "takes an ML-KEM key"}
	}
	ciphertext, shared, err = pub.encapsulate()
	if err != nil {
		return nil, nil, &Error{Kind: ErrInvalid, Op: "encapsulate", Detail: err.Error()}
	}
	return ciphertext, shared, nil
}

// Decapsulate recovers the shared secret of 32 bytes in the token (FIPS 203, 7.3). A ciphertext of another length is ErrBadCiphertext; one of
// the right length that was tampered with gives another secret and no error, as FIPS 203 has it, and so does another key: the first result of each
// handle is checked against Go's. The caller clears the secret.
func (t *Token) Decapsulate(ctx context.Context, k *Key, ciphertext []byte) (shared []byte, err error) {
	if !isKEM(k.spec) {
		return nil, &Error{Kind: ErrInvalid, Op: "decapsulate", Detail: "takes an ML-KEM key"}
	}
	if want := parameterSets[k.spec].output; len(ciphertext) != want {
		return nil, &Error{Kind: ErrBadCiphertext, Op: "decapsulate", Detail: fmt.Sprintf("it has %d bytes; %s takes %d", len(ciphertext), k.spec, want)}
	}
	if err := t.Supports(k.spec, UseDecapsulate); err != nil {
		return nil, withOp("decapsulate", err)
	}
	other, runs := false, 0
	out, b, err := t.run(ctx, "decapsulate", k, func(j *job) {
		other, runs = false, 0
		j.in = append(j.in[:0], ciphertext...)
		j.what = callDecap
		j.fn = func(s *session) error {
			if runs++; runs > 1 || !j.bound.verified.Load() { // a second time in a new session: the handle may be another's by now
				same, err := k.decapsulates(func(ct []byte) ([]byte, error) { return s.decapsulate(j.key, ct) })
				if err != nil || !same {
					other = err == nil
					return err
				}
				j.bound.verified.Store(true)
			}
			secret, err := s.decapsulate(j.key, j.in)
			j.out = j.out[:copy(j.out, secret)]
			clear(secret)
			return err
		}
	})
	if err != nil {
		return nil, err
	}
	if out.err != nil {
		return nil, t.explain(ctx, b.gen, "decapsulate", out.err)
	}
	defer out.free()
	if other {
		t.stats.checkFailures.Add(1)
		k.bound.CompareAndSwap(b, nil)
		t.log.Error("a shared secret was not the expected one and was thrown away", zap.String("cka_id", hex.EncodeToString(k.id)))
		return nil, otherKey("decapsulate", k.id)
	}
	if len(out.out) != sharedSize {
		return nil, &Error{Kind: ErrFailed, Op: "decapsulate", Detail: fmt.Sprintf("the token gives a secret of %d bytes", len(out.out))}
	}
	return bytes.Clone(out.out), nil
}

// decapsulates says whether that recovers a secret which Go encapsulates to the key.
func (k *Key) decapsulates(decapsulate func(ciphertext []byte) ([]byte, error)) (same bool, err error) {
	ct, want, err := k.Encapsulate()
	if err != nil {
		return false, err
	}
	defer clear(want)
	got, err := decapsulate(ct)
	defer clear(got)
	return err == nil && subtle.ConstantTimeCompare(got, want) == 1, err
}

// decapsulate has the token make the secret as a session object, reads it and destroys it.
func (s *session) decapsulate(key uint, ciphertext []byte) (secret []byte, err error) {
	if s.kem == nil {
		return nil, pkcs11.Error(pkcs11.CKR_FUNCTION_NOT_SUPPORTED)
	}
	h, rv := fastDecapsulate(s.kem, uint(s.h), key, ciphertext)
	if rv != pkcs11.CKR_OK {
		return nil, pkcs11.Error(rv)
	}
	defer func() {
		if e := s.ctx.DestroyObject(s.h, pkcs11.ObjectHandle(h)); e != nil && err == nil {
			clear(secret)
			secret, err = nil, e
		}
	}()
	return s.attribute(pkcs11.ObjectHandle(h), pkcs11.CKA_VALUE)
}

// lattices tries ML-DSA and ML-KEM.
func (r *trial) lattices(s *session) error {
	for _, spec := range []KeySpec{MLDSA44, MLDSA65, MLDSA87, MLKEM512, MLKEM768, MLKEM1024} {
		if _, err := s.ctx.GetMechanismInfo(s.slot, []*pkcs11.Mechanism{pkcs11.NewMechanism(parameterSets[spec].generator, nil)}); err != nil {
			if c := classify(rvOf(err)); c == classLost || c == classSession {
				return err
			}
			r.set(string(spec), No, "the token has no such keys, which came with PKCS#11 v3.2", "") // no advice: nobody is to be told at each check
			continue
		}
		if err := r.lattice(s, spec); err != nil {
			return err
		}
	}
	return nil
}

func (r *trial) lattice(s *session, spec KeySpec) error {
	use := UseSign
	if isKEM(spec) {
		use = UseDecapsulate
	}
	pub, e, ok, err := r.pair(s, spec, use)
	if err != nil || !ok {
		return err
	}
	if use == UseSign {
		return r.signatures(s, spec, pub, e)
	}
	defer func() { _ = s.destroy(e) }()
	ct, want, err := (&Key{ref: ref{spec: spec}, pub: pub}).Encapsulate()
	if err != nil {
		r.set(string(spec), No, "the token shows no usable public key: "+err.Error(), adviceSpec)
		return nil
	}
	got, err := s.decapsulate(uint(e.private[0]), ct)
	switch c := classify(rvOf(err)); {
	case c == classLost || c == classSession:
		return err
	case err != nil:
		r.set(string(spec), No, "the token makes the key, and answers "+rvName(rvOf(err))+" to decapsulation", adviceSpec)
	case subtle.ConstantTimeCompare(got, want) != 1:
		r.set(string(spec), No, "the token decapsulates another secret than was encapsulated", adviceSpec)
	}
	return nil
}

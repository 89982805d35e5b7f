package hsm

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/hex"

	"github.com/miekg/pkcs11"
	"go.uber.org/zap"
)

// Sign signs in: a digest of m.Hash, or the message for Ed25519. It returns a DER ECDSA-Sig-Value for ECDSA, the bytes of RFC 8017 for RSA and of
// RFC 8032 for Ed25519.
//
// No signature leaves that does not verify with k's public key: a token that was re-initialised behind our back may have another key under
// the same handle, and a fault during RSA-CRT would reveal the private key. Config.SkipECDSACheck leaves that out for ECDSA, after the first
// signature of each key in each generation.
func (t *Token) Sign(ctx context.Context, k *Key, m SignMechanism, in []byte) ([]byte, error) {
	s, err := signerFor("sign", k.spec, m, in)
	if err != nil {
		return nil, err
	}
	if m.Scheme == Ed25519ph {
		if err := t.SupportsSign(k.spec, m); err != nil {
			return nil, err // a token that ignores the parameter would sign something else
		}
	}
	out, b, err := t.run(ctx, "sign", k, func(j *job) {
		j.kind, j.mech = jobSign, s.mech
		j.room(max(maxOutput, signatureSize(k.spec)))
		j.in = append(append(j.in[:0], s.prefix...), in...)
	})
	if err != nil {
		return nil, err
	}
	if out.rv != pkcs11.CKR_OK {
		return nil, t.explain(ctx, b.gen, "sign", pkcs11.Error(out.rv))
	}
	var sig []byte
	if m.Scheme == ECDSA {
		sig = derSignature(out.out)
	} else {
		sig = bytes.Clone(out.out)
	}
	out.free()
	if err := t.check(k, b, m, in, sig); err != nil {
		return nil, err
	}
	return sig, nil
}

// check lets only a right signature pass; nil sig is none.
func (t *Token) check(k *Key, b *binding, m SignMechanism, in, sig []byte) error {
	if m.Scheme == ECDSA && t.cfg.SkipECDSACheck && b.verified.Load() && sig != nil {
		return nil
	}
	if sig != nil && k.signed(m, in, sig) {
		b.verified.Store(true)
		return nil
	}
	clear(sig)
	t.stats.checkFailures.Add(1)
	k.bound.CompareAndSwap(b, nil)
	t.log.Error("a signature did not verify and was thrown away", zap.String("cka_id", hex.EncodeToString(k.id)), zap.Stringer("mechanism", m))
	return &Error{Kind: ErrKeyMissing, Op: "sign", Detail: "its signature does not verify with the expected public key and was thrown away: the token " +
		"holds another key under this CKA_ID (" + hex.EncodeToString(k.id) + "), or computes wrongly", Advice: "was the token initialised again, or restored from another backup?"}
}

// signed checks a signature that the token has made.
func (k *Key) signed(m SignMechanism, in, sig []byte) bool {
	switch public := k.pub.(type) {
	case *ecdsa.PublicKey:
		if k.spec == NISTP256 {
			return k.checkP256(public, in, sig)
		}
	case *rsa.PublicKey:
		return k.checkRSA(public, m, in, sig)
	case ed25519.PublicKey:
		if m.Scheme == Ed25519 {
			return k.checkEd25519(public, in, sig)
		}
	}
	return verify(k.pub, m, in, sig)
}

// otherKey is the answer where the token holds another key than the expected one.
func otherKey(op string, id []byte) *Error {
	return &Error{Kind: ErrKeyMissing, Op: op, Detail: "the token holds another key under this CKA_ID (" + hex.EncodeToString(id) + ")",
		Advice: "was the token initialised again, or restored from another backup? restore the right one"}
}

// run runs a job with the key's handle. When the handle names nothing any more, or the token fails without saying why, the key is looked up
// again, once: after SoftHSM's folder went away and came back, signing gives CKR_GENERAL_ERROR and a search finds nothing, until the module
// is opened again (seek does that).
func (t *Token) run(ctx context.Context, op string, m material, fill func(*job)) (*job, *binding, error) {
	k := m.at()
	for try := 0; ; try++ {
		g, err := t.current(op)
		if err != nil {
			return nil, nil, err
		}
		b := k.bound.Load()
		if b == nil || b.gen != g {
			if b, err = t.resolve(ctx, g, m); err != nil {
				return nil, nil, withOp(op, err)
			}
		}
		j := newJob(jobFunc)
		j.bound, j.key = b, b.handle
		if k.secret {
			j.of = m
		}
		fill(j)
		if err := g.do(ctx, g.sign, j, t.limits()); err != nil {
			return nil, nil, withOp(op, err)
		}
		again := classify(j.rv) == classKeyGone || classify(j.rv) == classOther && !j.refuted()
		if !again || try > 0 {
			return j, b, nil
		}
		j.free()
		k.bound.CompareAndSwap(b, nil)
		g.forget(k.id, b.handle)
	}
}

func withOp(op string, err error) error {
	e := *asError(err)
	e.Op = op
	return &e
}

package hsm

import (
	"crypto"
	"crypto/rand"
	"fmt"
)

// What the tests and benchmarks of this folder may see of the inside.

// Decapsulates says whether that recovers what is encapsulated to the key.
func Decapsulates(k *Key, decapsulate func([]byte) ([]byte, error)) (bool, error) {
	return k.decapsulates(decapsulate)
}

// BareLoop returns a function that signs with nothing around the one cgo call: cached handles, a session of its own. It is the yardstick of the
// benchmarks.
func BareLoop(t *Token, k *Key, m SignMechanism, in []byte) (func() error, error) {
	g := t.gen.Load()
	w, err := g.openWorker(g.sign)
	if err != nil {
		return nil, err
	}
	g.workers.Done() // it never runs: the session is ours
	e, err := w.s.lookUp(k.id)
	if err != nil {
		return nil, err
	}
	s := signers[signerKey{k.spec, m}]
	msg := append(append([]byte{}, s.prefix...), in...)
	out := make([]byte, maxOutput)
	list, h, key := g.life.list, uint(w.s.h), uint(e.private[0])
	return func() error {
		if rv, _, _ := fastSign(list, h, key, &s.mech, msg, out); rv != 0 {
			return fmt.Errorf("CKR 0x%X", rv)
		}
		return nil
	}, nil
}

// UnpadOAEP is unpadOAEP.
func UnpadOAEP(h crypto.Hash, em []byte) ([]byte, bool) { return unpadOAEP(h, em) }

// DERSignature is derSignature.
func DERSignature(raw []byte) []byte { return derSignature(raw) }

// RawOAEP says whether ciphertexts are unpadded here.
func RawOAEP(t *Token, h crypto.Hash) bool { return t.oaep.of(h).Load() }

// CheckText is what the check value of a secret key is made from.
const CheckText = checkText

// SecretLoop is BareLoop for a secret key: seals or authenticates in.
func SecretLoop(t *Token, x *Secret, in []byte) (func() error, error) {
	g := t.gen.Load()
	w, err := g.openWorker(g.sign)
	if err != nil {
		return nil, err
	}
	g.workers.Done() // it never runs: the session is ours
	e, err := w.s.lookUp(x.id)
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(in)+tagSize+ivMost+maxOutput)
	list, h, key, p := g.life.list, uint(w.s.h), uint(e.secret[0]), gcm{size: ivSize}
	mech := mechanism{typ: x.kind.mech}
	return func() error {
		var rv uint
		if x.kind.use == UseCipher {
			rand.Read(p.iv[:ivSize])
			rv, _, _ = fastGCM(list, h, key, true, &p, in, out)
		} else {
			rv, _, _ = fastSign(list, h, key, &mech, in, out)
		}
		if rv != 0 {
			return fmt.Errorf("CKR 0x%X", rv)
		}
		return nil
	}, nil
}

// DropFunctionList has the module go through miekg/pkcs11 alone.
func DropFunctionList(path string) error {
	m, err := openModule(path, "")
	if err == nil {
		m.life.list = nil
	}
	return err
}

// ForgetSelfTests has the next token tested again.
func ForgetSelfTests() { selfTests.Clear() }

// OpensInGo decrypts in Go and compares.
func OpensInGo(key, iv, ct, aad, want []byte) bool { return opensInGo(key, iv, ct, aad, want) }

// KWPWrap is kwpWrap.
func KWPWrap(kek, material []byte) ([]byte, error) { return kwpWrap(kek, material) }

// KWPUnwrap is kwpUnwrap.
func KWPUnwrap(kek, wrapped []byte) ([]byte, bool) { return kwpUnwrap(kek, wrapped) }

// Candidates is candidates.
func Candidates(spec KeySpec, digest, sig []byte) []crypto.PublicKey {
	return candidates(spec, digest, sig)
}

// ParsePrivate gives the public key of the private key in PKCS#8.
func ParsePrivate(der []byte) (crypto.PublicKey, error) {
	k, err := parsePrivate(der)
	if err != nil {
		return nil, err
	}
	k.clear()
	return k.pub, nil
}

// ForgetTests has the next token tested anew.
func ForgetTests() { selfTests.Clear() }

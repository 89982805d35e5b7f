package hsm

import (
	"crypto"
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"
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

// Outcome is what a job of Series came to: the signature in DER where it has one, and the CK_RV.
type Outcome struct {
	Signature []byte
	RV        uint
	Left      bool // its caller had gone, and was told nothing
}

// MaxSeries is maxSeries.
const MaxSeries = maxSeries

// Series has a worker sign the digests in one turn, with one key each. prepare may spoil the session, the handles of the keys, and who waits.
func Series(t *Token, keys []*Key, digests [][]byte, prepare func(ctx *pkcs11.Ctx, s pkcs11.SessionHandle, handles []uint, gone []bool) error) ([]Outcome, error) {
	g := t.gen.Load()
	w, err := g.openWorker(g.sign)
	if err != nil {
		return nil, err
	}
	defer g.workers.Done()
	handles, gone := make([]uint, len(keys)), make([]bool, len(keys))
	for i, k := range keys {
		e, err := w.s.lookUp(k.id)
		if err != nil {
			return nil, err
		}
		handles[i] = uint(e.private[0])
	}
	if err := prepare(w.s.ctx, w.s.h, handles, gone); err != nil {
		return nil, err
	}
	jobs := make([]*job, len(keys))
	for i := range jobs {
		j := newJob(jobSign)
		j.bound, j.key, j.mech.typ = &binding{gen: g, handle: handles[i]}, handles[i], pkcs11.CKM_ECDSA
		j.in = append(j.in, digests[i]...)
		if jobs[i] = j; gone[i] {
			j.state.Store(jobGivenUp)
			continue
		}
		w.queue.waiting.Add(1)
	}
	w.serve(slices.Clone(jobs))
	out := make([]Outcome, len(jobs))
	for i, j := range jobs {
		if out[i].Left = gone[i] && len(j.done) == 0; gone[i] {
			continue
		}
		if <-j.done; j.rv == pkcs11.CKR_OK {
			out[i].Signature = derSignature(j.out)
		}
		out[i].RV = j.rv
	}
	w.closeSession()
	return out, nil
}

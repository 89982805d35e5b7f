package hsm

import (
	"crypto"
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"
)

// way is one way to unwrap inside the token: key is the handle of the wrapping key, list the template of what comes out.
type way func(i *importer, wrapped []byte, list []*pkcs11.Attribute) (pkcs11.ObjectHandle, error)

// ways are those of the algorithm. RSA_AES_KEY_WRAP goes in its two steps: the AES key, as a session object that unwraps and does nothing else, and the
// material; CKM_AES_KEY_WRAP_PAD is RFC 5649 in some modules, and in others it refuses what RFC 5649 wrapped. Or it goes by the one mechanism for both.
func (i *importer) ways() []way {
	switch {
	case !wrapAES[i.how]:
		return []way{(*importer).unwrapOAEP}
	case !i.s.unwrapsAES():
		return nil
	}
	return []way{
		func(i *importer, wrapped []byte, list []*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
			return i.unwrapSteps(ckmAESKeyWrapKWP, wrapped, list)
		},
		func(i *importer, wrapped []byte, list []*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
			return i.unwrapSteps(ckmAESKeyWrapPad, wrapped, list)
		},
		func(i *importer, wrapped []byte, list []*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
			return i.s.unwrapRSAAES(i.key, i.hash, wrapped, list)
		},
	}
}

func (i *importer) unwrapOAEP(wrapped []byte, list []*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
	n := hashMech[i.hash]
	mech := mechanism{typ: pkcs11.CKM_RSA_PKCS_OAEP, param: paramOAEP, hash: n.ckm, mgf: n.mgf}
	return i.s.ctx.UnwrapKey(i.s.h, []*pkcs11.Mechanism{mech.miekg()}, pkcs11.ObjectHandle(i.key), wrapped, list)
}

func (i *importer) unwrapSteps(kwp uint, wrapped []byte, list []*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
	first := i.pub.Size()
	kek, err := i.unwrapOAEP(wrapped[:first], sessionSecret(pkcs11.CKK_AES, true))
	if err != nil {
		return 0, err
	}
	defer func() { _ = i.s.ctx.DestroyObject(i.s.h, kek) }() // else it goes with its session
	return i.s.ctx.UnwrapKey(i.s.h, []*pkcs11.Mechanism{pkcs11.NewMechanism(kwp, nil)}, kek, wrapped[first:], list)
}

// sessionSecret is the template of a secret that nobody reads and that unwraps, or does nothing at all.
func sessionSecret(typ uint, unwraps bool) []*pkcs11.Attribute {
	return []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, typ),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, false),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
		pkcs11.NewAttribute(pkcs11.CKA_UNWRAP, unwraps),
		pkcs11.NewAttribute(pkcs11.CKA_WRAP, false),
		pkcs11.NewAttribute(pkcs11.CKA_ENCRYPT, false),
		pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, false),
		pkcs11.NewAttribute(pkcs11.CKA_DERIVE, false),
	}
}

// unwrapped is the template of what the material becomes.
func (t *template) unwrapped() []*pkcs11.Attribute {
	if secretKinds[t.spec] != nil {
		v := *t
		v.omit = withAttribute(t.omit, pkcs11.CKA_VALUE_LEN) // it comes with the material
		return v.secret()
	}
	return append([]*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, t.pairType())}, t.private()...)
}

// inside has the token unwrap the material by the first way that works. Whether a refusal is one of the way or of the material no return value says
// reliably, so the token is then given material that is known to be good.
func (i *importer) inside() error {
	for _, w := range i.ways() {
		h, err := i.place(func(v *template) (pkcs11.ObjectHandle, error) { return w(i, i.wrapped, v.unwrapped()) }, true)
		if err == nil {
			return i.finish(h, nil, false)
		}
		if stops(err) {
			return err
		}
		able, gone := i.able(w)
		if gone != nil {
			return gone
		}
		if able {
			return i.refuse(w, err)
		}
	}
	return cannot("it has no mechanism for that, or not for such a key")
}

// stops reports whether no other way need be tried.
func stops(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return true
	}
	c := classify(rvOf(err))
	return c == classLost || c == classSession || c == classFull || c == classKeyGone
}

// place makes the object by each variant of the template until one is taken. The first of what is imported is tried with CKA_ALLOWED_MECHANISMS and
// without, and what a failed try left behind is destroyed before the next.
func (i *importer) place(try func(*template) (pkcs11.ObjectHandle, error), first bool) (h pkcs11.ObjectHandle, err error) {
	for _, v := range i.m.variants() {
		for _, with := range []bool{true, false} {
			if with && (!first || i.t.noAllowed.Load() || v.omit[pkcs11.CKA_ALLOWED_MECHANISMS]) {
				continue
			}
			if !with {
				v.omit = withAttribute(v.omit, pkcs11.CKA_ALLOWED_MECHANISMS)
			}
			if h, err = try(&v); err == nil || stops(err) {
				return h, err
			}
			if !first {
				continue
			}
			if left := i.s.clear(i.m.id); left != nil {
				return 0, left
			}
		}
	}
	return 0, err
}

// able has the token unwrap good material of the spec into a session object.
func (i *importer) able(w way) (bool, error) {
	sample, err := i.sample()
	if err != nil {
		return false, nil //nolint:nilerr // the sample does not fit: nothing shows that the token can
	}
	return i.attempt(w, sample, (*template).inSession)
}

// inSession is the template of what the material becomes, as an object of the session.
func (t *template) inSession() []*pkcs11.Attribute {
	v := *t
	v.token, v.id, v.label = false, NewID(), "hsmgate self-test"
	return v.unwrapped()
}

// attempt unwraps into an object that is destroyed at once; err where the token is gone.
func (i *importer) attempt(w way, wrapped []byte, list func(*template) []*pkcs11.Attribute) (ok bool, err error) {
	h, err := i.place(func(v *template) (pkcs11.ObjectHandle, error) { return w(i, wrapped, list(v)) }, true)
	if err != nil {
		if stops(err) {
			return false, err
		}
		return false, nil
	}
	return true, i.s.ctx.DestroyObject(i.s.h, h)
}

// refuse says what is wrong with material that the token does not take, by a way that works: the wrapping, or what is in it, or nothing but that the
// token does not store it (SoftHSM on a full disk), which failed says.
func (i *importer) refuse(w way, failed error) error {
	if good, err := i.attempt(w, i.wrapped, (*template).inSession); good || err != nil {
		if err == nil {
			err = failed
		}
		return err
	}
	opens, err := i.attempt(w, i.wrapped, func(*template) []*pkcs11.Attribute { return sessionSecret(pkcs11.CKK_GENERIC_SECRET, false) })
	switch {
	case err != nil:
		return err
	case !opens:
		return errMaterial()
	}
	return i.invalid("%s", i.wanted())
}

// wanted says what the material has to be.
func (i *importer) wanted() string {
	if kind := secretKinds[i.m.spec]; kind != nil {
		return fmt.Sprintf("the material is no key of %d bytes, which %s takes", kind.size, i.spec)
	}
	return fmt.Sprintf("the material is not the PKCS#8 DER of a private key of type %s", i.m.spec)
}

// learn finds out the public key of a private key that nobody but the token has seen. errCannot: there is no way to.
func (i *importer) learn(h pkcs11.ObjectHandle) (crypto.PublicKey, error) {
	pub, err := i.s.publicKey(&entry{private: []pkcs11.ObjectHandle{h}})
	if err != nil && stops(err) {
		return nil, err
	}
	if pub != nil {
		return pub, nil
	}
	if rsaBits[i.m.spec] != 0 {
		return i.learnRSA(h)
	}
	params, err := i.s.attribute(h, pkcs11.CKA_EC_PARAMS)
	if err != nil && stops(err) {
		return nil, err
	}
	if got := curveOf(params); err == nil && got != i.m.spec {
		return nil, i.invalid("the material is a key of type %q, not %s", got, i.m.spec)
	}
	switch {
	case curveHash[i.m.spec] == 0:
		return nil, cannot("it does not show the public key of what it unwrapped") // and an Ed25519 signature leaves no point
	case i.m.use == UseSign:
		pub, err = i.s.recoverPublic(uint(h), i.m.spec)
	default:
		pub, err = i.learnBySigning()
	}
	if err != nil && !stops(err) {
		return nil, cannot("it does not show the public key of what it unwrapped")
	}
	return pub, err
}

// learnRSA is for a token that shows the modulus of a private key, which it must, and not the exponent. Using the key shows whether it is this one.
func (i *importer) learnRSA(h pkcs11.ObjectHandle) (crypto.PublicKey, error) {
	n, err := i.s.attribute(h, pkcs11.CKA_MODULUS)
	if err != nil {
		return nil, cannot("it does not show the modulus of what it unwrapped")
	}
	pub, err := rsaPublic(n, []byte{1, 0, 1})
	if err != nil {
		return nil, i.invalid("the material has no usable RSA modulus")
	}
	return pub, nil
}

// learnBySigning unwraps the key again, into a session object that signs: a key for ECDH alone does not show which of two points is its own.
func (i *importer) learnBySigning() (pub crypto.PublicKey, err error) {
	signs := *i
	signs.m.use, signs.m.token, signs.m.id, signs.m.label = UseSign, false, NewID(), "hsmgate self-test"
	for _, w := range i.ways() {
		h, err := signs.place(func(v *template) (pkcs11.ObjectHandle, error) { return w(i, i.wrapped, v.unwrapped()) }, true)
		if err != nil && stops(err) {
			return nil, err
		}
		if err != nil {
			continue
		}
		pub, err := i.s.recoverPublic(uint(h), i.m.spec)
		if gone := i.s.ctx.DestroyObject(i.s.h, h); err == nil && gone != nil {
			err = gone
		}
		return pub, err
	}
	return nil, cannot("it does not show the public key of what it unwrapped")
}

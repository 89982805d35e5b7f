package hsm

import (
	"crypto"
	"encoding/binary"

	"github.com/miekg/pkcs11"
)

// What a session reads of the objects in the token: by a worker's job, never on the hot path.

// keys calls f for each private, public and secret key object.
func (s *session) keys(f func(class uint, h pkcs11.ObjectHandle) error) error {
	for _, class := range []uint{pkcs11.CKO_PRIVATE_KEY, pkcs11.CKO_PUBLIC_KEY, pkcs11.CKO_SECRET_KEY} {
		handles, err := s.find([]*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, class)})
		if err != nil {
			return err
		}
		for _, h := range handles {
			if err := f(class, h); err != nil {
				return err
			}
		}
	}
	return nil
}

// find searches; the search is ended in any case, since one left active blocks the session.
func (s *session) find(template []*pkcs11.Attribute) (all []pkcs11.ObjectHandle, err error) {
	if err := s.ctx.FindObjectsInit(s.h, template); err != nil {
		return nil, err
	}
	defer func() {
		if e := s.ctx.FindObjectsFinal(s.h); err == nil {
			err = e
		}
	}()
	for {
		some, _, err := s.ctx.FindObjects(s.h, 1000)
		if err != nil {
			return nil, err
		}
		if len(some) == 0 {
			return all, nil
		}
		all = append(all, some...)
	}
}

// lookUp finds what the token has under one CKA_ID; nil: nothing. One search for all classes, since a search is linear in SoftHSM. Before
// it says that there is no private or secret key, it asks whether the token is there and we are logged in: SoftHSM, its folder gone or its login
// lost, answers a search with nothing found and no error.
func (s *session) lookUp(id []byte) (*entry, error) {
	handles, err := s.find([]*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_ID, id)})
	if err != nil {
		return nil, err
	}
	e := &entry{}
	for _, h := range handles {
		b, err := s.attribute(h, pkcs11.CKA_CLASS)
		if err != nil {
			return nil, err
		}
		switch class, why := ulong(b), ""; class {
		case pkcs11.CKO_PRIVATE_KEY, pkcs11.CKO_SECRET_KEY:
			if why, err = s.unprotected(h); err != nil {
				return nil, err
			}
			fallthrough
		case pkcs11.CKO_PUBLIC_KEY:
			e.add(class, h, why)
		}
	}
	if len(e.keys()) == 0 {
		if err := s.healthy(); err != nil {
			return nil, err
		}
	}
	if len(e.keys())+len(e.public) == 0 {
		return nil, nil
	}
	return e, nil
}

// identify reads the CKA_ID and, of a private or secret key, why it is unprotected. One call where the module answers all at once. A key whose
// attributes cannot be read just now counts as unread, and is asked again when it is to be used.
func (s *session) identify(class uint, h pkcs11.ObjectHandle) (id, why string, err error) {
	if class != pkcs11.CKO_PUBLIC_KEY {
		a, err := s.ctx.GetAttributeValue(s.h, h, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_ID, nil),
			pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, nil), pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, nil)})
		if err == nil && isTrue(a[1].Value) && isFalse(a[2].Value) {
			return string(a[0].Value), "", nil
		}
		if why, err = s.unprotected(h); err != nil {
			why = unread
		}
	}
	b, err := s.attribute(h, pkcs11.CKA_ID)
	if c := classify(rvOf(err)); c == classLost || c == classSession {
		return "", "", err
	}
	return string(b), why, nil // an object that went away meanwhile, or that has no CKA_ID, is nobody's key
}

// unread is why a key is not used whose attributes a call that failed did not show.
const unread = "its protection cannot be read"

// unprotected says why a private or secret key is not protected, from each attribute alone; what the token does not show protects nothing. A call that
// failed for any other reason says nothing of the key: that is an error.
func (s *session) unprotected(h pkcs11.ObjectHandle) (why string, err error) {
	for _, a := range []struct {
		typ  uint
		good func([]byte) bool
		why  string
	}{{pkcs11.CKA_SENSITIVE, isTrue, "it is not CKA_SENSITIVE"}, {pkcs11.CKA_EXTRACTABLE, isFalse, "it is CKA_EXTRACTABLE"}} {
		switch b, err := s.attribute(h, a.typ); classify(rvOf(err)) {
		case classOK:
			if !a.good(b) {
				return a.why, nil
			}
		case classUnsupported:
			return a.why, nil
		default:
			return "", err
		}
	}
	return "", nil
}

// attribute reads one attribute: GetAttributeValue drops all of a list when one fails.
func (s *session) attribute(h pkcs11.ObjectHandle, typ uint) ([]byte, error) {
	a, err := s.ctx.GetAttributeValue(s.h, h, []*pkcs11.Attribute{pkcs11.NewAttribute(typ, nil)})
	if err != nil {
		return nil, err
	}
	return a[0].Value, nil
}

func isTrue(b []byte) bool  { return len(b) == 1 && b[0] == 1 }
func isFalse(b []byte) bool { return len(b) == 1 && b[0] == 0 }

// ulong reads a CK_ULONG attribute, 0 where it is none.
func ulong(b []byte) uint {
	if len(b) != 8 {
		return 0
	}
	return uint(binary.NativeEndian.Uint64(b))
}

// publicKey reads the public key of an entry: from the public object, or the modulus from an RSA private key, which must have it. Nil without
// an error: the token does not show it.
func (s *session) publicKey(e *entry) (crypto.PublicKey, error) {
	if pub, err := s.latticePublic(e); pub != nil || err != nil {
		return pub, err
	}
	for _, h := range append(append([]pkcs11.ObjectHandle{}, e.public...), e.private...) {
		n, errN := s.attribute(h, pkcs11.CKA_MODULUS)
		x, errX := s.attribute(h, pkcs11.CKA_PUBLIC_EXPONENT)
		if errN == nil && errX == nil && len(n) > 0 && len(x) > 0 {
			return rsaPublic(n, x)
		}
		p, errP := s.attribute(h, pkcs11.CKA_EC_PARAMS)
		q, errQ := s.attribute(h, pkcs11.CKA_EC_POINT)
		if errP == nil && errQ == nil && len(q) > 0 {
			return ecPublic(p, q)
		}
		for _, err := range []error{errN, errX, errP, errQ} {
			if c := classify(rvOf(err)); c == classLost || c == classSession || c == classKeyGone {
				return nil, err
			}
		}
	}
	return nil, nil
}

package hsm

import (
	"crypto"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"github.com/miekg/pkcs11"
)

// index knows the key objects of the token by CKA_ID, from one listing when the generation begins: 10,000 keys cost one search instead of
// 10,000, each of which would be linear in SoftHSM.
type index struct {
	mu      sync.Mutex
	byID    map[string]*entry
	gone    map[string]bool      // were there and are not any more
	missing map[string]*searched // looked for in the token in vain
}

// searched says when a missing key is looked for again: after 1 s, then twice as long each time, to a minute. A key that we destroyed is not.
type searched struct {
	next, every time.Duration
	destroyed   bool
}

const (
	searchFirst = time.Second
	searchMost  = time.Minute
)

// entry is what the token has under one CKA_ID.
type entry struct {
	private, public []pkcs11.ObjectHandle
	unprotected     string // why the private key is not protected; empty when it is
}

// build lists all private and public keys.
func (x *index) build(s *session) error {
	byID := map[string]*entry{}
	err := s.keys(func(class uint, h pkcs11.ObjectHandle) error {
		id, why, err := s.identify(class, h)
		if err != nil {
			return err
		}
		e := byID[id]
		if e == nil {
			e = &entry{}
			byID[id] = e
		}
		e.add(class, h, why)
		return nil
	})
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.byID, x.missing, x.gone = byID, map[string]*searched{}, map[string]bool{}
	return nil
}

func (e *entry) add(class uint, h pkcs11.ObjectHandle, why string) {
	if class == pkcs11.CKO_PUBLIC_KEY {
		e.public = append(e.public, h)
		return
	}
	e.private = append(e.private, h)
	if why != "" {
		e.unprotected = why
	}
}

func (x *index) get(id []byte) (*entry, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.byID[string(id)], x.missing[string(id)] != nil
}

// put replaces what is known of id; nil: the token has nothing.
func (x *index) put(id []byte, e *entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e == nil {
		delete(x.byID, string(id))
		return
	}
	x.byID[string(id)] = e
	delete(x.missing, string(id))
	delete(x.gone, string(id))
}

// lose drops a key that was there.
func (x *index) lose(id []byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.byID, string(id))
	x.gone[string(id)] = true
}

func (x *index) lost(id []byte) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.gone[string(id)]
}

// miss notes that the token has no such key, and whether because it was destroyed here.
func (x *index) miss(id []byte, destroyed bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.byID, string(id))
	delete(x.gone, string(id))
	x.missing[string(id)] = &searched{next: time.Duration(now()) + searchFirst, every: searchFirst, destroyed: destroyed}
}

// due returns up to n of the missing that are to be looked for again now.
func (x *index) due(n int) [][]byte {
	x.mu.Lock()
	defer x.mu.Unlock()
	var ids [][]byte
	t := time.Duration(now())
	for id, m := range x.missing {
		if len(ids) == n {
			break
		}
		if !m.destroyed && m.next <= t {
			m.every = min(2*m.every, searchMost)
			m.next = t + m.every
			ids = append(ids, []byte(id))
		}
	}
	return ids
}

// clear frees the memory of an index whose generation is over.
func (x *index) clear() {
	x.mu.Lock()
	defer x.mu.Unlock()
	clear(x.byID)
	clear(x.missing)
	clear(x.gone)
}

// keys calls f for each private and public key object.
func (s *session) keys(f func(class uint, h pkcs11.ObjectHandle) error) error {
	for _, class := range []uint{pkcs11.CKO_PRIVATE_KEY, pkcs11.CKO_PUBLIC_KEY} {
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

// lookUp finds what the token has under one CKA_ID; nil: nothing. One search for both classes, since a search is linear in SoftHSM. Before
// it says that there is no private key, it asks whether the token is there and we are logged in: SoftHSM, its folder gone or its login
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
		case pkcs11.CKO_PRIVATE_KEY:
			why = s.unprotected(h)
			fallthrough
		case pkcs11.CKO_PUBLIC_KEY:
			e.add(class, h, why)
		}
	}
	if len(e.private) == 0 {
		if err := s.healthy(); err != nil {
			return nil, err
		}
	}
	if len(e.private)+len(e.public) == 0 {
		return nil, nil
	}
	return e, nil
}

// identify reads the CKA_ID and, of a private key, why it is unprotected. One call where the module answers all at once.
func (s *session) identify(class uint, h pkcs11.ObjectHandle) (id, why string, err error) {
	if class == pkcs11.CKO_PRIVATE_KEY {
		a, err := s.ctx.GetAttributeValue(s.h, h, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_ID, nil),
			pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, nil), pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, nil)})
		if err == nil && isTrue(a[1].Value) && isFalse(a[2].Value) {
			return string(a[0].Value), "", nil
		}
		why = s.unprotected(h)
	}
	b, err := s.attribute(h, pkcs11.CKA_ID)
	if c := classify(rvOf(err)); c == classLost || c == classSession {
		return "", "", err
	}
	return string(b), why, nil // an object that went away meanwhile, or that has no CKA_ID, is nobody's key
}

// unprotected says why the private key is not protected, from each attribute alone; what cannot be read protects nothing.
func (s *session) unprotected(h pkcs11.ObjectHandle) string {
	if b, err := s.attribute(h, pkcs11.CKA_SENSITIVE); err != nil || !isTrue(b) {
		return "it is not CKA_SENSITIVE"
	}
	if b, err := s.attribute(h, pkcs11.CKA_EXTRACTABLE); err != nil || !isFalse(b) {
		return "it is CKA_EXTRACTABLE"
	}
	return ""
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

// signs reports whether there is a private key.
func (e *entry) signs() bool { return e != nil && len(e.private) > 0 }

// usable checks that the entry is one protected private key.
func (e *entry) usable(id []byte, exceptions map[string]string) error {
	name := hex.EncodeToString(id)
	if len(e.private) > 1 || len(e.public) > 1 {
		return &Error{Kind: ErrInvalid, Op: "key", Detail: fmt.Sprintf("the token holds %d private and %d public keys under CKA_ID %s, so none of them is used",
			len(e.private), len(e.public), name), Advice: "delete or rename the one that does not belong"}
	}
	if e.unprotected != "" && exceptions[name] == "" {
		return &Error{Kind: ErrUnprotected, Op: "key", Detail: "CKA_ID " + name + ": " + e.unprotected,
			Advice: "make a new key, or name the reason under exceptions"}
	}
	return nil
}

// has reports whether h is its private handle.
func (e *entry) has(h uint) bool {
	return len(e.private) == 1 && uint(e.private[0]) == h
}

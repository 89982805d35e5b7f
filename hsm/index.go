package hsm

import (
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
	private, public, secret []pkcs11.ObjectHandle
	unprotected             string // why the private or secret key is not protected; empty when it is
}

// build lists all private, public and secret keys.
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
	if class == pkcs11.CKO_SECRET_KEY {
		e.secret = append(e.secret, h)
	} else {
		e.private = append(e.private, h)
	}
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

// held are its secret keys, or its private ones.
func (e *entry) held(secret bool) []pkcs11.ObjectHandle {
	switch {
	case e == nil:
		return nil
	case secret:
		return e.secret
	}
	return e.private
}

// keys are its private and secret keys: what has to be protected.
func (e *entry) keys() []pkcs11.ObjectHandle {
	if e == nil {
		return nil
	}
	return append(append([]pkcs11.ObjectHandle{}, e.private...), e.secret...)
}

// single reports whether there is at most one key pair or one secret key.
func (e *entry) single() bool {
	return len(e.private)+len(e.secret) <= 1 && len(e.public)+len(e.secret) <= 1
}

// usable checks that the entry is one protected key.
func (e *entry) usable(id []byte, exceptions map[string]string) error {
	name := hex.EncodeToString(id)
	if !e.single() {
		return &Error{Kind: ErrInvalid, Op: "key", Detail: fmt.Sprintf("the token holds %d private, %d public and %d secret keys under CKA_ID %s, so none of them is used",
			len(e.private), len(e.public), len(e.secret), name), Advice: "delete or rename the one that does not belong"}
	}
	if e.unprotected != "" && exceptions[name] == "" {
		return &Error{Kind: ErrUnprotected, Op: "key", Detail: "CKA_ID " + name + ": " + e.unprotected,
			Advice: "make a new key, or name the reason under exceptions"}
	}
	return nil
}

// has reports whether h is the handle of its private or secret key.
func (e *entry) has(h uint) bool {
	all := e.keys()
	return len(all) == 1 && uint(all[0]) == h
}

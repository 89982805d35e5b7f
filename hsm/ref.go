package hsm

import "sync/atomic"

// ref names a key in the token and caches its handle with the generation it belongs to. Key and Secret embed it, and add how they
// recognise their key.
type ref struct {
	id     []byte
	spec   KeySpec
	secret bool // one object of class CKO_SECRET_KEY; else a pair

	bound atomic.Pointer[binding] // the handle, in one generation
}

// material is a Key or a Secret.
type material interface {
	at() *ref
	// expect reports whether the key in the token is the expected one. err: the token's return value, or that it is away.
	expect(s *session, e *entry) (same bool, err error)
}

// binding ties a key to its object in one generation; it means nothing in another.
type binding struct {
	gen      *generation
	handle   uint
	takes    atomic.Int64 // nanoseconds that a signature takes; see learn
	verified atomic.Bool  // what this handle computed has been checked: it is the right key even where checks are skipped
}

func (r *ref) at() *ref { return r }

// ID returns the CKA_ID. Do not change it.
func (r *ref) ID() []byte { return r.id }

// Spec returns the key's type and size.
func (r *ref) Spec() KeySpec { return r.spec }

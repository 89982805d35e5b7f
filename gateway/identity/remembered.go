package identity

import (
	"crypto/sha256"
	"sync"
)

// maxRemembered bounds what is remembered: tokens and certificates in use at a time.
const maxRemembered = 1024

// remembered keeps results of checks of signatures by the hash of what was signed,
// since a caller shows the same token or certificate with each call. Whatever may
// change, such as time, keys and revocation, its user looks at each time.
type remembered[T any] struct {
	mu sync.Mutex
	of map[[sha256.Size]byte]T
}

func (r *remembered[T]) get(key [sha256.Size]byte) (T, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	value, ok := r.of[key]
	return value, ok
}

func (r *remembered[T]) put(key [sha256.Size]byte, value T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil || len(r.of) >= maxRemembered { // who comes back is checked again
		r.of = make(map[[sha256.Size]byte]T)
	}
	r.of[key] = value
}

package identity

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"
)

const (
	// keysEvery is how often the keys of a provider are fetched, whether a token
	// asks for them or not: a key that it took back is used for as long.
	keysEvery = 5 * time.Minute
	// keysPace is the time between two fetches that tokens of unknown keys bring
	// about, so that a flood of these does not become a flood to the provider.
	keysPace = 10 * time.Second
	// keysKept is how long keys are used while the provider is away.
	keysKept = 24 * time.Hour
	// minRSA is the least number of bits of a provider's RSA key.
	minRSA = 2048
)

var errUnknownKey = errors.New("the issuer has no such key")

// keyFinder finds the public key of a provider by its kid.
type keyFinder interface {
	find(ctx context.Context, kid string, now time.Time) (*jose.JSONWebKey, error)
}

// keySet is what a JWKS says: keys by their kid. Nil stands for a kid that several
// keys have, so that nobody knows which one is meant.
type keySet map[string]*jose.JSONWebKey

// parseKeySet reads a JWKS (RFC 7517). Keys that cannot check a signature here
// are left out, as its section 5 has it.
func parseKeySet(text []byte) (keySet, error) {
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, fmt.Errorf("no JWKS: %w", err)
	}
	keys := make(keySet, len(raw.Keys))
	usable := 0
	for _, one := range raw.Keys {
		var k jose.JSONWebKey
		if err := json.Unmarshal(one, &k); err != nil || !usableKey(&k) {
			continue
		}
		if _, twice := keys[k.KeyID]; twice {
			keys[k.KeyID] = nil
			continue
		}
		keys[k.KeyID] = &k
		usable++
	}
	if usable == 0 {
		return nil, errors.New("the JWKS has no key that can be used: a public key with a kid, RSA of at least 2048 bits, P-256, P-384, P-521 or Ed25519, is needed")
	}
	return keys, nil
}

func usableKey(k *jose.JSONWebKey) bool {
	if r, ok := k.Key.(*rsa.PublicKey); ok && r.N.BitLen() < minRSA {
		return false
	}
	return k.KeyID != "" && k.IsPublic() && k.Valid() && (k.Use == "" || k.Use == "sig")
}

func (s keySet) find(kid string) (*jose.JSONWebKey, error) {
	k, ok := s[kid]
	switch {
	case !ok:
		return nil, errUnknownKey
	case k == nil:
		return nil, errors.New("the issuer has several keys of this kid")
	}
	return k, nil
}

// fileKeys are in a file.
type fileKeys struct{ file watched[keySet] }

func (f *fileKeys) find(_ context.Context, kid string, _ time.Time) (*jose.JSONWebKey, error) {
	keys, err := f.file.get()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return keys.find(kid)
}

// fetchedKeys are fetched from the provider and kept.
type fetchedKeys struct {
	fetch func(context.Context) (keySet, error)
	log   *zap.Logger

	flight singleflight.Group
	mu     sync.Mutex
	keys   keySet
	at     time.Time // when keys were fetched
	tried  time.Time // when that was last tried
}

func (f *fetchedKeys) find(ctx context.Context, kid string, now time.Time) (*jose.JSONWebKey, error) {
	if k, err := f.known(now).find(kid); !errors.Is(err, errUnknownKey) {
		return k, err
	}
	f.refresh(ctx, now, keysPace)
	keys := f.known(now)
	if keys == nil {
		return nil, ErrUnreachable
	}
	return keys.find(kid)
}

// known are the keys that may be used: those of a provider that has been away
// too long may not.
func (f *fetchedKeys) known(now time.Time) keySet {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.at) > keysKept {
		return nil
	}
	return f.keys
}

// refresh fetches the keys unless that was tried within the pace. Callers at the
// same time share one fetch, which does not end with the call of one of them.
func (f *fetchedKeys) refresh(ctx context.Context, now time.Time, pace time.Duration) {
	done := f.flight.DoChan("", func() (any, error) {
		f.mu.Lock()
		early := !f.tried.IsZero() && now.Sub(f.tried) < pace
		if !early {
			f.tried = now
		}
		f.mu.Unlock()
		if early {
			return nil, nil
		}
		keys, err := f.fetch(context.WithoutCancel(ctx))
		if err != nil {
			f.log.Error("the keys of an identity provider cannot be fetched", zap.Error(err))
			return nil, nil
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.keys, f.at = keys, now
		return nil, nil
	})
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// watch keeps the keys fresh until ctx ends. The first fetch is at once, so that
// the first token finds them.
func (f *fetchedKeys) watch(ctx context.Context) {
	ticker := time.NewTicker(keysEvery)
	defer ticker.Stop()
	for {
		f.refresh(ctx, time.Now(), keysPace)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

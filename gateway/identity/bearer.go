package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"strings"
	"time"

	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// A token in figures: the id is 80 random bits, the secret 256, both in
// lower-case base32 (RFC 4648, no padding), so that a double click marks all
// of it and secret scanners find it by its beginning.
const (
	bearerPrefix    = "hsmgate_"
	bearerIDLen     = 16
	bearerSecretLen = 52
)

var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// noHash is compared with when there is no such id: the answer takes the same
// steps, and no secret has this hash.
var noHash [sha256.Size]byte

// parseBearer cuts a token into its parts. What it accepts is exactly what
// IssueBearer makes.
func parseBearer(token string) (id, secret string, ok bool) {
	rest, ok := strings.CutPrefix(token, bearerPrefix)
	if !ok || len(rest) != bearerIDLen+1+bearerSecretLen || rest[bearerIDLen] != '_' {
		return "", "", false
	}
	id, secret = rest[:bearerIDLen], rest[bearerIDLen+1:]
	return id, secret, isBase32(id) && isBase32(secret)
}

func isBase32(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

// Bearer finds the principal of a bearer token, be it one that was issued or one of
// a session. ErrUnknown or ErrExpired; the second only to who has the secret.
func (i *Identities) Bearer(token string, now time.Time) (policy.Principal, error) {
	if sealed, ok := strings.CutPrefix(token, sessionPrefix); ok {
		return i.sessionBearer(sealed, now)
	}
	id, secret, ok := parseBearer(token)
	if !ok {
		return policy.Principal{}, ErrUnknown
	}
	var text [bearerSecretLen]byte // a conversion would go to the heap
	copy(text[:], secret)
	hash := sha256.Sum256(text[:])
	want := noHash[:]
	d := i.current()
	b, known := i.store.Bearer(id)
	if known {
		want = b.Hash
	}
	same := subtle.ConstantTimeCompare(hash[:], want) == 1
	switch {
	case !known || !same:
		return policy.Principal{}, ErrUnknown
	case expired(b.ExpiresAt, now):
		return policy.Principal{}, ErrExpired
	}
	p, err := i.principal(d, b.PrincipalARN)
	if err != nil {
		return p, err
	}
	p.CredentialID = id
	return p, nil
}

// IssueBearer makes a bearer token for a principal, good for ttl, which must
// be positive. The token is returned once and can not be had again.
func (i *Identities) IssueBearer(ctx context.Context, principalARN string, ttl time.Duration, now time.Time) (token string, err error) {
	if ttl <= 0 {
		return "", fmt.Errorf("identity: %w: a bearer token needs a positive lifetime, not %s", ErrInvalid, ttl)
	}
	if err := i.mayHaveCredentials(principalARN); err != nil {
		return "", err
	}
	id, secret := randomBase32(bearerIDLen), randomBase32(bearerSecretLen)
	hash := sha256.Sum256([]byte(secret))
	err = i.store.InsertBearer(ctx, &store.Bearer{
		ID: id, Hash: hash[:], PrincipalARN: principalARN, CreatedAt: now, ExpiresAt: now.Add(ttl),
	})
	if err != nil {
		return "", fmt.Errorf("identity: %w", err)
	}
	return bearerPrefix + id + "_" + secret, nil
}

// Bearers lists the bearer tokens of a principal ("" = of all), without their
// secrets, which nobody has.
func (i *Identities) Bearers(principalARN string) []*store.Bearer {
	return i.store.Bearers(principalARN)
}

// DeleteBearer ends a bearer token, given by its id.
func (i *Identities) DeleteBearer(ctx context.Context, id string) error {
	return i.store.DeleteBearer(ctx, id)
}

// randomBase32 makes n characters of 5 random bits each.
func randomBase32(n int) string {
	raw := make([]byte, (n*5+7)/8)
	rand.Read(raw) // never fails
	return lowerBase32.EncodeToString(raw)[:n]
}

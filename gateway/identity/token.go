package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"
)

// verified is a token whose signature is good. Its time may not have come, or be over.
type verified struct {
	by       *provider
	key      *jose.JSONWebKey
	standard jwt.Claims
	claims   map[string][]string
}

// verified checks the signature of a token. What was good stays good while the
// provider has that key.
func (i *Identities) verified(ctx context.Context, token string, now time.Time) (*verified, error) {
	if len(token) > maxJWT {
		return nil, refused("it has %d bytes, more than %d", len(token), maxJWT)
	}
	hash := sha256.Sum256([]byte(token))
	if v, ok := i.tokens.get(hash); ok {
		if key, err := v.by.keys.find(ctx, v.key.KeyID, now); err == nil && key == v.key {
			return v, nil
		}
	}
	v, payload, err := i.verify(ctx, token, now)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(payload, &v.standard); err != nil {
		return nil, refused("%s: its claims cannot be read", v.by.Name)
	}
	if v.claims, err = claimsOf(payload); err != nil {
		return nil, refused("%s: %w", v.by.Name, err)
	}
	i.tokens.put(hash, v)
	return v, nil
}

// verify finds the provider that a token says it is of, and checks with that
// provider's keys, and no other, that it is. Nothing that a token names is ever
// fetched.
func (i *Identities) verify(ctx context.Context, token string, now time.Time) (*verified, []byte, error) {
	if len(i.providers) == 0 {
		return nil, nil, refused("no identity provider is configured")
	}
	signed, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil {
		return nil, nil, refused("%s", unreadable(err))
	}
	var claimed struct {
		Issuer string `json:"iss"`
	}
	if err := json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &claimed); err != nil {
		return nil, nil, refused("its claims cannot be read")
	}
	at := slices.IndexFunc(i.providers, func(p *provider) bool { return p.Issuer == claimed.Issuer })
	if at < 0 {
		return nil, nil, refused("issuer %.200q is none that is trusted", claimed.Issuer)
	}
	p := i.providers[at]
	key, payload, err := p.verify(ctx, signed, now)
	if errors.Is(err, ErrUnreachable) {
		return nil, nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	if err != nil {
		return nil, nil, refused("%s: %w", p.Name, err)
	}
	return &verified{by: p, key: key}, payload, nil
}

// unreadable says what is wrong without the token's own words.
func unreadable(err error) string {
	var other *jose.ErrUnexpectedSignatureAlgorithm
	if errors.As(err, &other) {
		return fmt.Sprintf("algorithm %.16q is none that can be used", other.Got)
	}
	return "it is not a signed JWT"
}

// verify checks header and signature.
func (p *provider) verify(ctx context.Context, signed *jose.JSONWebSignature, now time.Time) (*jose.JSONWebKey, []byte, error) {
	h := signed.Signatures[0].Protected
	_, critical := h.ExtraHeaders["crit"]
	_, unencoded := h.ExtraHeaders["b64"]
	kind, plain := h.ExtraHeaders[jose.HeaderType].(string)
	switch {
	case !slices.Contains(p.algorithms, jose.SignatureAlgorithm(h.Algorithm)):
		return nil, nil, fmt.Errorf("algorithm %s is not among %s", h.Algorithm, joined(p.algorithms))
	case critical || unencoded:
		return nil, nil, errors.New("its header has crit or b64")
	case !plain && h.ExtraHeaders[jose.HeaderType] != nil, !isTokenType(kind):
		return nil, nil, fmt.Errorf("its type is %.32q", kind) // RFC 8725, section 3.11
	}
	key, err := p.keys.find(ctx, h.KeyID, now)
	if err != nil {
		return nil, nil, fmt.Errorf("kid %.64q: %w", h.KeyID, err)
	}
	if key.Algorithm != "" && key.Algorithm != h.Algorithm {
		return nil, nil, fmt.Errorf("kid %.64q: the key is for %.16q, not for %s", h.KeyID, key.Algorithm, h.Algorithm)
	}
	payload, err := signed.Verify(key)
	if err != nil {
		return nil, nil, fmt.Errorf("kid %.64q: the signature is wrong", h.KeyID)
	}
	return key, payload, nil
}

func isTokenType(kind string) bool {
	switch strings.TrimPrefix(strings.ToLower(kind), "application/") {
	case "", "jwt", "at+jwt":
		return true
	}
	return false
}

// check holds the standard claims against the configuration and the clock.
func (p *provider) check(c *jwt.Claims, now time.Time) error {
	if c.Expiry == nil {
		return errors.New("it never expires")
	}
	if c.Subject == "" {
		return errors.New("it has no subject")
	}
	err := c.ValidateWithLeeway(jwt.Expected{Issuer: p.Issuer, AnyAudience: p.Audiences, Time: now}, skew)
	switch {
	case errors.Is(err, jwt.ErrExpired):
		return fmt.Errorf("%w: it was good until %s", ErrExpired, c.Expiry.Time().UTC().Format(time.RFC3339))
	case errors.Is(err, jwt.ErrInvalidAudience):
		return fmt.Errorf("its audience is %.200q", []string(c.Audience))
	}
	return err
}

package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"
	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/policy"
)

const (
	maxJWT = 16 << 10         // bytes of a token
	skew   = 60 * time.Second // between the clocks of a provider and this machine
)

// ErrToken: an OIDC token that is not accepted; it is an ErrUnknown. The text says
// why, and holds nothing of the token but names; callers are not told.
var ErrToken = fmt.Errorf("%w: OIDC token not accepted", ErrUnknown)

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrToken, fmt.Errorf(format, args...))
}

// IsJWT tells a token of an OIDC provider, by its form, from those that
// IssueBearer makes.
func IsJWT(token string) bool { return strings.Count(token, ".") == 2 }

// TrustProviders has tokens of these providers accepted. Call it before the first
// request, and Watch to have their keys fetched in time.
func (i *Identities) TrustProviders(all []Provider, log *zap.Logger) error {
	made, err := compileProviders(all)
	if err != nil {
		return err
	}
	for _, p := range made {
		if p.JWKSFile != "" {
			keys := &fileKeys{watched[keySet]{path: p.JWKSFile, parse: parseKeySet, log: log}}
			if _, err := keys.file.get(); err != nil {
				return fmt.Errorf("identity_providers: %q: jwks_file: %w", p.Name, err)
			}
			p.keys = keys
			continue
		}
		fetch, err := p.fetcher()
		if err != nil {
			return fmt.Errorf("identity_providers: %q: ca_file: %w", p.Name, err)
		}
		p.keys = &fetchedKeys{fetch: fetch, log: log}
	}
	i.providers = made
	return nil
}

// Watch keeps the keys of all providers fresh until ctx ends.
func (i *Identities) Watch(ctx context.Context) {
	for _, p := range i.providers {
		if keys, ok := p.keys.(*fetchedKeys); ok {
			go keys.watch(ctx)
		}
	}
}

// WebIdentity verifies a token of an OIDC provider and finds the role that it
// has: by the first rule that fits, or, where roleARN is not empty, by the first
// of those for that role. ErrToken; where the token is good and its time is over, also
// ErrExpired; where it is good and no rule fits, also ErrDenied, and the proof says of
// whom it is. ErrUnreachable where the provider's keys cannot be had.
func (i *Identities) WebIdentity(ctx context.Context, token, roleARN string, now time.Time) (role string, proof Proof, err error) {
	p, payload, err := i.verify(ctx, token, now)
	if err != nil {
		return "", Proof{}, err
	}
	var standard jwt.Claims
	if err := json.Unmarshal(payload, &standard); err != nil {
		return "", Proof{}, refused("%s: its claims cannot be read", p.Name)
	}
	if err := p.check(&standard, now); err != nil {
		return "", Proof{}, refused("%s: %w", p.Name, err)
	}
	claims, err := claimsOf(payload)
	if err != nil {
		return "", Proof{}, refused("%s: %w", p.Name, err)
	}
	proof = Proof{Claims: claims, Provider: p.Name, Subject: standard.Subject, Expires: standard.Expiry.Time().Add(skew)}
	named, ours := i.RoleName(roleARN)
	if roleARN != "" && !ours {
		return "", proof, refused("%s: %w: %.200q is no role of this account", p.Name, ErrDenied, roleARN)
	}
	role, ok := p.role(claims, named)
	if !ok {
		return "", proof, refused("%s: subject %.200q: %w: no rule fits", p.Name, standard.Subject, ErrDenied)
	}
	if proof.Session, err = sessionName(p.Session, claims); err == nil {
		proof.Tags, err = p.tagsOf(claims)
	}
	if err != nil {
		return "", Proof{}, refused("%s: %w", p.Name, err)
	}
	return role, proof, nil
}

// WebPrincipal is the caller whom a token of an OIDC provider is of. Its errors are
// those of WebIdentity; ErrToken, too, where there is no such role.
func (i *Identities) WebPrincipal(ctx context.Context, token string, now time.Time) (policy.Principal, error) {
	role, proof, err := i.WebIdentity(ctx, token, "", now)
	if err != nil {
		return policy.Principal{}, err
	}
	p, err := i.Assume(role, proof, now)
	if err != nil {
		return policy.Principal{}, refused("%s: subject %.200q: role %s: %w", proof.Provider, proof.Subject, role, err)
	}
	return p, nil
}

// verify finds the provider that a token says it is of, and checks with that
// provider's keys, and no other, that it is. Nothing that a token names is ever
// fetched.
func (i *Identities) verify(ctx context.Context, token string, now time.Time) (*provider, []byte, error) {
	if len(token) > maxJWT {
		return nil, nil, refused("it has %d bytes, more than %d", len(token), maxJWT)
	}
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
	payload, err := p.verify(ctx, signed, now)
	if errors.Is(err, ErrUnreachable) {
		return nil, nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	if err != nil {
		return nil, nil, refused("%s: %w", p.Name, err)
	}
	return p, payload, nil
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
func (p *provider) verify(ctx context.Context, signed *jose.JSONWebSignature, now time.Time) ([]byte, error) {
	h := signed.Signatures[0].Protected
	_, critical := h.ExtraHeaders["crit"]
	_, unencoded := h.ExtraHeaders["b64"]
	kind, plain := h.ExtraHeaders[jose.HeaderType].(string)
	switch {
	case !slices.Contains(p.algorithms, jose.SignatureAlgorithm(h.Algorithm)):
		return nil, fmt.Errorf("algorithm %s is not among %s", h.Algorithm, joined(p.algorithms))
	case critical || unencoded:
		return nil, errors.New("its header has crit or b64")
	case !plain && h.ExtraHeaders[jose.HeaderType] != nil, !isTokenType(kind):
		return nil, fmt.Errorf("its type is %.32q", kind) // RFC 8725, section 3.11
	}
	key, err := p.keys.find(ctx, h.KeyID, now)
	if err != nil {
		return nil, fmt.Errorf("kid %.64q: %w", h.KeyID, err)
	}
	if key.Algorithm != "" && key.Algorithm != h.Algorithm {
		return nil, fmt.Errorf("kid %.64q: the key is for %.16q, not for %s", h.KeyID, key.Algorithm, h.Algorithm)
	}
	payload, err := signed.Verify(key)
	if err != nil {
		return nil, fmt.Errorf("kid %.64q: the signature is wrong", h.KeyID)
	}
	return payload, nil
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

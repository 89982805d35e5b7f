package identity

import (
	"context"
	"fmt"
	"strings"
	"time"

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
	v, err := i.verified(ctx, token, now)
	if err != nil {
		return "", Proof{}, err
	}
	p, claims := v.by, v.claims
	if err := p.check(&v.standard, now); err != nil {
		return "", Proof{}, refused("%s: %w", p.Name, err)
	}
	proof = Proof{Claims: claims, Provider: p.Name, Subject: v.standard.Subject, Expires: v.standard.Expiry.Time().Add(skew)}
	named, ours := i.RoleName(roleARN)
	if roleARN != "" && !ours {
		return "", proof, refused("%s: %w: %.200q is no role of this account", p.Name, ErrDenied, roleARN)
	}
	role, ok := p.role(claims, named)
	if !ok {
		return "", proof, refused("%s: subject %.200q: %w: no rule fits", p.Name, v.standard.Subject, ErrDenied)
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

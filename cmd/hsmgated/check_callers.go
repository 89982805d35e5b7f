package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// roles reports roles that rules give and nobody has made.
func (f *findings) roles(c *Config, s *store.Store) {
	for _, name := range missingRoles(c, s) {
		f.add(stateNote, "rules", "hsmgated role create "+name, "%s", noSuchRole(name))
	}
}

func noSuchRole(name string) string {
	return fmt.Sprintf("there is no role %s, which rules give: whom they fit is refused", name)
}

// missingRoles are the roles that rules give and that are not there.
func missingRoles(c *Config, s *store.Store) (missing []string) {
	var named []string
	for _, p := range c.IdentityProviders {
		for _, r := range p.Rules {
			named = append(named, r.Role)
		}
	}
	for _, r := range c.ClientCertificates.Rules {
		named = append(named, r.Role)
	}
	slices.Sort(named)
	for _, name := range slices.Compact(named) {
		if _, ok := s.Principal("arn:aws:iam::" + c.Account + ":role/" + name); !ok {
			missing = append(missing, name)
		}
	}
	return missing
}

// callers looks at what those are checked with whom others vouch for.
func (f *findings) callers(ctx context.Context, c *Config) {
	for _, p := range c.IdentityProviders {
		n, err := identity.CheckKeys(ctx, p, zap.NewNop())
		if err != nil {
			f.failed("provider", err)
			continue
		}
		f.add(stateOK, "provider", "", "%s: %d keys", p.Name, n)
	}
	asked := c.ClientCertificates
	if !asked.Configured() {
		return
	}
	if err := new(identity.Identities).TrustCertificates(asked, zap.NewNop()); err != nil {
		f.failed("clients", err)
		return
	}
	if asked.CRLFile == "" {
		f.add(stateNote, "clients", "name revocation lists in client_certificates.crl_file", "no client certificate can be revoked")
		return
	}
	until, err := identity.CheckRevocation(asked.CRLFile)
	switch {
	case err != nil:
		f.failed("clients", err)
	case time.Now().After(until):
		f.add(stateNeeded, "clients", "put the current revocation list there; a running daemon takes it at once", "a revocation list is stale since %s: the certificates of its CA are refused", until.UTC().Format(time.RFC3339))
	default:
		f.add(stateOK, "clients", "", "revocation lists are good until %s", until.UTC().Format(time.RFC3339))
	}
}

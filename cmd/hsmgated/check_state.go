package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
)

// certificateDays is how long before its end a certificate is reported.
const certificateDays = 14 * 24 * time.Hour

func (f *findings) certificate(c *Config) {
	const what = "certificate"
	if !c.tls() {
		if !isLoopback(c.Listen) {
			f.add(stateNote, what, "set tls.cert_file and tls.key_file", "plain HTTP on %s: whoever can read the traffic has the credentials", c.Listen)
		}
		return
	}
	pair, err := tls.LoadX509KeyPair(c.TLS.CertFile, c.TLS.KeyFile)
	if err != nil {
		f.failed(what, err)
		return
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		f.failed(what, err)
		return
	}
	f.ends(what, leaf, strings.Join(leaf.DNSNames, ", "), "renew it; a running daemon takes the new one at once")
}

// timestamps looks at the certificate of the timestamp authority, and, where there is a database, at its key.
func (f *findings) timestamps(c *Config, s *store.Store) {
	const what = "timestamps"
	stamps, err := c.Timestamp.gateway()
	if err != nil {
		f.failed(what, err)
	}
	if err != nil || stamps == nil {
		return
	}
	good := s == nil || f.stampKey(what, stamps, s, gateway.Names{Account: c.Account, Region: c.Region})
	if leaf := stamps.Certificates[0]; good || time.Until(leaf.NotAfter) < certificateDays {
		f.ends(what, leaf, leaf.Subject.String(), "let the key's authority issue another, and start hsmgated again")
	}
}

// stampKey reports what keeps the authority's key from signing, now or later, and says whether there is nothing.
func (f *findings) stampKey(what string, stamps *gateway.Timestamps, s *store.Store, home gateway.Names) bool {
	now := time.Now()
	if problem, do := stamps.CheckKey(s, home, now); problem != "" {
		f.add(stateNeeded, what, do, "%s", problem)
		return false
	}
	warnings := stamps.WarnOfKey(s, home, now)
	for _, w := range warnings {
		f.add(stateNote, what, w.Do, "%s", w.Problem)
	}
	problem, do := stamps.ShutsOut(s, home)
	if problem != "" {
		f.add(stateNeeded, what, do, "%s", problem)
	}
	return len(warnings) == 0 && problem == ""
}

// ends says until when a certificate is good, and what to do before.
func (f *findings) ends(what string, leaf *x509.Certificate, whose, do string) {
	until := leaf.NotAfter.UTC().Format(time.RFC3339)
	switch left := time.Until(leaf.NotAfter); {
	case left < 0:
		f.add(stateNeeded, what, do, "it ended at %s", until)
	case left < certificateDays:
		f.add(stateNote, what, do, "it ends at %s", until)
	default:
		f.add(stateOK, what, "", "for %s, until %s", whose, until)
	}
}

// openDatabase opens the store, if there is one that can be looked at; otherwise it is nil.
func (f *findings) openDatabase(ctx context.Context, c *Config) *store.Store {
	if _, err := os.Stat(c.Store); c.Store != "" && errors.Is(err, fs.ErrNotExist) {
		f.add(stateNote, "database", "", "%s is not there yet; the first start makes it", c.Store)
		return nil
	}
	s, err := lookStore(ctx, c)
	if errors.Is(err, store.ErrOlder) {
		f.add(stateNote, "database", "start hsmgated, which brings it up to date; then check again: its keys were not looked at", "%s", layers.ReplaceAllString(err.Error(), "$1"))
		return nil
	}
	if err != nil {
		f.failed("database", err)
		return nil
	}
	return s
}

// database looks at what the store holds, and compares it with the tokens.
func (f *findings) database(ctx context.Context, c *Config, s *store.Store, tokens map[string]*hsm.Token) {
	f.add(stateOK, "database", "", "%s: %d keys, %d principals", s, s.KeyCount(), len(s.Principals()))
	if err := elsewhere(s.BelongsTo(ctx, c.Account, c.Region)); err != nil {
		f.failed("database", err)
	}
	f.credentials(c, s)
	f.roles(c, s)
	names := []string{gateway.DefaultToken}
	for _, k := range c.KeyStores {
		names = append(names, k.Name)
		if s.Disconnected(k.Name) {
			f.add(stateNote, k.Name+": key store", "ConnectCustomKeyStore puts it back into service", "it was disconnected by call; its keys are unavailable")
		}
	}
	for _, name := range names {
		if t := tokens[name]; t != nil {
			f.compare(ctx, s, name, t)
		}
	}
	for name, keys := range gateway.MissingTokens(s, names) {
		f.add(stateNeeded, "keys", "name it under key_stores in the settings", "%d key(s) are in a token named %q, which the settings do not have", keys, name)
	}
	f.regions(c, s)
}

// regions reports keys that no call can reach.
func (f *findings) regions(c *Config, s *store.Store) {
	lost := make(map[string]int)
	for _, k := range s.AllKeys() {
		if k.Region != c.Region && !slices.Contains(c.Regions, k.Region) {
			lost[k.Region]++
		}
	}
	for region, keys := range lost {
		f.add(stateNeeded, "keys", "name it under regions in the settings", "%d key(s) are in the region %s, which is not served", keys, region)
	}
}

func (f *findings) credentials(c *Config, s *store.Store) {
	seal, err := identity.ReadSealKey(c.SealKeyFile)
	if err == nil {
		_, err = identity.New(s, seal, c.Account)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(s.AccessKeys("")) == 0:
		f.add(stateNote, "seal key", "", "%s is not there yet; the next start makes it", c.SealKeyFile)
	case errors.Is(err, fs.ErrNotExist):
		f.add(stateNeeded, "seal key", "put it back from a copy", "%s is missing, and the secrets of %d access keys are sealed under it", c.SealKeyFile, len(s.AccessKeys("")))
	case err != nil:
		f.failed("seal key", err)
	default:
		f.add(stateOK, "seal key", "", "it opens %d access keys", len(s.AccessKeys("")))
	}
	for _, p := range s.Principals() {
		if policy.Role(p.Role) == policy.RoleAdministrator && hasCredential(s, p.ARN) {
			return
		}
	}
	if c.FirstAdministrator.Name == "" || len(s.Principals()) > 0 {
		f.add(stateNeeded, "administrator", "hsmgated principal create --role administrator NAME; hsmgated credential issue --principal NAME",
			"no administrator has a credential that is good now")
	}
}

func hasCredential(s *store.Store, arn string) bool {
	now := time.Now()
	for _, b := range s.Bearers(arn) {
		if b.ExpiresAt.IsZero() || now.Before(b.ExpiresAt) {
			return true
		}
	}
	for _, k := range s.AccessKeys(arn) {
		if !k.Disabled && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt)) {
			return true
		}
	}
	return false
}

// compare reports what the database and the token do not agree on. A key of the
// database that the token lacks is a need; a key of the token that the database
// does not know may belong to someone else.
func (f *findings) compare(ctx context.Context, s *store.Store, name string, t *hsm.Token) {
	if name != gateway.DefaultToken {
		f.of = name + ": "
		defer func() { f.of = "" }()
	}
	differences, err := gateway.Compare(ctx, s, name, t)
	if err != nil {
		f.failed("keys", err)
		return
	}
	for _, d := range differences {
		if d.KeyMissing {
			f.add(stateNeeded, "keys", "restore the token from its backup, or schedule the key's deletion", "%s", d)
			continue
		}
		f.add(stateNote, "keys", "", "%s", d)
	}
	if len(differences) == 0 {
		f.add(stateOK, "keys", "", "token and database agree")
	}
	f.imported(ctx, s, name, t)
}

// imported reports the keys that came from outside. Of those no token says that
// it made them or that they were never extractable, so nobody asks; what protects
// them now is asked of every key.
func (f *findings) imported(ctx context.Context, s *store.Store, name string, t *hsm.Token) {
	objects, err := t.Objects(ctx)
	if err != nil {
		f.failed("keys", err)
		return
	}
	held := make(map[string]hsm.Object, len(objects))
	for _, o := range objects {
		held[string(o.ID)] = o
	}
	imported, protected := 0, 0
	for _, k := range s.AllKeys() {
		for _, v := range k.Versions {
			if k.Origin == store.OriginExternal && gateway.TokenName(k) == name && v.ObjectID != nil {
				imported++
				if o, ok := held[string(v.ObjectID)]; ok && o.Protected && !o.NeverExtractable {
					protected++
				}
			}
		}
	}
	if imported > 0 {
		f.add(stateOK, "imported", "", "%d key version(s) came from outside; of %d the token says that they are protected now, and not that they always were", imported, protected)
	}
}

// auditLog reads the whole log, and asks the database, where there is one, whether it may be signed.
func (f *findings) auditLog(ctx context.Context, c *Config, s *store.Store) {
	const what = "audit log"
	r, err := audit.VerifyFile(c.Audit.Path, audit.VerifyOptions{})
	_, missing := os.Stat(c.Audit.Path)
	switch {
	case errors.Is(missing, fs.ErrNotExist) && errors.Is(err, fs.ErrNotExist):
		if f.checkpoints(ctx, c, s) {
			f.add(stateNote, what, "", "%s is not there yet; the first start makes it", c.Audit.Path)
		}
	case err != nil:
		f.failed(what, err)
	case !r.Intact():
		for _, p := range r.Problems {
			f.add(stateNeeded, what, "keep a copy of it, and find out who changed it", "%s", p)
		}
	default:
		var size int64
		for _, s := range r.Segments {
			size += s.Size
		}
		f.add(stateOK, what, "", "%d records, intact, in %d file(s), %d bytes; last record %s", r.Records, len(r.Segments), size, r.End)
		f.checkpoints(ctx, c, s)
	}
	if err == nil && r.Cut != nil {
		f.add(stateNote, what, "", "the records up to %d were removed by retention; the start checks that the log's key has signed for that", r.Cut.Last.Seq)
	}
}

// checkpoints says whether there is nothing that keeps the log from being signed.
func (f *findings) checkpoints(ctx context.Context, c *Config, s *store.Store) bool {
	if s == nil {
		return true
	}
	instance, err := c.instance()
	if err == nil {
		err = gateway.CheckTree(ctx, c.tree(instance), s, instance)
	}
	if err != nil {
		f.failed("checkpoints", err)
	}
	return err == nil
}

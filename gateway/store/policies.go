package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hsmgate/hsmgate/gateway/policy"
)

// Document is a policy as it was written and as decisions use it. Immutable.
type Document struct {
	Text string
	// Compiled denies everything when the text is no policy that this program
	// knows, which only a database changed by hand has.
	Compiled *policy.Document
}

// NewDocument compiles a policy. The error is a *policy.Error.
func NewDocument(text string, kind policy.Kind) (*Document, error) {
	d, err := policy.Parse([]byte(text), kind)
	if err != nil {
		return nil, err
	}
	return &Document{Text: text, Compiled: d}, nil
}

// loaded is the policy that a text of the database is.
func loaded(text string, kind policy.Kind) *Document {
	d, err := NewDocument(text, kind)
	if err != nil {
		return &Document{Text: text, Compiled: new(policy.Document)}
	}
	return d
}

// Policy is a named identity policy. Immutable.
type Policy struct {
	Name      string
	Document  *Document
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Policy finds an identity policy.
func (s *Store) Policy(name string) (*Policy, bool) {
	s.mu.RLock()
	p, ok := s.mem.policies.rows[name]
	s.mu.RUnlock()
	return p, ok
}

// Policies lists all identity policies, sorted by name.
func (s *Store) Policies() []*Policy {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.mem.policies.sorted)
}

// PutPolicy makes an identity policy, or replaces the document of the one of that
// name: it holds for everybody who has it.
func (s *Store) PutPolicy(ctx context.Context, name string, doc *Document, now time.Time) error {
	return s.changeIdentity(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		p := &Policy{Name: name, Document: doc, CreatedAt: stored(now), UpdatedAt: stored(now)}
		if old, ok := s.mem.policies.rows[name]; ok {
			p.CreatedAt = old.CreatedAt
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO policies (name, document, created_at, updated_at) VALUES (?, ?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET document = excluded.document, updated_at = excluded.updated_at`,
			name, doc.Text, p.CreatedAt.UnixMicro(), p.UpdatedAt.UnixMicro())
		return func(m *memory) { m.policies.put(p) }, err
	})
}

// DeletePolicy removes an identity policy. ErrNotFound when there is none,
// ErrState while somebody has it.
func (s *Store) DeletePolicy(ctx context.Context, name string) error {
	return s.changeIdentity(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		if _, ok := s.mem.policies.rows[name]; !ok {
			return nil, fmt.Errorf("policy %s: %w", name, ErrNotFound)
		}
		for _, p := range s.mem.principals.sorted {
			if slices.Contains(p.Policies, name) {
				return nil, fmt.Errorf("policy %s is attached to %s: %w", name, p.ARN, ErrState)
			}
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM policies WHERE name = ?", name)
		return func(m *memory) { m.policies.remove(name) }, err
	})
}

// ChangePrincipalPolicies replaces the identity policies of a principal, by their
// names, by what change makes of them. Nobody else changes them meanwhile, in no
// process. An error of change is the answer, and nothing is changed then.
// ErrNotFound when the principal or one of the policies does not exist.
func (s *Store) ChangePrincipalPolicies(ctx context.Context, arn string, change func(old []string) ([]string, error)) error {
	return s.changePrincipal(ctx, arn, func(ctx context.Context, tx *sql.Tx, p *Principal) error {
		names, err := change(slices.Clone(p.Policies))
		if err != nil {
			return err
		}
		p.Policies = sortedSet(names)
		if _, err := tx.ExecContext(ctx, "DELETE FROM principal_policies WHERE principal_arn = ?", arn); err != nil {
			return err
		}
		for _, name := range p.Policies {
			if _, ok := s.mem.policies.rows[name]; !ok {
				return fmt.Errorf("policy %s: %w", name, ErrNotFound)
			}
			if _, err := tx.ExecContext(ctx, "INSERT INTO principal_policies (principal_arn, policy_name) VALUES (?, ?)", arn, name); err != nil {
				return err
			}
		}
		return nil
	})
}

// ChangePrincipalTags is ChangePrincipalPolicies for the tags of a principal.
func (s *Store) ChangePrincipalTags(ctx context.Context, arn string, change func(old []Tag) ([]Tag, error)) error {
	return s.changePrincipal(ctx, arn, func(ctx context.Context, tx *sql.Tx, p *Principal) error {
		tags, err := change(slices.Clone(p.Tags))
		if err != nil {
			return err
		}
		p.Tags = sortedTags(tags)
		if _, err := tx.ExecContext(ctx, "DELETE FROM principal_tags WHERE principal_arn = ?", arn); err != nil {
			return err
		}
		for _, t := range p.Tags {
			if strings.ContainsRune(t.Name+t.Value, 0) {
				return fmt.Errorf("principal %s: the character U+0000 in a tag: %w", arn, ErrInvalid)
			}
			if _, err := tx.ExecContext(ctx, "INSERT INTO principal_tags (principal_arn, name, value) VALUES (?, ?, ?)", arn, t.Name, t.Value); err != nil {
				return err
			}
		}
		return nil
	})
}

// changePrincipal replaces a principal by what edit makes of a copy of it.
func (s *Store) changePrincipal(ctx context.Context, arn string, edit func(context.Context, *sql.Tx, *Principal) error) error {
	return s.changeIdentity(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		old, ok := s.mem.principals.rows[arn]
		if !ok {
			return nil, fmt.Errorf("principal %s: %w", arn, ErrNotFound)
		}
		p := *old
		return func(m *memory) { m.principals.put(&p) }, edit(ctx, tx, &p)
	})
}

// ChangeKeyPolicy replaces the policy of a key by what change makes of it; nil: AWS
// KMS's default policy. Nobody else changes it meanwhile, in no process.
func (s *Store) ChangeKeyPolicy(ctx context.Context, region, id string, change func(old *Document) *Document) error {
	return s.changeKey(ctx, region, id, seen, func(ctx context.Context, tx *sql.Tx, k *Key) error {
		k.Policy = change(k.Policy)
		return replacePolicy(ctx, tx, k)
	})
}

func replacePolicy(ctx context.Context, tx *sql.Tx, k *Key) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM key_policies WHERE region = ? AND key_id = ?", k.Region, k.ID); err != nil {
		return err
	}
	return insertPolicy(ctx, tx, k)
}

func insertPolicy(ctx context.Context, tx *sql.Tx, k *Key) error {
	if k.Policy == nil {
		return nil
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO key_policies (region, key_id, document) VALUES (?, ?, ?)", k.Region, k.ID, k.Policy.Text)
	return err
}

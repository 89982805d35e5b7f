package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// Principal finds a principal by its ARN.
func (s *Store) Principal(arn string) (*Principal, bool) {
	s.mu.RLock()
	p, ok := s.mem.principals.rows[arn]
	s.mu.RUnlock()
	return p, ok
}

// Principals lists all principals, sorted by ARN.
func (s *Store) Principals() []*Principal {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.mem.principals.sorted)
}

// InsertPrincipal adds a principal. ErrExists when its ARN or name is taken,
// ErrNotFound when one of its keys does not exist.
func (s *Store) InsertPrincipal(ctx context.Context, principal *Principal) error {
	p := *principal
	p.CreatedAt, p.Keys = stored(p.CreatedAt), sortedSet(p.Keys)
	return s.changeIdentity(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		if _, ok := s.mem.principals.rows[p.ARN]; ok {
			return nil, fmt.Errorf("principal %s: %w", p.ARN, ErrExists)
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO principals (arn, name, role, created_at) VALUES (?, ?, ?, ?)",
			p.ARN, p.Name, p.Role, p.CreatedAt.UnixMicro()); err != nil {
			return nil, fmt.Errorf("principal %s: %w", p.ARN, err)
		}
		return func(m *memory) { m.principals.put(&p) }, s.insertPrincipalKeys(ctx, tx, &p)
	})
}

// SetPrincipalKeys replaces the keys of a principal. ErrNotFound when the
// principal or one of the keys does not exist.
func (s *Store) SetPrincipalKeys(ctx context.Context, arn string, keys []string) error {
	return s.changeIdentity(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		old, ok := s.mem.principals.rows[arn]
		if !ok {
			return nil, fmt.Errorf("principal %s: %w", arn, ErrNotFound)
		}
		p := *old
		p.Keys = sortedSet(keys)
		if _, err := tx.ExecContext(ctx, "DELETE FROM principal_keys WHERE principal_arn = ?", arn); err != nil {
			return nil, err
		}
		return func(m *memory) { m.principals.put(&p) }, s.insertPrincipalKeys(ctx, tx, &p)
	})
}

func (s *Store) insertPrincipalKeys(ctx context.Context, tx *sql.Tx, p *Principal) error {
	for _, id := range p.Keys {
		if !slices.ContainsFunc(s.mem.lines[id], func(k *Key) bool { return s.mem.visible(k.Region, id) == nil }) {
			return fmt.Errorf("key %s: %w", id, ErrNotFound)
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO principal_keys (principal_arn, key_id) VALUES (?, ?)", p.ARN, id); err != nil {
			return err
		}
	}
	return nil
}

// EndSessions ends the sessions that a role has had by now. ErrNotFound when there
// is no such role.
func (s *Store) EndSessions(ctx context.Context, arn string, now time.Time) error {
	return s.changePrincipal(ctx, arn, func(ctx context.Context, tx *sql.Tx, p *Principal) error {
		since := stored(now)
		for _, last := range []time.Time{p.CreatedAt, p.SessionsSince} { // a clock may have been set back
			if !since.After(last) {
				since = last.Add(time.Microsecond)
			}
		}
		p.SessionsSince = since
		_, err := tx.ExecContext(ctx, "UPDATE principals SET sessions_since = ? WHERE arn = ?", since.UnixMicro(), arn)
		return err
	})
}

// DeletePrincipal removes a principal with its bearers and access keys, the grants
// that are for it or, of a role, for its sessions, and its part in approvals: another
// one of that name is not to have them. ErrNotFound when there is none.
func (s *Store) DeletePrincipal(ctx context.Context, arn string) error {
	return s.changeIdentity(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		if _, ok := s.mem.principals.rows[arn]; !ok {
			return nil, fmt.Errorf("principal %s: %w", arn, ErrNotFound)
		}
		for _, g := range s.mem.grants.sorted {
			if !g.endsWith(arn) {
				continue
			}
			if _, err := tx.ExecContext(ctx, "DELETE FROM grants WHERE id = ?", g.ID); err != nil {
				return nil, err
			}
		}
		forget, err := s.forgetApprover(ctx, tx, arn)
		if err != nil {
			return nil, err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM principals WHERE arn = ?", arn)
		return func(m *memory) {
			m.removePrincipal(arn)
			forget(m)
		}, err
	})
}

// changeIdentity is write, and counts the change.
func (s *Store) changeIdentity(ctx context.Context, c change) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		apply, err := c(ctx, tx)
		return func(m *memory) {
			apply(m)
			s.identities.Add(1)
		}, err
	})
}

func sortedSet(in []string) []string {
	out := slices.Clone(in)
	slices.Sort(out)
	return slices.Compact(out)
}

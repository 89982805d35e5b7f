package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Alias finds an alias of a region by its name, with "alias/".
func (s *Store) Alias(region, name string) (*Alias, bool) {
	s.mu.RLock()
	a, ok := s.mem.aliases.rows[path(region, name)]
	s.mu.RUnlock()
	return a, ok
}

// Aliases lists up to limit aliases of a key ("" = of all keys of the region)
// whose names sort after the given one, sorted by name; more says whether others
// follow.
func (s *Store) Aliases(region, keyID, after string, limit int) (aliases []*Alias, more bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if keyID == "" {
		return s.mem.aliases.page(path(region, ""), after, limit)
	}
	return pageOf(s.mem.byKey[path(region, keyID)], s.mem.aliases.key, path(region, ""), after, limit)
}

// AliasCount is the number of aliases of a key.
func (s *Store) AliasCount(region, keyID string) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.mem.byKey[path(region, keyID)])
}

// CreateAlias adds an alias. ErrExists when the name is taken, ErrNotFound
// when there is no such key.
func (s *Store) CreateAlias(ctx context.Context, alias *Alias) error {
	a := *alias
	a.CreatedAt, a.UpdatedAt = stored(a.CreatedAt), stored(a.UpdatedAt)
	if a.UpdatedAt.IsZero() {
		a.UpdatedAt = a.CreatedAt
	}
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		if _, ok := s.mem.aliases.rows[path(a.Region, a.Name)]; ok {
			return nil, fmt.Errorf("%s: %w", a.Name, ErrExists)
		}
		if err := s.mem.visible(a.Region, a.KeyID); err != nil {
			return nil, err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO aliases (region, name, key_id, created_at, updated_at) VALUES (?, ?, ?, ?, ?)",
			a.Region, a.Name, a.KeyID, a.CreatedAt.UnixMicro(), a.UpdatedAt.UnixMicro())
		return func(m *memory) { m.putAlias(&a) }, err
	})
}

// UpdateAlias points an alias at another key. ErrNotFound when there is no
// such alias or key.
func (s *Store) UpdateAlias(ctx context.Context, region, name, keyID string, now time.Time) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		return s.pointAlias(ctx, tx, region, name, keyID, now)
	})
}

func (s *Store) pointAlias(ctx context.Context, tx *sql.Tx, region, name, keyID string, now time.Time) (func(*memory), error) {
	old, ok := s.mem.aliases.rows[path(region, name)]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	if err := s.mem.visible(region, keyID); err != nil {
		return nil, err
	}
	a := *old
	a.KeyID, a.UpdatedAt = keyID, stored(now)
	_, err := tx.ExecContext(ctx, "UPDATE aliases SET key_id = ?, updated_at = ? WHERE region = ? AND name = ?",
		a.KeyID, a.UpdatedAt.UnixMicro(), region, name)
	return func(m *memory) { m.putAlias(&a) }, err
}

// RevertAlias takes back that an alias names the key from: it names the key to
// again or, where that is "", is removed. What another process has made of it since
// stays.
func (s *Store) RevertAlias(ctx context.Context, region, name, from, to string, at time.Time) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		now, ok := s.mem.aliases.rows[path(region, name)]
		switch {
		case !ok || now.KeyID != from:
			return func(*memory) {}, nil
		case to == "":
			return s.removeAlias(ctx, tx, region, name)
		}
		return s.pointAlias(ctx, tx, region, name, to, at)
	})
}

// DeleteAlias removes an alias. ErrNotFound when there is none.
func (s *Store) DeleteAlias(ctx context.Context, region, name string) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		return s.removeAlias(ctx, tx, region, name)
	})
}

func (s *Store) removeAlias(ctx context.Context, tx *sql.Tx, region, name string) (func(*memory), error) {
	if _, ok := s.mem.aliases.rows[path(region, name)]; !ok {
		return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	_, err := tx.ExecContext(ctx, "DELETE FROM aliases WHERE region = ? AND name = ?", region, name)
	return func(m *memory) { m.removeAlias(region, name) }, err
}

// visible is nil for a key that Store.Key finds.
func (m *memory) visible(region, id string) error {
	if _, ok := m.keys.rows[path(region, id)]; !ok {
		return fmt.Errorf("key %s: %w", id, ErrNotFound)
	}
	return nil
}

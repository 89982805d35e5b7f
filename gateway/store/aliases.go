package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Alias finds an alias by its name, with "alias/".
func (s *Store) Alias(name string) (*Alias, bool) {
	s.mu.RLock()
	a, ok := s.mem.aliases.rows[name]
	s.mu.RUnlock()
	return a, ok
}

// Aliases lists up to limit aliases of a key ("" = of all keys) whose names
// sort after the given one, sorted by name; more says whether others follow.
func (s *Store) Aliases(keyID, after string, limit int) (aliases []*Alias, more bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if keyID == "" {
		return s.mem.aliases.page(after, limit)
	}
	return pageOf(s.mem.byKey[keyID], s.mem.aliases.key, after, limit)
}

// AliasCount is the number of aliases of a key ("" = of all keys).
func (s *Store) AliasCount(keyID string) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if keyID == "" {
		return len(s.mem.aliases.sorted)
	}
	return len(s.mem.byKey[keyID])
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
		if _, ok := s.mem.aliases.rows[a.Name]; ok {
			return nil, fmt.Errorf("%s: %w", a.Name, ErrExists)
		}
		if err := s.mem.visible(a.KeyID); err != nil {
			return nil, err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO aliases (name, key_id, created_at, updated_at) VALUES (?, ?, ?, ?)",
			a.Name, a.KeyID, a.CreatedAt.UnixMicro(), a.UpdatedAt.UnixMicro())
		return func(m *memory) { m.putAlias(&a) }, err
	})
}

// UpdateAlias points an alias at another key. ErrNotFound when there is no
// such alias or key.
func (s *Store) UpdateAlias(ctx context.Context, name, keyID string, now time.Time) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		old, ok := s.mem.aliases.rows[name]
		if !ok {
			return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
		}
		if err := s.mem.visible(keyID); err != nil {
			return nil, err
		}
		a := *old
		a.KeyID, a.UpdatedAt = keyID, stored(now)
		_, err := tx.ExecContext(ctx, "UPDATE aliases SET key_id = ?, updated_at = ? WHERE name = ?",
			a.KeyID, a.UpdatedAt.UnixMicro(), name)
		return func(m *memory) { m.putAlias(&a) }, err
	})
}

// DeleteAlias removes an alias. ErrNotFound when there is none.
func (s *Store) DeleteAlias(ctx context.Context, name string) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		if _, ok := s.mem.aliases.rows[name]; !ok {
			return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM aliases WHERE name = ?", name)
		return func(m *memory) { m.removeAlias(name) }, err
	})
}

// visible is nil for a key that Store.Key finds.
func (m *memory) visible(id string) error {
	if _, ok := m.keys.rows[id]; !ok {
		return fmt.Errorf("key %s: %w", id, ErrNotFound)
	}
	return nil
}

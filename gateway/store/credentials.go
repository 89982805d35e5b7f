package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// Bearer finds a bearer token by its id.
func (s *Store) Bearer(id string) (*Bearer, bool) {
	s.mu.RLock()
	b, ok := s.mem.bearers.rows[id]
	s.mu.RUnlock()
	return b, ok
}

// Bearers lists the bearer tokens of a principal ("" = of all), sorted by id.
func (s *Store) Bearers(principalARN string) []*Bearer {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.DeleteFunc(slices.Clone(s.mem.bearers.sorted), func(b *Bearer) bool {
		return principalARN != "" && b.PrincipalARN != principalARN
	})
}

// InsertBearer adds a bearer token. ErrExists when its id is taken,
// ErrNotFound when its principal does not exist.
func (s *Store) InsertBearer(ctx context.Context, bearer *Bearer) error {
	b := *bearer
	b.Hash = slices.Clone(b.Hash)
	b.CreatedAt, b.ExpiresAt = stored(b.CreatedAt), stored(b.ExpiresAt)
	return s.changeIdentity(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		if _, ok := s.mem.bearers.rows[b.ID]; ok {
			return nil, fmt.Errorf("bearer token %s: %w", b.ID, ErrExists)
		}
		if _, ok := s.mem.principals.rows[b.PrincipalARN]; !ok {
			return nil, fmt.Errorf("principal %s: %w", b.PrincipalARN, ErrNotFound)
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO bearers (id, hash, principal_arn, created_at, expires_at) VALUES (?, ?, ?, ?, ?)",
			b.ID, b.Hash, b.PrincipalARN, b.CreatedAt.UnixMicro(), column(b.ExpiresAt))
		return func(m *memory) { m.bearers.put(&b) }, err
	})
}

// SetBearerExpiry sets until when a bearer token is good. ErrNotFound when there is
// none.
func (s *Store) SetBearerExpiry(ctx context.Context, id string, at time.Time) error {
	return s.changeIdentity(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		old, ok := s.mem.bearers.rows[id]
		if !ok {
			return nil, fmt.Errorf("bearer token %s: %w", id, ErrNotFound)
		}
		b := *old
		b.ExpiresAt = stored(at)
		_, err := tx.ExecContext(ctx, "UPDATE bearers SET expires_at = ? WHERE id = ?", column(b.ExpiresAt), id)
		return func(m *memory) { m.bearers.put(&b) }, err
	})
}

// DeleteBearer removes a bearer token. ErrNotFound when there is none.
func (s *Store) DeleteBearer(ctx context.Context, id string) error {
	return s.changeIdentity(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		if _, ok := s.mem.bearers.rows[id]; !ok {
			return nil, fmt.Errorf("bearer token %s: %w", id, ErrNotFound)
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM bearers WHERE id = ?", id)
		return func(m *memory) { m.bearers.remove(id) }, err
	})
}

// AccessKey finds an access key by its id.
func (s *Store) AccessKey(id string) (*AccessKey, bool) {
	s.mu.RLock()
	a, ok := s.mem.accessKeys.rows[id]
	s.mu.RUnlock()
	return a, ok
}

// AccessKeys lists the access keys of a principal ("" = of all), sorted by id.
func (s *Store) AccessKeys(principalARN string) []*AccessKey {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.DeleteFunc(slices.Clone(s.mem.accessKeys.sorted), func(a *AccessKey) bool {
		return principalARN != "" && a.PrincipalARN != principalARN
	})
}

// InsertAccessKey adds an access key. ErrExists when its id is taken,
// ErrNotFound when its principal does not exist.
func (s *Store) InsertAccessKey(ctx context.Context, key *AccessKey) error {
	a := *key
	a.SealedSecret = slices.Clone(a.SealedSecret)
	a.CreatedAt, a.ExpiresAt = stored(a.CreatedAt), stored(a.ExpiresAt)
	return s.changeIdentity(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		if _, ok := s.mem.accessKeys.rows[a.ID]; ok {
			return nil, fmt.Errorf("access key %s: %w", a.ID, ErrExists)
		}
		if _, ok := s.mem.principals.rows[a.PrincipalARN]; !ok {
			return nil, fmt.Errorf("principal %s: %w", a.PrincipalARN, ErrNotFound)
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO access_keys (id, sealed_secret, principal_arn, created_at, expires_at, disabled)
			VALUES (?, ?, ?, ?, ?, ?)`, a.ID, a.SealedSecret, a.PrincipalARN, a.CreatedAt.UnixMicro(), column(a.ExpiresAt), number(a.Disabled))
		return func(m *memory) { m.accessKeys.put(&a) }, err
	})
}

// SetAccessKeyDisabled disables an access key or enables it again, and says whether
// it was disabled at that moment. ErrNotFound when there is none.
func (s *Store) SetAccessKeyDisabled(ctx context.Context, id string, disabled bool) (was bool, err error) {
	err = s.changeIdentity(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		old, ok := s.mem.accessKeys.rows[id]
		if !ok {
			return nil, fmt.Errorf("access key %s: %w", id, ErrNotFound)
		}
		a := *old
		was, a.Disabled = a.Disabled, disabled
		_, err := tx.ExecContext(ctx, "UPDATE access_keys SET disabled = ? WHERE id = ?", number(disabled), id)
		return func(m *memory) { m.accessKeys.put(&a) }, err
	})
	return was, err
}

// SetAccessKeyExpiry is SetBearerExpiry for an access key.
func (s *Store) SetAccessKeyExpiry(ctx context.Context, id string, at time.Time) error {
	return s.changeIdentity(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		old, ok := s.mem.accessKeys.rows[id]
		if !ok {
			return nil, fmt.Errorf("access key %s: %w", id, ErrNotFound)
		}
		a := *old
		a.ExpiresAt = stored(at)
		_, err := tx.ExecContext(ctx, "UPDATE access_keys SET expires_at = ? WHERE id = ?", column(a.ExpiresAt), id)
		return func(m *memory) { m.accessKeys.put(&a) }, err
	})
}

// DeleteAccessKey removes an access key and returns what it was at that moment.
// ErrNotFound when there is none.
func (s *Store) DeleteAccessKey(ctx context.Context, id string) (was *AccessKey, err error) {
	err = s.changeIdentity(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		var ok bool
		if was, ok = s.mem.accessKeys.rows[id]; !ok {
			return nil, fmt.Errorf("access key %s: %w", id, ErrNotFound)
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM access_keys WHERE id = ?", id)
		return func(m *memory) { m.accessKeys.remove(id) }, err
	})
	return was, err
}

package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// LastUse is the last time that a key's material was used in a region. Immutable.
type LastUse struct {
	Region    string
	KeyID     string
	Operation string
	RequestID string
	UsedAt    time.Time
}

// LastUse finds the last use of a key that was written.
func (s *Store) LastUse(region, keyID string) (*LastUse, bool) {
	s.mu.RLock()
	u, ok := s.mem.uses.rows[path(region, keyID)]
	s.mu.RUnlock()
	return u, ok
}

// UsesSince is from when on the database has last uses: when their table was made.
func (s *Store) UsesSince(ctx context.Context) (time.Time, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return time.Time{}, err
	}
	defer unlock()
	var at time.Time
	tx, _, err := s.database.snapshot(ctx, unknown)
	if err == nil {
		defer tx.Rollback()
		err = tx.QueryRowContext(ctx, s.database.usesSince()).Scan(&at)
	}
	if err != nil {
		return at, fmt.Errorf("store: from when on there are last uses: %w", s.database.typed(err))
	}
	return at.UTC(), nil
}

// SetLastUses writes last uses in one transaction. One that is older than what is
// there, or of a key that is not, is passed over.
func (s *Store) SetLastUses(ctx context.Context, uses []LastUse) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		var kept []*LastUse
		for _, u := range uses {
			u.UsedAt = stored(u.UsedAt)
			old, ok := s.mem.uses.rows[path(u.Region, u.KeyID)]
			if _, known := s.mem.key(u.Region, u.KeyID); !known || ok && !old.UsedAt.Before(u.UsedAt) {
				continue
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO last_uses (region, key_id, operation, request_id, used_at) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT (region, key_id) DO UPDATE SET operation = excluded.operation, request_id = excluded.request_id, used_at = excluded.used_at`,
				u.Region, u.KeyID, u.Operation, u.RequestID, u.UsedAt.UnixMicro()); err != nil {
				return nil, err
			}
			kept = append(kept, &u)
		}
		return func(m *memory) {
			for _, u := range kept {
				m.uses.put(u)
			}
		}, nil
	})
}

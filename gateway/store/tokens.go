package store

import (
	"context"
	"database/sql"
	"time"
)

// Disconnected is a token that an operator has taken out of service. Immutable.
type Disconnected struct {
	Name  string
	Since time.Time
}

// Disconnected says whether a token is out of service.
func (s *Store) Disconnected(token string) bool {
	s.mu.RLock()
	_, ok := s.mem.disconnected.rows[token]
	s.mu.RUnlock()
	return ok
}

// SetDisconnected takes a token out of service, or back into it.
func (s *Store) SetDisconnected(ctx context.Context, token string, out bool, now time.Time) error {
	d := &Disconnected{Name: token, Since: stored(now)}
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		if !out {
			_, err := tx.ExecContext(ctx, "DELETE FROM disconnected_tokens WHERE name = ?", token)
			return func(m *memory) { m.disconnected.remove(token) }, err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO disconnected_tokens (name, since) VALUES (?, ?)
			ON CONFLICT (name) DO UPDATE SET since = excluded.since`, token, d.Since.UnixMicro())
		return func(m *memory) { m.disconnected.put(d) }, err
	})
}

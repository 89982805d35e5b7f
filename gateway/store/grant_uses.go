package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// ErrUsedUp: a grant has no use left.
var ErrUsedUp = errors.New("no use is left")

// UseGrants takes one use of each of these grants, or of none. It is the word of
// the database, so that of several processes no two take the same use. ErrUsedUp
// when one has none left, ErrNotFound when one is gone; memory knows it then, too.
func (s *Store) UseGrants(ctx context.Context, at time.Time, ids ...string) error {
	at = stored(at)
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		var used []*Grant
		for _, id := range ids {
			g, ok := s.mem.grantsByID[id]
			if !ok {
				return nil, fmt.Errorf("grant %s: %w", id, ErrNotFound)
			}
			result, err := tx.ExecContext(ctx, "UPDATE grants SET uses_left = uses_left - 1, used_at = ? WHERE id = ? AND uses_left > 0", at.UnixMicro(), id)
			if err != nil {
				return nil, err
			}
			if n, err := result.RowsAffected(); err != nil || n != 1 {
				return nil, errors.Join(err, fmt.Errorf("grant %s: %w", id, ErrUsedUp))
			}
			after, left := *g, *g.UsesLeft-1 // memory is in step with the row
			after.UsesLeft, after.UsedAt = &left, at
			used = append(used, &after)
		}
		return func(m *memory) {
			for _, g := range used {
				m.putGrant(g)
			}
		}, nil
	})
}

// EndedGrants are those that ended by themselves before a time: they expired, or
// were used up.
func (s *Store) EndedGrants(before time.Time) []*Grant {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var ended []*Grant
	for _, g := range s.mem.grants.sorted {
		if g.ended(before) {
			ended = append(ended, g)
		}
	}
	return ended
}

func (g *Grant) ended(before time.Time) bool {
	return g.usedUp() && g.UsedAt.Before(before) || !g.Expires.IsZero() && g.Expires.Before(before)
}

func (g *Grant) usedUp() bool { return g.UsesLeft != nil && *g.UsesLeft == 0 }

// hasEnded says whether a grant allows nothing any more.
func (g *Grant) hasEnded(at time.Time) bool {
	return g.usedUp() || !g.Expires.IsZero() && !at.Before(g.Expires)
}

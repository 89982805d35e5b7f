package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
)

// LogKey signs the checkpoints of an audit log: a token object in the default token. Immutable.
type LogKey struct {
	Origin    string // the name of the log
	Number    int    // from 1; the highest one signs
	Instance  string // the daemon that made it
	Spec      string
	ObjectID  []byte
	PublicKey []byte // SPKI, DER
	CreatedAt time.Time
	RetiredAt time.Time // zero: it may sign
}

func (k *LogKey) id() string { return hex.EncodeToString(k.ObjectID) }

// LogKeys lists the keys of a log, the newest first.
func (s *Store) LogKeys(origin string) []*LogKey {
	keys := slices.DeleteFunc(s.AllLogKeys(), func(k *LogKey) bool { return k.Origin != origin })
	slices.SortFunc(keys, func(a, b *LogKey) int { return b.Number - a.Number })
	return keys
}

// AllLogKeys lists those of all logs.
func (s *Store) AllLogKeys() []*LogKey {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.mem.logKeys.sorted)
}

// InsertLogKey adds a key with the next number of its log, which it returns, and ends the claim that PendObject made for its object.
// ErrState when the object is not claimed any more.
func (s *Store) InsertLogKey(ctx context.Context, key LogKey) (number int, err error) {
	k := key
	k.ObjectID, k.PublicKey, k.CreatedAt = slices.Clone(k.ObjectID), slices.Clone(k.PublicKey), stored(k.CreatedAt)
	err = s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		k.Number = 1
		for _, old := range s.mem.logKeys.sorted {
			if old.Origin == k.Origin {
				k.Number = max(k.Number, old.Number+1)
			}
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO log_keys (id, instance, number, origin, spec, object_id, public_key, created_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, k.id(), k.Instance, k.Number, k.Origin, k.Spec, k.ObjectID, k.PublicKey, k.CreatedAt.UnixMicro()); err != nil {
			return nil, fmt.Errorf("log key %s: %w", k.id(), err)
		}
		return func(m *memory) {
			m.logKeys.put(&k)
			m.pending.remove(string(k.ObjectID))
		}, s.settleClaim(ctx, tx, k.ObjectID)
	})
	return k.Number, err
}

// RetireLogKey ends the time of a log's newest key: the daemon's next start makes another one. ErrNotFound when it has none that signs.
func (s *Store) RetireLogKey(ctx context.Context, origin string, now time.Time) (*LogKey, error) {
	var retired *LogKey
	err := s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		var newest *LogKey
		for _, k := range s.mem.logKeys.sorted {
			if k.Origin == origin && (newest == nil || k.Number > newest.Number) {
				newest = k
			}
		}
		if newest == nil || !newest.RetiredAt.IsZero() {
			return nil, fmt.Errorf("a key of the log %q that signs: %w", origin, ErrNotFound)
		}
		k := *newest
		k.RetiredAt = stored(now)
		retired = &k
		_, err := tx.ExecContext(ctx, "UPDATE log_keys SET retired_at = ? WHERE id = ?", k.RetiredAt.UnixMicro(), k.id())
		return func(m *memory) { m.logKeys.put(&k) }, err
	})
	return retired, err
}

func loadLogKeys(ctx context.Context, r *reader) error {
	return r.each(ctx, kindLogKey, "SELECT instance, number, origin, spec, object_id, public_key, created_at, retired_at FROM log_keys", "id", "id",
		func(scan func(...any) error) error {
			k := &LogKey{}
			if err := scan(&k.Instance, &k.Number, &k.Origin, &k.Spec, &k.ObjectID, &k.PublicKey, (*micros)(&k.CreatedAt), (*micros)(&k.RetiredAt)); err != nil {
				return err
			}
			r.m.logKeys.put(k)
			return nil
		})
}

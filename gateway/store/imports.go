package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// ImportKey is the pair under which material for one key is brought in: the
// private half is a token object. Immutable.
type ImportKey struct {
	ID        string // hex SHA-256 of the import token
	Region    string
	KeyID     string
	Algorithm string // AlgorithmSpec of KMS
	Spec      string // WrappingKeySpec of KMS
	ObjectID  []byte
	PublicKey []byte // SPKI, DER
	ExpiresAt time.Time
}

// ImportKey finds a wrapping pair by its id, expired or not.
func (s *Store) ImportKey(id string) (*ImportKey, bool) {
	s.mu.RLock()
	i, ok := s.mem.imports.rows[id]
	s.mu.RUnlock()
	return i, ok
}

// ImportKeys lists all wrapping pairs, sorted by id.
func (s *Store) ImportKeys() []*ImportKey {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.mem.imports.sorted)
}

// InsertImportKey adds a wrapping pair and ends the claim that PendObject made
// for its object. ErrNotFound when there is no such key, ErrState when the object is
// not claimed any more.
func (s *Store) InsertImportKey(ctx context.Context, key *ImportKey) error {
	i := *key
	i.ObjectID, i.PublicKey, i.ExpiresAt = slices.Clone(i.ObjectID), slices.Clone(i.PublicKey), stored(i.ExpiresAt)
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		if err := s.mem.visible(i.Region, i.KeyID); err != nil {
			return nil, err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO import_keys (id, region, key_id, algorithm, spec, object_id, public_key, expires_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, i.ID, i.Region, i.KeyID, i.Algorithm, i.Spec, i.ObjectID, i.PublicKey, i.ExpiresAt.UnixMicro()); err != nil {
			return nil, fmt.Errorf("import key %s: %w", i.ID, err)
		}
		return func(m *memory) {
			m.imports.put(&i)
			m.pending.remove(string(i.ObjectID))
		}, s.settleClaim(ctx, tx, i.ObjectID)
	})
}

// DeleteImportKey removes a wrapping pair and dooms its object (see Pending). No
// error when there is none.
func (s *Store) DeleteImportKey(ctx context.Context, id string, now time.Time) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		old, ok := s.mem.imports.rows[id]
		if !ok {
			return func(*memory) {}, nil
		}
		o := &PendingObject{ObjectID: old.ObjectID, KeyID: old.KeyID, Since: stored(now), Doomed: true}
		if all := s.mem.lines[old.KeyID]; len(all) > 0 {
			o.Token = all[0].Token
		}
		if err := insertPending(ctx, tx, o); err != nil {
			return nil, err
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM import_keys WHERE id = ?", id)
		return func(m *memory) {
			m.imports.remove(id)
			m.pending.put(o)
		}, err
	})
}

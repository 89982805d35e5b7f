package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Key finds a key that is Enabled, Disabled or PendingDeletion. Keys in other
// states do not exist for callers.
func (s *Store) Key(id string) (*Key, bool) {
	s.mu.RLock()
	k, ok := s.mem.keys.rows[id]
	s.mu.RUnlock()
	return k, ok
}

// Keys lists up to limit of the keys that Key finds whose ids sort after the
// given one, sorted by id; more says whether others follow.
func (s *Store) Keys(after string, limit int) (keys []*Key, more bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mem.keys.page(after, limit)
}

// KeyCount is the number of keys that Keys lists.
func (s *Store) KeyCount() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.mem.keys.sorted)
}

// Creating lists the intents of creations that have not ended, sorted by id.
// After a crash their token objects, if there are any, belong to no key.
func (s *Store) Creating() []*Key {
	return s.hidden(func(k *Key) bool { return k.State == StateCreating })
}

// Undestroyed lists the Deleted keys whose token objects MarkDestroyed has not
// confirmed to be gone, sorted by id.
func (s *Store) Undestroyed() []*Key {
	return s.hidden(func(k *Key) bool { return k.State == StateDeleted && k.DestroyedAt.IsZero() })
}

// Deleted lists all tombstones, sorted by id.
func (s *Store) Deleted() []*Key {
	return s.hidden(func(k *Key) bool { return k.State == StateDeleted })
}

func (s *Store) hidden(want func(*Key) bool) []*Key {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []*Key
	for _, k := range s.mem.hidden {
		if want(k) {
			list = append(list, k)
		}
	}
	slices.SortFunc(list, func(a, b *Key) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// DueDeletions lists the keys PendingDeletion whose date has come, sorted by
// id. It looks at every key.
func (s *Store) DueDeletions(now time.Time) []*Key {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []*Key
	for _, k := range s.mem.keys.sorted {
		if k.due(now) {
			list = append(list, k)
		}
	}
	return list
}

func (k *Key) due(now time.Time) bool {
	return k.State == StatePendingDeletion && !k.DeletionAt.After(now)
}

// InsertKey adds a key with its versions. A key whose token object is still to
// be made is added with State Creating and the ObjectID that the object will
// have, so that a crash leaves a trace of it. ErrExists when the id or an
// object id was ever used, ErrInvalid when the parts do not fit together.
func (s *Store) InsertKey(ctx context.Context, key *Key) error {
	k := key.stored()
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		if _, ok := s.mem.key(k.ID); ok {
			return nil, fmt.Errorf("key %s: %w", k.ID, ErrExists)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO keys (id, spec, usage, description, state, created_at, deletion_at, destroyed_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, k.ID, k.Spec, k.Usage, k.Description, k.State,
			k.CreatedAt.UnixMicro(), column(k.DeletionAt), column(k.DestroyedAt)); err != nil {
			return nil, fmt.Errorf("key %s: %w", k.ID, err)
		}
		for _, v := range k.Versions {
			if err := insertVersion(ctx, tx, k.ID, v); err != nil {
				return nil, err
			}
		}
		return func(m *memory) { m.putKey(k) }, complete(k)
	})
}

// complete refuses a usable key that lacks what signing needs.
func complete(k *Key) error {
	if k.State == StateCreating || k.State == StateDeleted {
		return nil
	}
	if len(k.Versions) == 0 {
		return fmt.Errorf("key %s has no version: %w", k.ID, ErrInvalid)
	}
	for _, v := range k.Versions {
		if len(v.PublicKey) == 0 {
			return fmt.Errorf("key %s version %d has no public key: %w", k.ID, v.Number, ErrInvalid)
		}
	}
	return nil
}

func insertVersion(ctx context.Context, tx *sql.Tx, id string, v Version) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO versions (key_id, number, object_id, public_key, created_at) VALUES (?, ?, ?, ?, ?)",
		id, v.Number, v.ObjectID, v.PublicKey, v.CreatedAt.UnixMicro())
	if err != nil {
		return fmt.Errorf("key %s version %d: %w", id, v.Number, err)
	}
	return nil
}

// ActivateKey ends a creation: the Creating key gets its version, replacing
// the one of that number, and is Enabled. ErrState when it is not Creating.
func (s *Store) ActivateKey(ctx context.Context, id string, version Version) error {
	v := version.stored()
	return s.changeKey(ctx, id, []string{StateCreating}, func(ctx context.Context, tx *sql.Tx, k *Key) error {
		k.State = StateEnabled
		k.Versions = slices.DeleteFunc(k.Versions, func(o Version) bool { return o.Number == v.Number })
		k.Versions = append(k.Versions, v)
		slices.SortFunc(k.Versions, func(a, b Version) int { return a.Number - b.Number })
		if err := complete(k); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM versions WHERE key_id = ? AND number = ?", id, v.Number); err != nil {
			return err
		}
		return insertVersion(ctx, tx, id, v)
	})
}

// SetKeyState makes a key Enabled, Disabled or PendingDeletion; deletionAt is
// for PendingDeletion and zero otherwise. Where states are given in from, the
// key must be in one of them at that moment, or the answer is ErrState: what a
// caller decided on may have changed since it looked.
func (s *Store) SetKeyState(ctx context.Context, id, state string, deletionAt time.Time, from ...string) error {
	switch state {
	case StateEnabled, StateDisabled, StatePendingDeletion:
	default:
		return fmt.Errorf("store: key %s can not be set to state %q: %w", id, state, ErrInvalid)
	}
	if (state == StatePendingDeletion) == deletionAt.IsZero() {
		return fmt.Errorf("store: key %s: a deletion date goes with %s and no other state: %w", id, StatePendingDeletion, ErrInvalid)
	}
	if len(from) == 0 {
		from = []string{StateEnabled, StateDisabled, StatePendingDeletion}
	}
	return s.changeKey(ctx, id, from, func(_ context.Context, _ *sql.Tx, k *Key) error {
		k.State, k.DeletionAt = state, stored(deletionAt)
		return nil
	})
}

// DeleteKey turns a key of any state into a tombstone and deletes its aliases:
// the end of a creation that failed. The token object is still to be destroyed
// then, and confirmed by MarkDestroyed. No error when it is Deleted already.
func (s *Store) DeleteKey(ctx context.Context, id string) error {
	return s.deleteKey(ctx, id, func(*Key) error { return nil })
}

// DeleteDueKey does the same with a key PendingDeletion whose date has come.
// ErrState when its deletion has been cancelled or moved meanwhile.
func (s *Store) DeleteDueKey(ctx context.Context, id string, now time.Time) error {
	return s.deleteKey(ctx, id, func(k *Key) error {
		if k.State != StateDeleted && !k.due(now) {
			return fmt.Errorf("key %s is not due for deletion: %w", id, ErrState)
		}
		return nil
	})
}

func (s *Store) deleteKey(ctx context.Context, id string, check func(*Key) error) error {
	return s.changeKey(ctx, id, nil, func(ctx context.Context, tx *sql.Tx, k *Key) error {
		if err := check(k); err != nil {
			return err
		}
		k.State, k.DeletionAt = StateDeleted, time.Time{}
		_, err := tx.ExecContext(ctx, "DELETE FROM aliases WHERE key_id = ?", id)
		return err
	})
}

// MarkDestroyed notes that the token object of a Deleted key is gone. ErrState
// when the key is not Deleted.
func (s *Store) MarkDestroyed(ctx context.Context, id string, at time.Time) error {
	return s.changeKey(ctx, id, []string{StateDeleted}, func(_ context.Context, _ *sql.Tx, k *Key) error {
		k.DestroyedAt = stored(at)
		return nil
	})
}

// changeKey replaces a key that is in one of the given states (nil: any) by
// what edit makes of a copy of it.
func (s *Store) changeKey(ctx context.Context, id string, from []string, edit func(context.Context, *sql.Tx, *Key) error) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		old, ok := s.mem.key(id)
		if !ok || old.State == StateDeleted && from != nil && !slices.Contains(from, StateDeleted) {
			return nil, fmt.Errorf("key %s: %w", id, ErrNotFound)
		}
		if from != nil && !slices.Contains(from, old.State) {
			return nil, fmt.Errorf("key %s is %s: %w", id, old.State, ErrState)
		}
		k := old.stored()
		if err := edit(ctx, tx, k); err != nil {
			return nil, err
		}
		_, err := tx.ExecContext(ctx, "UPDATE keys SET description = ?, state = ?, deletion_at = ?, destroyed_at = ? WHERE id = ?",
			k.Description, k.State, column(k.DeletionAt), column(k.DestroyedAt), id)
		return func(m *memory) {
			m.putKey(k)
			if k.State == StateDeleted {
				m.removeAliasesOf(id)
			}
		}, err
	})
}

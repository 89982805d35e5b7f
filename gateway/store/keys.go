package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Key finds a key of a region in any state but Creating and Deleted. Keys in
// those do not exist for callers.
func (s *Store) Key(region, id string) (*Key, bool) {
	s.mu.RLock()
	k, ok := s.mem.keys.rows[path(region, id)]
	s.mu.RUnlock()
	return k, ok
}

// Keys lists up to limit of the keys of a region that Key finds whose ids sort
// after the given one, sorted by id; more says whether others follow.
func (s *Store) Keys(region, after string, limit int) (keys []*Key, more bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mem.keys.page(path(region, ""), after, limit)
}

// AllKeys lists the keys of every region that Key finds, sorted by region and id.
func (s *Store) AllKeys() []*Key {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.mem.keys.sorted)
}

// KeyCount is the number of keys that AllKeys lists.
func (s *Store) KeyCount() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.mem.keys.sorted)
}

// KeyCountIn is the number of keys of a region that Keys lists.
func (s *Store) KeyCountIn(region string) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	first, _ := s.mem.keys.find(path(region, ""))
	next, _ := s.mem.keys.find(path(region, "\xff")) // after every id
	return next - first
}

// Members lists a key in each of its regions, in any state, sorted by region.
func (s *Store) Members(id string) []*Key {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.mem.lines[id])
}

// Creating lists the intents of creations that have not ended, sorted by id.
// After a crash their token objects, if there are any, belong to no key.
func (s *Store) Creating() []*Key {
	return s.hidden(func(k *Key) bool { return k.State == StateCreating })
}

// Undestroyed lists the keys that are Deleted in all regions and whose token
// objects MarkDestroyed has not confirmed to be gone, once each, sorted by id.
func (s *Store) Undestroyed() []*Key {
	return s.hidden(func(k *Key) bool {
		all := s.mem.lines[k.ID]
		return k == all[0] && k.DestroyedAt.IsZero() &&
			!slices.ContainsFunc(all, func(k *Key) bool { return k.State != StateDeleted })
	})
}

// Deleted lists all tombstones, sorted by id.
func (s *Store) Deleted() []*Key {
	return s.hidden(func(k *Key) bool { return k.State == StateDeleted })
}

func (s *Store) hidden(want func(*Key) bool) []*Key {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := slices.DeleteFunc(slices.Collect(maps.Values(s.mem.hidden)), func(k *Key) bool { return !want(k) })
	slices.SortFunc(list, func(a, b *Key) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// DueDeletions lists the keys PendingDeletion whose date has come, sorted by
// region and id. It looks at every key.
func (s *Store) DueDeletions(now time.Time) []*Key {
	return slices.DeleteFunc(s.AllKeys(), func(k *Key) bool { return !k.due(now) })
}

func (k *Key) due(now time.Time) bool {
	return k.State == StatePendingDeletion && !k.DeletionAt.After(now)
}

// InsertKey adds a key with its line. A key whose token object is still to be
// made is added with State Creating, the ObjectID that the object will have and
// the Owner that makes it, so that a crash leaves a trace of it. ErrExists when the id or an object id
// was ever used, ErrInvalid when the parts do not fit together.
func (s *Store) InsertKey(ctx context.Context, key *Key) error {
	k := key.stored()
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		if _, ok := s.mem.lines[k.ID]; ok {
			return nil, fmt.Errorf("key %s: %w", k.ID, ErrExists)
		}
		if err := insertLine(ctx, tx, k.ID, &k.Line); err != nil {
			return nil, err
		}
		if err := insertMember(ctx, tx, k); err != nil {
			return nil, err
		}
		return func(m *memory) { m.putKey(k) }, complete(k)
	})
}

// InsertReplica adds a key of a line that is there in other regions already; a
// deleted one comes back. ErrExists when the region has it, ErrNotFound when the
// line is not there or deleted everywhere.
func (s *Store) InsertReplica(ctx context.Context, key *Key) error {
	k := key.stored()
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		all := s.mem.lines[k.ID]
		if !slices.ContainsFunc(all, func(k *Key) bool { return k.State != StateDeleted }) {
			return nil, fmt.Errorf("key %s: %w", k.ID, ErrNotFound)
		}
		k.Line = all[0].Line
		apply := func(m *memory) { m.putKey(k) }
		switch old, ok := s.mem.key(k.Region, k.ID); {
		case !ok:
			return apply, insertMember(ctx, tx, k)
		case old.State != StateDeleted:
			return nil, fmt.Errorf("key %s in %s: %w", k.ID, k.Region, ErrExists)
		}
		return apply, reviveMember(ctx, tx, k)
	})
}

func insertMember(ctx context.Context, tx *sql.Tx, k *Key) error {
	if err := storable(k); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO keys (region, id, description, state, created_at, deletion_at, pending_days)
		VALUES (?, ?, ?, ?, ?, ?, ?)`, k.Region, k.ID, k.Description, k.State,
		k.CreatedAt.UnixMicro(), column(k.DeletionAt), k.PendingDays); err != nil {
		return fmt.Errorf("key %s: %w", k.ID, err)
	}
	if err := insertPolicy(ctx, tx, k); err != nil {
		return fmt.Errorf("key %s: %w", k.ID, err)
	}
	return insertTags(ctx, tx, k)
}

// reviveMember makes a key of its tombstone.
func reviveMember(ctx context.Context, tx *sql.Tx, k *Key) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM tags WHERE region = ? AND key_id = ?", k.Region, k.ID); err != nil {
		return fmt.Errorf("key %s: %w", k.ID, err)
	}
	if _, err := tx.ExecContext(ctx, "UPDATE keys SET description = ?, state = ?, created_at = ?, deletion_at = ?, pending_days = ? WHERE region = ? AND id = ?",
		k.Description, k.State, k.CreatedAt.UnixMicro(), column(k.DeletionAt), k.PendingDays, k.Region, k.ID); err != nil {
		return fmt.Errorf("key %s: %w", k.ID, err)
	}
	if err := replacePolicy(ctx, tx, k); err != nil {
		return fmt.Errorf("key %s: %w", k.ID, err)
	}
	return insertTags(ctx, tx, k)
}

// storable refuses text that PostgreSQL does not take, in either database: U+0000.
func storable(k *Key) error {
	text := k.Description
	for _, t := range k.Tags {
		text += t.Name + t.Value
	}
	if strings.ContainsRune(text, 0) {
		return fmt.Errorf("key %s: the character U+0000 in its description or a tag: %w", k.ID, ErrInvalid)
	}
	return nil
}

func insertTags(ctx context.Context, tx *sql.Tx, k *Key) error {
	for _, t := range k.Tags {
		if _, err := tx.ExecContext(ctx, "INSERT INTO tags (region, key_id, name, value) VALUES (?, ?, ?, ?)", k.Region, k.ID, t.Name, t.Value); err != nil {
			return fmt.Errorf("key %s: %w", k.ID, err)
		}
	}
	return nil
}

// complete refuses a usable key that lacks what its use needs.
func complete(k *Key) error {
	switch k.State {
	case StateCreating, StateDeleted, StatePendingImport:
		return nil
	}
	if len(k.Versions) == 0 {
		return fmt.Errorf("key %s has no version: %w", k.ID, ErrInvalid)
	}
	for _, v := range k.Versions {
		if v.ObjectID != nil && len(v.PublicKey) == 0 && len(v.Check) == 0 {
			return fmt.Errorf("key %s version %d has no public key and no check value: %w", k.ID, v.Number, ErrInvalid)
		}
		if v.ObjectID == nil && k.Origin != OriginExternal {
			return fmt.Errorf("key %s version %d names no token object: %w", k.ID, v.Number, ErrInvalid)
		}
	}
	return nil
}

// ActivateKey ends a creation: the Creating key gets its version, replacing
// the one of that number, and is Enabled. ErrState when it is not Creating.
func (s *Store) ActivateKey(ctx context.Context, region, id string, version Version) error {
	v := version.stored()
	return s.changeKey(ctx, region, id, []string{StateCreating}, func(ctx context.Context, tx *sql.Tx, k *Key) error {
		k.State = StateEnabled
		k.Versions = slices.DeleteFunc(k.Versions, func(o Version) bool { return o.Number == v.Number })
		k.Versions = append(k.Versions, v)
		slices.SortFunc(k.Versions, byNumber)
		if err := complete(k); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM versions WHERE key_id = ? AND number = ?", id, v.Number); err != nil {
			return err
		}
		if err := insertVersion(ctx, tx, id, v); err != nil {
			return err
		}
		k.Owner, k.OwnedAt = "", time.Time{}
		return updateLine(ctx, tx, id, &k.Line)
	})
}

// SetKeyState makes a key Enabled, Disabled, PendingImport or PendingDeletion;
// deletionAt is for PendingDeletion and zero otherwise. Where states are given
// in from, the key must be in one of them at that moment, or the answer is
// ErrState: what a caller decided on may have changed since it looked.
func (s *Store) SetKeyState(ctx context.Context, region, id, state string, deletionAt time.Time, from ...string) error {
	switch state {
	case StateEnabled, StateDisabled, StatePendingDeletion, StatePendingImport:
	default:
		return fmt.Errorf("store: key %s can not be set to state %q: %w", id, state, ErrInvalid)
	}
	if (state == StatePendingDeletion) == deletionAt.IsZero() {
		return fmt.Errorf("store: key %s: a deletion date goes with %s and no other state: %w", id, StatePendingDeletion, ErrInvalid)
	}
	if len(from) == 0 {
		from = seen
	}
	return s.changeKey(ctx, region, id, from, func(_ context.Context, _ *sql.Tx, k *Key) error {
		k.State, k.DeletionAt, k.PendingDays = state, stored(deletionAt), 0
		return nil
	})
}

// AwaitReplicas makes a key PendingReplicaDeletion: the waiting period of so
// many days begins when its last replica is deleted. from is as in SetKeyState.
func (s *Store) AwaitReplicas(ctx context.Context, region, id string, days int, from ...string) error {
	if len(from) == 0 {
		from = seen
	}
	return s.changeKey(ctx, region, id, from, func(_ context.Context, _ *sql.Tx, k *Key) error {
		k.State, k.DeletionAt, k.PendingDays = StatePendingReplicaDeletion, time.Time{}, days
		return nil
	})
}

// ChangeDescription changes what a key says of itself to what change makes of it.
// An error of change is the answer, and nothing is changed then.
func (s *Store) ChangeDescription(ctx context.Context, region, id string, change func(old string) (string, error)) error {
	return s.changeKey(ctx, region, id, seen, func(_ context.Context, _ *sql.Tx, k *Key) (err error) {
		if k.Description, err = change(k.Description); err == nil {
			err = storable(k)
		}
		return err
	})
}

// ChangeTags replaces the tags of a key by what change makes of them. Nobody else
// changes them meanwhile, in no process: change sees what is in the file. An error of
// change is the answer, and nothing is changed then.
func (s *Store) ChangeTags(ctx context.Context, region, id string, change func(old []Tag) ([]Tag, error)) error {
	return s.changeKey(ctx, region, id, seen, func(ctx context.Context, tx *sql.Tx, k *Key) error {
		tags, err := change(slices.Clone(k.Tags))
		if err != nil {
			return err
		}
		k.Tags = sortedTags(tags)
		if err := storable(k); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM tags WHERE region = ? AND key_id = ?", region, id); err != nil {
			return err
		}
		return insertTags(ctx, tx, k)
	})
}

func sortedTags(in []Tag) []Tag {
	out := slices.Clone(in)
	slices.SortFunc(out, func(a, b Tag) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// seen are the states of keys that callers can see.
var seen = []string{StateEnabled, StateDisabled, StatePendingImport, StatePendingDeletion, StatePendingReplicaDeletion}

// DeleteKey turns a key of any state into a tombstone and deletes its aliases, its
// policy and the grants on it:
// the end of a creation that failed. The token object is still to be destroyed
// then, and confirmed by MarkDestroyed. No error when it is Deleted already.
func (s *Store) DeleteKey(ctx context.Context, region, id string) error {
	return s.deleteKey(ctx, region, id, func(*Key) error { return nil })
}

// DeleteDueKey does the same with a key PendingDeletion whose date has come.
// ErrState when its deletion has been cancelled or moved meanwhile.
func (s *Store) DeleteDueKey(ctx context.Context, region, id string, now time.Time) error {
	return s.deleteKey(ctx, region, id, func(k *Key) error {
		if k.State != StateDeleted && !k.due(now) {
			return fmt.Errorf("key %s is not due for deletion: %w", id, ErrState)
		}
		return nil
	})
}

func (s *Store) deleteKey(ctx context.Context, region, id string, check func(*Key) error) error {
	return s.changeKey(ctx, region, id, nil, func(ctx context.Context, tx *sql.Tx, k *Key) error {
		if err := check(k); err != nil {
			return err
		}
		k.State, k.DeletionAt, k.PendingDays = StateDeleted, time.Time{}, 0
		k.Policy = nil
		for _, statement := range []string{"DELETE FROM aliases WHERE region = ? AND key_id = ?", "DELETE FROM grants WHERE region = ? AND key_id = ?",
			"DELETE FROM key_policies WHERE region = ? AND key_id = ?"} {
			if _, err := tx.ExecContext(ctx, statement, region, id); err != nil {
				return err
			}
		}
		return s.mem.unpublishGone(ctx, tx, region, id)
	})
}

// MarkDestroyed notes that the token objects of a key are gone. ErrState when
// the key is not Deleted in all of its regions.
func (s *Store) MarkDestroyed(ctx context.Context, id string, at time.Time) error {
	return s.changeLine(ctx, id, func(_ context.Context, _ *sql.Tx, l *Line) error {
		for _, k := range s.mem.lines[id] {
			if k.State != StateDeleted {
				return fmt.Errorf("key %s is %s in %s: %w", id, k.State, k.Region, ErrState)
			}
		}
		l.DestroyedAt, l.Owner, l.OwnedAt = stored(at), "", time.Time{}
		return nil
	})
}

// changeKey replaces a key that is in one of the given states (nil: any) by
// what edit makes of a copy of it. Of its line, edit changes the versions alone.
func (s *Store) changeKey(ctx context.Context, region, id string, from []string, edit func(context.Context, *sql.Tx, *Key) error) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		old, ok := s.mem.key(region, id)
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
		if k.Description != old.Description {
			if err := storable(k); err != nil {
				return nil, err
			}
		}
		_, err := tx.ExecContext(ctx, "UPDATE keys SET description = ?, state = ?, deletion_at = ?, pending_days = ? WHERE region = ? AND id = ?",
			k.Description, k.State, column(k.DeletionAt), k.PendingDays, region, id)
		return func(m *memory) {
			m.putKey(k)
			if k.State == StateDeleted {
				m.removeNamesOf(k)
				if _, there := m.publishedKey(k.ID); !there {
					m.setPublication(k.ID, nil)
				}
			}
		}, err
	})
}

package store

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// Usable says whether the material of a version may be used at a time: it is
// there and has not expired.
func (v *Version) Usable(now time.Time) bool {
	return v.ObjectID != nil && (v.ExpiresAt.IsZero() || now.Before(v.ExpiresAt))
}

// StateAt is the state of a key at a time. That of a key with imported material
// follows its material, which may expire before anybody writes it down.
func (k *Key) StateAt(now time.Time) string {
	if k.Origin != OriginExternal {
		return k.State
	}
	return k.following(k.State, now)
}

// following is the state that the material of a line makes of a state.
func (l *Line) following(state string, now time.Time) string {
	_, ok := l.Current(now)
	switch {
	case ok && state == StatePendingImport:
		return StateEnabled
	case !ok && (state == StateEnabled || state == StateDisabled):
		return StatePendingImport
	}
	return state
}

// AddMaterial adds a version of imported material to a key, and ends the claim
// that PendObject made for its object. Keys that wait for material are Enabled by
// material that is used from now on. ErrExists when its number is not the next one,
// ErrState when the object is not claimed any more.
func (s *Store) AddMaterial(ctx context.Context, id string, version Version, now time.Time) error {
	v := version.stored()
	return s.changeMaterial(ctx, id, now, func(ctx context.Context, tx *sql.Tx, l *Line) (gone, came []byte, err error) {
		next := 1
		if n := len(l.Versions); n > 0 {
			next = l.Versions[n-1].Number + 1
		}
		if v.Number != next {
			return nil, nil, fmt.Errorf("key %s version %d is not the next, %d: %w", id, v.Number, next, ErrExists)
		}
		l.Versions = append(l.Versions, v)
		return nil, v.ObjectID, insertVersion(ctx, tx, id, v)
	})
}

// ReplaceMaterial changes the version of a number, whose object has to be was
// (nil: its material is gone): material that comes back, goes, gets another date
// or begins to be used. Another object dooms the one before (see Pending), and the
// states of the key follow. ErrState when the object is another: a call overtook this one.
func (s *Store) ReplaceMaterial(ctx context.Context, id string, number int, was []byte, change func(*Version), now time.Time) error {
	return s.changeMaterial(ctx, id, now, func(ctx context.Context, tx *sql.Tx, l *Line) (gone, came []byte, err error) {
		at, err := l.holding(id, number, was)
		if err != nil {
			return nil, nil, err
		}
		v := l.Versions[at]
		change(&v)
		v = v.stored()
		l.Versions[at] = v
		if err := deleteVersion(ctx, tx, id, number); err != nil {
			return nil, nil, err
		}
		if !bytes.Equal(was, v.ObjectID) {
			gone, came = was, v.ObjectID
		}
		return gone, came, insertVersion(ctx, tx, id, v)
	})
}

// DropMaterial takes back the last version, which nobody has used, and dooms its
// object. ErrState as in ReplaceMaterial, and when it is not the last or has begun.
func (s *Store) DropMaterial(ctx context.Context, id string, number int, was []byte, now time.Time) error {
	return s.changeMaterial(ctx, id, now, func(ctx context.Context, tx *sql.Tx, l *Line) (gone, came []byte, err error) {
		at, err := l.holding(id, number, was)
		if err == nil && at != len(l.Versions)-1 {
			err = fmt.Errorf("key %s version %d is not the last: %w", id, number, ErrState)
		}
		if err == nil && l.Versions[at].begun(now) {
			err = fmt.Errorf("key %s version %d is in use: %w", id, number, ErrState)
		}
		if err != nil {
			return nil, nil, err
		}
		if l.Versions = l.Versions[:at]; at == 0 {
			l.Versions = nil
		}
		return was, nil, deleteVersion(ctx, tx, id, number)
	})
}

// holding finds the version of a number with this object.
func (l *Line) holding(id string, number int, object []byte) (int, error) {
	at := slices.IndexFunc(l.Versions, func(v Version) bool { return v.Number == number })
	if at < 0 || !bytes.Equal(l.Versions[at].ObjectID, object) {
		return at, fmt.Errorf("key %s version %d has other material: %w", id, number, ErrState)
	}
	return at, nil
}

func deleteVersion(ctx context.Context, tx *sql.Tx, id string, number int) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM versions WHERE key_id = ? AND number = ?", id, number)
	return err
}

// changeMaterial changes the versions of a key that is not Deleted, dooms the
// object that is gone, settles the one that came, and lets the states follow.
func (s *Store) changeMaterial(ctx context.Context, id string, now time.Time, edit func(context.Context, *sql.Tx, *Line) (gone, came []byte, err error)) error {
	var doomed *PendingObject
	var settled []byte
	states := make(map[string]string) // region -> state
	return s.changeLine(ctx, id, func(ctx context.Context, tx *sql.Tx, l *Line) error {
		members := slices.DeleteFunc(slices.Clone(s.mem.lines[id]), func(k *Key) bool { return k.State == StateDeleted })
		if len(members) == 0 {
			return fmt.Errorf("key %s: %w", id, ErrNotFound)
		}
		_, before := l.Current(now)
		gone, came, err := edit(ctx, tx, l)
		if err != nil {
			return err
		}
		if gone != nil {
			doomed = &PendingObject{ObjectID: gone, Token: l.Token, KeyID: id, Since: stored(now), Doomed: true}
			if err := insertPending(ctx, tx, doomed); err != nil {
				return err
			}
		}
		if settled = came; came != nil {
			if err := s.settleClaim(ctx, tx, came); err != nil {
				return err
			}
		}
		for _, k := range members {
			state := l.followingImport(k.State, before, now)
			states[k.Region] = state
			if _, err := tx.ExecContext(ctx, "UPDATE keys SET state = ? WHERE region = ? AND id = ?", state, k.Region, id); err != nil {
				return err
			}
		}
		return nil
	}, func(m *memory) {
		for region, state := range states {
			old, _ := m.key(region, id)
			k := *old
			k.State = state
			m.putKey(&k)
		}
		m.pending.remove(string(settled))
		if doomed != nil {
			m.pending.put(doomed)
		}
	})
}

// followingImport is the state after a change of material: a key that had none to
// use and has some now is Enabled, as in AWS KMS, even if it was Disabled once.
func (l *Line) followingImport(state string, before bool, now time.Time) string {
	if _, ok := l.Current(now); ok && !before && state == StateDisabled {
		return StateEnabled
	}
	return l.following(state, now)
}

package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// OriginExternal is the origin of keys whose material is imported.
const OriginExternal = "EXTERNAL"

func byNumber(a, b Version) int { return a.Number - b.Number }

func insertLine(ctx context.Context, tx *sql.Tx, id string, l *Line) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO lines (id, spec, usage, origin, token, multi_region, primary_region, rotation_days, next_rotation_at, destroyed_at, owner, owned_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, id, l.Spec, l.Usage, l.Origin, l.Token, number(l.MultiRegion), l.PrimaryRegion,
		l.RotationDays, column(l.NextRotation), column(l.DestroyedAt), l.Owner, column(l.OwnedAt)); err != nil {
		return fmt.Errorf("key %s: %w", id, err)
	}
	for _, v := range l.Versions {
		if err := insertVersion(ctx, tx, id, v); err != nil {
			return err
		}
	}
	return nil
}

func insertVersion(ctx context.Context, tx *sql.Tx, id string, v Version) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO versions (key_id, number, object_id, public_key, check_value, created_at, current_at, rotation, material_id, description, expires_at, uses)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, id, v.Number, v.ObjectID, v.PublicKey, v.Check, v.CreatedAt.UnixMicro(),
		column(v.CurrentAt), v.Rotation, v.MaterialID, v.Description, column(v.ExpiresAt), int64(v.Uses))
	if err != nil {
		return fmt.Errorf("key %s version %d: %w", id, v.Number, err)
	}
	return nil
}

// AddVersion adds a version to a key, ends the claim that PendObject made for its
// object, and notes when the next rotation is due. ErrExists when the number is
// taken: another process was first. ErrState when the object is not claimed any more.
func (s *Store) AddVersion(ctx context.Context, id string, version Version, nextRotation time.Time) error {
	v := version.stored()
	return s.changeLine(ctx, id, func(ctx context.Context, tx *sql.Tx, l *Line) error {
		if err := insertVersion(ctx, tx, id, v); err != nil {
			return err
		}
		l.Versions = append(l.Versions, v)
		slices.SortFunc(l.Versions, byNumber)
		l.NextRotation = stored(nextRotation)
		return s.settleClaim(ctx, tx, v.ObjectID)
	}, func(m *memory) { m.pending.remove(string(v.ObjectID)) })
}

// DropVersion takes back the last version of a key, which nobody has used, and
// dooms its object (see Pending). ErrNotFound when it is not the last one, or the
// only one, ErrState when it has begun: what it signed or encrypted needs it.
func (s *Store) DropVersion(ctx context.Context, id string, number int, nextRotation, now time.Time) error {
	var gone *PendingObject
	return s.changeLine(ctx, id, func(ctx context.Context, tx *sql.Tx, l *Line) error {
		last := len(l.Versions) - 1
		if last < 1 || l.Versions[last].Number != number {
			return fmt.Errorf("key %s version %d: %w", id, number, ErrNotFound)
		}
		if l.Versions[last].begun(now) {
			return fmt.Errorf("key %s version %d is in use: %w", id, number, ErrState)
		}
		gone = &PendingObject{ObjectID: l.Versions[last].ObjectID, Token: l.Token, KeyID: id, Since: stored(now), Doomed: true}
		l.Versions, l.NextRotation = l.Versions[:last], stored(nextRotation)
		if _, err := tx.ExecContext(ctx, "DELETE FROM versions WHERE key_id = ? AND number = ?", id, number); err != nil {
			return err
		}
		return insertPending(ctx, tx, gone)
	}, func(m *memory) { m.pending.put(gone) })
}

// SetVersion replaces the version of that number: imported material that comes,
// goes or gets another date. What it no longer names is doomed (see Pending), and
// the claim of what it names anew ends. ErrNotFound when there is no such version.
func (s *Store) SetVersion(ctx context.Context, id string, version Version, now time.Time) error {
	v := version.stored()
	var gone *PendingObject
	return s.changeLine(ctx, id, func(ctx context.Context, tx *sql.Tx, l *Line) error {
		at := slices.IndexFunc(l.Versions, func(o Version) bool { return o.Number == v.Number })
		if at < 0 {
			return fmt.Errorf("key %s version %d: %w", id, v.Number, ErrNotFound)
		}
		old := l.Versions[at]
		if old.ObjectID != nil && string(old.ObjectID) != string(v.ObjectID) {
			gone = &PendingObject{ObjectID: old.ObjectID, Token: l.Token, KeyID: id, Since: stored(now), Doomed: true}
			if err := insertPending(ctx, tx, gone); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM versions WHERE key_id = ? AND number = ?", id, v.Number); err != nil {
			return err
		}
		l.Versions[at] = v
		if err := insertVersion(ctx, tx, id, v); err != nil {
			return err
		}
		return settle(ctx, tx, v.ObjectID)
	}, func(m *memory) {
		m.pending.remove(string(v.ObjectID))
		if gone != nil {
			m.pending.put(gone)
		}
	})
}

// SetRotation sets after how many days a key rotates by itself, and when it does
// so next; 0 and the zero time: it does not.
func (s *Store) SetRotation(ctx context.Context, id string, days int, next time.Time) error {
	if (days == 0) != next.IsZero() || days < 0 {
		return fmt.Errorf("store: key %s: a date goes with a period in days: %w", id, ErrInvalid)
	}
	return s.changeLine(ctx, id, func(_ context.Context, _ *sql.Tx, l *Line) error {
		l.RotationDays, l.NextRotation = days, stored(next)
		return nil
	})
}

// SetPrimaryRegion makes another member of a multi-Region key its primary.
func (s *Store) SetPrimaryRegion(ctx context.Context, id, region string) error {
	return s.changeLine(ctx, id, func(_ context.Context, _ *sql.Tx, l *Line) error {
		if k, ok := s.mem.key(region, id); !ok || !l.MultiRegion || k.State == StateDeleted {
			return fmt.Errorf("key %s in %s: %w", id, region, ErrNotFound)
		}
		l.PrimaryRegion = region
		return nil
	})
}

// ReserveUses sets n encryptions of a version aside, durably and before they are
// made, so that a crash can only count too many. It returns how many were set
// aside before. ErrInvalid when there would be more than most.
func (s *Store) ReserveUses(ctx context.Context, id string, number int, n, most uint64) (before uint64, err error) {
	err = s.changeLine(ctx, id, func(ctx context.Context, tx *sql.Tx, l *Line) error {
		at := slices.IndexFunc(l.Versions, func(v Version) bool { return v.Number == number })
		if at < 0 {
			return fmt.Errorf("key %s version %d: %w", id, number, ErrNotFound)
		}
		v := &l.Versions[at]
		before = v.Uses
		if v.Uses+n > most {
			return fmt.Errorf("key %s version %d has encrypted %d times: %w", id, number, v.Uses, ErrInvalid)
		}
		v.Uses += n
		_, err := tx.ExecContext(ctx, "UPDATE versions SET uses = ? WHERE key_id = ? AND number = ?", int64(v.Uses), id, number)
		return err
	})
	return before, err
}

func updateLine(ctx context.Context, tx *sql.Tx, id string, l *Line) error {
	_, err := tx.ExecContext(ctx, "UPDATE lines SET primary_region = ?, rotation_days = ?, next_rotation_at = ?, destroyed_at = ?, owner = ?, owned_at = ? WHERE id = ?",
		l.PrimaryRegion, l.RotationDays, column(l.NextRotation), column(l.DestroyedAt), l.Owner, column(l.OwnedAt), id)
	return err
}

// changeLine replaces what all regions of a key have in common by what edit
// makes of a copy of it, and does to memory what else the edit did. ErrNotFound
// when there is no such key.
func (s *Store) changeLine(ctx context.Context, id string, edit func(context.Context, *sql.Tx, *Line) error, also ...func(*memory)) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		members := s.mem.lines[id]
		if len(members) == 0 {
			return nil, fmt.Errorf("key %s: %w", id, ErrNotFound)
		}
		l := members[0].stored().Line
		if err := edit(ctx, tx, &l); err != nil {
			return nil, err
		}
		err := updateLine(ctx, tx, id, &l)
		return func(m *memory) {
			for _, old := range members {
				k := *old
				k.Line = l
				m.putKey(&k)
			}
			for _, apply := range also {
				apply(m)
			}
		}, err
	})
}

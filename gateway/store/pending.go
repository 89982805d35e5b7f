package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// PendingObject is a token object that is being made or is to be destroyed. It
// is noted before the token is asked, so that a crash leaves no orphan. Immutable.
type PendingObject struct {
	ObjectID []byte
	Token    string // name of the token that holds it
	KeyID    string
	Number   int    // the version that it is made for; 0: none
	Owner    string // the process that makes it
	Since    time.Time
	Doomed   bool // to be destroyed; otherwise it may yet become a version
}

// Pending lists all pending objects, sorted by object id.
func (s *Store) Pending() []*PendingObject {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.mem.pending.sorted)
}

// PendObject notes an object that is about to be made. ErrExists when another
// process makes the same version of the key, or the object id is taken.
func (s *Store) PendObject(ctx context.Context, object PendingObject) error {
	o := object
	o.ObjectID, o.Since = slices.Clone(o.ObjectID), stored(o.Since)
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		return func(m *memory) { m.pending.put(&o) }, insertPending(ctx, tx, &o)
	})
}

// DoomObject notes that a pending object is to be destroyed; its claim of a
// version ends. False when nothing is known of it: it may be a version by now.
func (s *Store) DoomObject(ctx context.Context, id []byte) (doomed bool, err error) {
	err = s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		old, ok := s.mem.pending.rows[string(id)]
		if !ok {
			return func(*memory) {}, nil
		}
		o := *old
		o.Doomed, o.Number, doomed = true, 0, true
		_, err := tx.ExecContext(ctx, "UPDATE pending_objects SET doomed = 1, number = NULL WHERE object_id = ?", id)
		return func(m *memory) { m.pending.put(&o) }, err
	})
	return doomed && err == nil, err
}

// ClaimObject gives a process the right to destroy a doomed object, until
// SettleObject. ErrClaimed while another process has it, ErrNotFound when it is
// settled.
func (s *Store) ClaimObject(ctx context.Context, id []byte, owner string, now time.Time) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		old, ok := s.mem.pending.rows[string(id)]
		switch {
		case !ok || !old.Doomed:
			return nil, fmt.Errorf("object %x: %w", id, ErrNotFound)
		case old.Owner != "" && old.Owner != owner && now.Sub(old.Since) < ClaimFor:
			return nil, fmt.Errorf("object %x, by %s since %s: %w", id, old.Owner, old.Since.Format(time.RFC3339), ErrClaimed)
		}
		o := *old
		o.Owner, o.Since = owner, stored(now)
		_, err := tx.ExecContext(ctx, "UPDATE pending_objects SET owner = ?, since = ? WHERE object_id = ?", o.Owner, o.Since.UnixMicro(), id)
		return func(m *memory) { m.pending.put(&o) }, err
	})
}

// SettleObject notes that a pending object is gone from the token.
func (s *Store) SettleObject(ctx context.Context, id []byte) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		return func(m *memory) { m.pending.remove(string(id)) }, settle(ctx, tx, id)
	})
}

// settleClaim ends the claim of an object that is named from now on. ErrState when
// nothing claims it any more, or it is doomed: another process has given it up, and
// may have destroyed it.
func (s *Store) settleClaim(ctx context.Context, tx *sql.Tx, id []byte) error {
	if o, ok := s.mem.pending.rows[string(id)]; !ok || o.Doomed {
		return fmt.Errorf("object %x is claimed by nobody: %w", id, ErrState)
	}
	return settle(ctx, tx, id)
}

func settle(ctx context.Context, tx *sql.Tx, id []byte) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM pending_objects WHERE object_id = ?", id)
	return err
}

func insertPending(ctx context.Context, tx *sql.Tx, o *PendingObject) error {
	var version any
	if o.Number != 0 {
		version = o.Number
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO pending_objects (object_id, token, key_id, number, owner, since, doomed) VALUES (?, ?, ?, ?, ?, ?, ?)",
		o.ObjectID, o.Token, o.KeyID, version, o.Owner, o.Since.UnixMicro(), number(o.Doomed))
	if err != nil {
		return fmt.Errorf("object %x: %w", o.ObjectID, err)
	}
	return nil
}

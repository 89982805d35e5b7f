package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrClaimed: another process is at it.
var ErrClaimed = errors.New("another process does it")

// ClaimFor is how long a process has a key for itself that it makes or destroys.
// What it has not ended by then, another process may take over.
const ClaimFor = time.Hour

// claimable says whether a process may take up what was begun with a key.
func (l *Line) claimable(owner string, now time.Time) bool {
	return l.Owner == "" || l.Owner == owner || now.Sub(l.OwnedAt) >= ClaimFor
}

// Claim gives a process the right to destroy the token objects of a deleted key,
// until MarkDestroyed. ErrClaimed while another process has it, ErrState when the
// key is not Deleted in all regions or there is nothing left to destroy.
func (s *Store) Claim(ctx context.Context, id, owner string, now time.Time) error {
	return s.changeLine(ctx, id, func(_ context.Context, _ *sql.Tx, l *Line) error {
		used := slices.ContainsFunc(s.mem.lines[id], func(k *Key) bool { return k.State != StateDeleted })
		switch {
		case used || !l.DestroyedAt.IsZero():
			return fmt.Errorf("key %s has nothing to destroy: %w", id, ErrState)
		case !l.claimable(owner, now):
			return fmt.Errorf("key %s, by %s since %s: %w", id, l.Owner, l.OwnedAt.Format(time.RFC3339), ErrClaimed)
		}
		l.Owner, l.OwnedAt = owner, stored(now)
		return nil
	})
}

// ClaimKey gives a process the right to do what a key is due for, until ReleaseKey.
// ErrClaimed while another process has it, ErrState when the key is Creating or
// Deleted in all regions.
func (s *Store) ClaimKey(ctx context.Context, id, owner string, now time.Time) error {
	return s.changeLine(ctx, id, func(_ context.Context, _ *sql.Tx, l *Line) error {
		lives := slices.ContainsFunc(s.mem.lines[id], func(k *Key) bool { return k.State != StateDeleted && k.State != StateCreating })
		switch {
		case !lives:
			return fmt.Errorf("key %s is not in use: %w", id, ErrState)
		case !l.claimable(owner, now):
			return fmt.Errorf("key %s, by %s since %s: %w", id, l.Owner, l.OwnedAt.Format(time.RFC3339), ErrClaimed)
		}
		l.Owner, l.OwnedAt = owner, stored(now)
		return nil
	})
}

// ReleaseKey ends the claim of a process, if it has it.
func (s *Store) ReleaseKey(ctx context.Context, id, owner string) error {
	return s.changeLine(ctx, id, func(_ context.Context, _ *sql.Tx, l *Line) error {
		if l.Owner == owner {
			l.Owner, l.OwnedAt = "", time.Time{}
		}
		return nil
	})
}

// AbandonKey makes a tombstone of the intent of a creation that will not end: of
// this owner, of nobody, or of another process that has not ended it in time.
// ErrClaimed when that process may be at it still, ErrState when the key is not
// Creating any more.
func (s *Store) AbandonKey(ctx context.Context, region, id, owner string, now time.Time) error {
	return s.changeKey(ctx, region, id, []string{StateCreating}, func(ctx context.Context, tx *sql.Tx, k *Key) error {
		if !k.claimable(owner, now) {
			return fmt.Errorf("key %s, made by %s since %s: %w", id, k.Owner, k.OwnedAt.Format(time.RFC3339), ErrClaimed)
		}
		k.State, k.Owner, k.OwnedAt = StateDeleted, owner, stored(now)
		return updateLine(ctx, tx, id, &k.Line)
	})
}

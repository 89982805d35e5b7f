package store

import "testing"

// One process at a time does what a key is due for.
func TestClaimKey(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		insertKeys(t, s, 1)
		other := openAgain(t, s)
		ok(t, s.ClaimKey(ctx, "key-000", "one", t0))
		is(t, other.ClaimKey(ctx, "key-000", "two", t0), ErrClaimed)
		ok(t, s.ClaimKey(ctx, "key-000", "one", t0)) // in its next life
		ok(t, other.ReleaseKey(ctx, "key-000", "two"))
		is(t, other.ClaimKey(ctx, "key-000", "two", t0), ErrClaimed)
		ok(t, other.ClaimKey(ctx, "key-000", "two", t0.Add(ClaimFor)))
		ok(t, other.ReleaseKey(ctx, "key-000", "two"))
		ok(t, s.InsertKey(ctx, anIntent("intent")))
		is(t, s.ClaimKey(ctx, "intent", "one", t0), ErrState)
		is(t, s.ClaimKey(ctx, "none", "one", t0), ErrNotFound)
		ok(t, s.DeleteKey(ctx, home, "key-000"))
		is(t, s.ClaimKey(ctx, "key-000", "one", t0), ErrState)
		ok(t, s.follow(ctx))
	})
}

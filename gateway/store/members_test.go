package store

import (
	"testing"
	"time"
)

// TestReplicas: a region has a key of a line once, and again after its deletion,
// as long as the line lives anywhere.
func TestTombstonesOfReplicas(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx := t.Context()
	multi := aKey("mrk")
	multi.MultiRegion, multi.PrimaryRegion = true, home
	ok(t, s.InsertKey(ctx, multi))
	is(t, s.InsertReplica(ctx, aReplica("other")), ErrNotFound)
	ok(t, s.InsertReplica(ctx, aReplica("mrk")))
	is(t, s.InsertReplica(ctx, aReplica("mrk")), ErrExists)
	ok(t, s.SetTags(ctx, "elsewhere", "mrk", []Tag{{"old", "tag"}}))
	ok(t, s.SetKeyState(ctx, "elsewhere", "mrk", StatePendingDeletion, t0))
	ok(t, s.DeleteDueKey(ctx, "elsewhere", "mrk", t0))
	equal(t, len(s.Undestroyed()), 0)

	again := aReplica("mrk")
	again.Description, again.CreatedAt, again.Tags = "again", t0.Add(time.Hour), []Tag{{"new", "tag"}}
	ok(t, s.InsertReplica(ctx, again))
	k, found := s.Key("elsewhere", "mrk")
	equal(t, found, true)
	equal(t, k.State, StateEnabled)
	equal(t, k.Description, "again")
	equal(t, k.Tags, []Tag{{"new", "tag"}})
	equal(t, len(k.Versions), 1)

	ok(t, s.DeleteKey(ctx, "elsewhere", "mrk"))
	ok(t, s.DeleteKey(ctx, home, "mrk"))
	is(t, s.InsertReplica(ctx, aReplica("mrk")), ErrNotFound)
	equal(t, len(s.Undestroyed()), 1)
}

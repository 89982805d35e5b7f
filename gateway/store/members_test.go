package store

import (
	"errors"
	"fmt"
	"strings"
	"sync"
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
	ok(t, s.ChangeTags(ctx, "elsewhere", "mrk", tagged("old", "tag")))
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

// toTags and toText change to what is given, whatever was there.
func toTags(tags []Tag) func([]Tag) ([]Tag, error) {
	return func([]Tag) ([]Tag, error) { return tags, nil }
}

func toNames(names ...string) func([]string) ([]string, error) {
	return func([]string) ([]string, error) { return names, nil }
}

func toText(text string) func(string) (string, error) {
	return func(string) (string, error) { return text, nil }
}

// tagged puts one tag on a key.
func tagged(name, value string) func([]Tag) ([]Tag, error) {
	return func(old []Tag) ([]Tag, error) { return append(old, Tag{name, value}), nil }
}

// TestTombstonesStay: nothing that changes the state of a key brings one back.
func TestTombstonesStay(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx := t.Context()
	ok(t, s.InsertKey(ctx, aKey("k")))
	ok(t, s.DeleteKey(ctx, home, "k"))
	is(t, s.AwaitReplicas(ctx, home, "k", 7), ErrNotFound)
	is(t, s.SetKeyState(ctx, home, "k", StateEnabled, time.Time{}), ErrNotFound)
	is(t, s.ChangeTags(ctx, home, "k", tagged("a", "b")), ErrNotFound)
	likeFile(t, s)
}

// TestChangesOfTwoProcesses: neither process loses what the other has changed, and
// a change that is refused changes nothing.
func TestChangesOfTwoProcesses(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx := t.Context()
	ok(t, s.InsertKey(ctx, aKey("k")))
	before := len(s.AllKeys()[0].Tags)
	const each = 20
	var both sync.WaitGroup
	for n, one := range []*Store{s, openStore(t, placeOf(s))} {
		both.Go(func() {
			for i := range each {
				ok(t, one.ChangeTags(ctx, home, "k", tagged(fmt.Sprint(n, "-", i), "")))
				ok(t, one.ChangeDescription(ctx, home, "k", func(old string) (string, error) { return old + "x", nil }))
			}
		})
	}
	both.Wait()
	k := openStore(t, placeOf(s)).AllKeys()[0]
	equal(t, len(k.Tags)-before, 2*each)
	equal(t, strings.Count(k.Description, "x")-strings.Count(aKey("k").Description, "x"), 2*each)
	refusal := errors.New("no")
	is(t, s.ChangeTags(ctx, home, "k", func([]Tag) ([]Tag, error) { return nil, refusal }), refusal)
	is(t, s.ChangeDescription(ctx, home, "k", func(string) (string, error) { return "lost", refusal }), refusal)
	equal(t, openStore(t, placeOf(s)).AllKeys()[0], k)
}

// claim notes objects that are about to be made.
func claim(t testing.TB, s *Store, objects ...string) {
	t.Helper()
	for _, o := range objects {
		ok(t, s.PendObject(t.Context(), PendingObject{ObjectID: []byte(o), Since: t0}))
	}
}

// TestNoVersionOfAnObjectThatWasGivenUp: another process may have destroyed it.
func TestNoVersionOfAnObjectThatWasGivenUp(t *testing.T) {
	t.Parallel()
	s := filled(t)
	ctx := t.Context()
	_, err := s.DoomObject(ctx, []byte("noted"))
	ok(t, err)
	for range 2 { // doomed, then settled
		is(t, s.AddVersion(ctx, "key-000", aVersion("noted", 2), t0), ErrState)
		is(t, s.AddMaterial(ctx, "external", aVersion("noted", 2), t0), ErrState)
		is(t, s.ReplaceMaterial(ctx, "external", 1, []byte("imported"), func(v *Version) { v.ObjectID = []byte("noted") }, t0), ErrState)
		ok(t, s.SettleObject(ctx, []byte("noted")))
	}
	is(t, s.InsertImportKey(ctx, anImportKey("given up")), ErrState)
	likeFile(t, s)
}

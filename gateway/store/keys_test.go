package store

import (
	"fmt"
	"testing"
	"time"
)

func TestKeyComesBackAsStored(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		in := aKey("k")
		ok(t, s.InsertKey(t.Context(), in))
		in.Versions[0].PublicKey[0] = 'X' // the store keeps a copy
		in.Description = "changed"

		want := aKey("k")
		want.CreatedAt = t0.Truncate(time.Microsecond)
		want.Versions[0].CreatedAt, want.Versions[0].CurrentAt = want.CreatedAt, want.CreatedAt
		got, found := s.Key(home, "k")
		if !found {
			t.Fatal("not found")
		}
		equal(t, got, want)
		fromFile, _ := openAgain(t, s).Key(home, "k")
		equal(t, fromFile, want)
		if _, found := s.Key(home, "other"); found {
			t.Error("found a key that is not there")
		}
	})
}

func TestInsertKeyRefuses(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ok(t, s.InsertKey(t.Context(), aKey("a")))
		change := func(id string, f func(*Key)) *Key { k := aKey(id); f(k); return k }

		is(t, s.InsertKey(t.Context(), aKey("a")), ErrExists)
		is(t, s.InsertKey(t.Context(), change("b", func(k *Key) { k.Versions[0].ObjectID = []byte("object of a") })), ErrExists)
		is(t, s.InsertKey(t.Context(), change("b", func(k *Key) { k.Versions = nil })), ErrInvalid)
		is(t, s.InsertKey(t.Context(), change("b", func(k *Key) { k.Versions[0].PublicKey = nil })), ErrInvalid)
		is(t, s.InsertKey(t.Context(), change("b", func(k *Key) { k.Versions[0].ObjectID = nil })), ErrInvalid)
		is(t, s.InsertKey(t.Context(), change("b", func(k *Key) { k.Versions[0].Number = 0 })), ErrInvalid)
		is(t, s.InsertKey(t.Context(), change("b", func(k *Key) { k.Versions = append(k.Versions, k.Versions[0]) })), ErrExists)
		is(t, s.InsertKey(t.Context(), change("b", func(k *Key) { k.State = "Sleeping" })), ErrInvalid)
		is(t, s.InsertKey(t.Context(), change("b", func(k *Key) { k.State = StatePendingDeletion })), ErrInvalid)
		is(t, s.InsertKey(t.Context(), change("b", func(k *Key) { k.DeletionAt = t0 })), ErrInvalid)
		is(t, s.InsertKey(t.Context(), change("", func(*Key) {})), ErrInvalid)
		equal(t, s.KeyCount(), 1)
		ok(t, s.InsertKey(t.Context(), aKey("b")))
	})
}

func TestKeysInPages(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		keys, more := s.Keys(home, "", 10)
		equal(t, ids(keys), []string{})
		equal(t, more, false)

		for _, id := range []string{"d", "b", "e", "a", "c"} {
			ok(t, s.InsertKey(t.Context(), aKey(id)))
		}
		for _, c := range []struct {
			after string
			limit int
			want  []string
			more  bool
		}{
			{"", 10, []string{"a", "b", "c", "d", "e"}, false},
			{"", 5, []string{"a", "b", "c", "d", "e"}, false},
			{"", 4, []string{"a", "b", "c", "d"}, true},
			{"b", 2, []string{"c", "d"}, true},
			{"bb", 2, []string{"c", "d"}, true}, // the key of the marker was deleted meanwhile
			{"d", 2, []string{"e"}, false},
			{"e", 2, []string{}, false},
			{"z", 2, []string{}, false},
			{"", 0, []string{}, true},
			{"", -1, []string{}, true},
		} {
			keys, more := s.Keys(home, c.after, c.limit)
			equal(t, ids(keys), c.want)
			equal(t, more, c.more)
		}
		keys, _ = s.Keys(home, "", 5)
		keys[0] = nil // a page is the caller's own
		again, _ := s.Keys(home, "", 5)
		equal(t, ids(again), []string{"a", "b", "c", "d", "e"})
	})
}

func TestCreationIsAnIntentUntilActivated(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ok(t, s.InsertKey(t.Context(), anIntent("k")))
		if _, found := s.Key(home, "k"); found || s.KeyCount() != 0 {
			t.Error("a key that has no token object yet can be used")
		}
		equal(t, ids(s.Creating()), []string{"k"})
		equal(t, ids(openAgain(t, s).Creating()), []string{"k"})
		equal(t, string(s.Creating()[0].Versions[0].ObjectID), "object of k")

		v := aKey("k").Versions[0]
		is(t, s.ActivateKey(t.Context(), home, "k", Version{Number: 1, ObjectID: v.ObjectID, CreatedAt: t0}), ErrInvalid)
		is(t, s.ActivateKey(t.Context(), home, "other", v), ErrNotFound)
		is(t, s.SetKeyState(t.Context(), home, "k", StateEnabled, time.Time{}), ErrState)
		ok(t, s.ActivateKey(t.Context(), home, "k", v))
		is(t, s.ActivateKey(t.Context(), home, "k", v), ErrState)
		k, found := s.Key(home, "k")
		if !found || k.State != StateEnabled || string(k.Versions[0].PublicKey) != "public key of k" || len(k.Versions) != 1 {
			t.Errorf("activated: %+v", k)
		}
		equal(t, len(s.Creating()), 0)
	})
}

func TestFailedCreationLeavesATombstone(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ok(t, s.InsertKey(t.Context(), anIntent("k")))
		ok(t, s.DeleteKey(t.Context(), home, "k"))
		equal(t, len(s.Creating()), 0)
		equal(t, ids(s.Undestroyed()), []string{"k"})
		ok(t, s.MarkDestroyed(t.Context(), "k", t0))
		equal(t, len(s.Undestroyed()), 0)
		is(t, s.InsertKey(t.Context(), aKey("k")), ErrExists)
		is(t, s.ActivateKey(t.Context(), home, "k", aKey("k").Versions[0]), ErrNotFound)
	})
}

func TestSetKeyState(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 1)
		set := func(state string, at time.Time, from ...string) error {
			return s.SetKeyState(t.Context(), home, "key-000", state, at, from...)
		}
		before, _ := s.Key(home, "key-000")
		ok(t, set(StateDisabled, time.Time{}, StateEnabled))
		now, _ := s.Key(home, "key-000")
		equal(t, now.State, StateDisabled)
		equal(t, before.State, StateEnabled) // what a request holds does not change under it

		// What was decided on an older state is refused.
		is(t, set(StateDisabled, time.Time{}, StateEnabled), ErrState)
		ok(t, set(StatePendingDeletion, t0, StateEnabled, StateDisabled))
		is(t, set(StateDisabled, time.Time{}, StateEnabled, StateDisabled), ErrState)

		is(t, set(StatePendingDeletion, time.Time{}), ErrInvalid)
		is(t, set(StateEnabled, t0), ErrInvalid)
		is(t, set(StateCreating, time.Time{}), ErrInvalid)
		is(t, set(StateDeleted, time.Time{}), ErrInvalid)
		is(t, set("", time.Time{}), ErrInvalid)
		is(t, s.SetKeyState(t.Context(), home, "other", StateEnabled, time.Time{}), ErrNotFound)
		is(t, s.MarkDestroyed(t.Context(), "key-000", t0), ErrState)

		now, _ = s.Key(home, "key-000")
		equal(t, now.DeletionAt, t0.Truncate(time.Microsecond))
		ok(t, set(StateDisabled, time.Time{}, StatePendingDeletion))
		now, _ = s.Key(home, "key-000")
		equal(t, now.DeletionAt, time.Time{})
	})
}

func TestDeletionAtItsDate(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 4)
		due := t0.Add(7 * 24 * time.Hour)
		for _, id := range []string{"key-000", "key-001", "key-002"} {
			ok(t, s.SetKeyState(t.Context(), home, id, StatePendingDeletion, due))
		}
		ok(t, s.SetKeyState(t.Context(), home, "key-002", StatePendingDeletion, due.Add(time.Hour)))
		equal(t, len(s.DueDeletions(due.Add(-time.Second))), 0)
		equal(t, ids(s.DueDeletions(due)), []string{"key-000", "key-001"})

		is(t, s.DeleteDueKey(t.Context(), home, "key-000", due.Add(-time.Second)), ErrState)
		is(t, s.DeleteDueKey(t.Context(), home, "key-003", due), ErrState)
		ok(t, s.SetKeyState(t.Context(), home, "key-001", StateDisabled, time.Time{})) // cancelled in between
		is(t, s.DeleteDueKey(t.Context(), home, "key-001", due), ErrState)
		is(t, s.DeleteDueKey(t.Context(), home, "other", due), ErrNotFound)

		ok(t, s.DeleteDueKey(t.Context(), home, "key-000", due))
		ok(t, s.DeleteDueKey(t.Context(), home, "key-000", due)) // again, after a crash
		if _, found := s.Key(home, "key-000"); found {
			t.Error("a deleted key can be used")
		}
		keys, _ := s.Keys(home, "", 10)
		equal(t, ids(keys), []string{"key-001", "key-002", "key-003"})
		equal(t, ids(s.Undestroyed()), []string{"key-000"})
		equal(t, string(s.Undestroyed()[0].Versions[0].ObjectID), "object of key-000")
		is(t, s.SetKeyState(t.Context(), home, "key-000", StateEnabled, time.Time{}), ErrNotFound)

		ok(t, s.MarkDestroyed(t.Context(), "key-000", due))
		equal(t, len(s.Undestroyed()), 0)
		equal(t, ids(s.Deleted()), []string{"key-000"})
		// Neither the id nor the object id comes back, in this process or the next.
		for _, o := range []*Store{s, openAgain(t, s)} {
			is(t, o.InsertKey(t.Context(), aKey("key-000")), ErrExists)
			k := aKey("new")
			k.Versions[0].ObjectID = []byte("object of key-000")
			is(t, o.InsertKey(t.Context(), k), ErrExists)
		}
	})
}

func TestDeletingAKeyDeletesItsAliases(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 2)
		for i := range 6 {
			ok(t, s.CreateAlias(t.Context(), &Alias{Region: home, Name: fmt.Sprintf("alias/%d", i), KeyID: fmt.Sprintf("key-%03d", i%2), CreatedAt: t0}))
		}
		ok(t, s.DeleteKey(t.Context(), home, "key-000"))
		list, _ := s.Aliases(home, "", "", 10)
		equal(t, names(list), []string{"alias/1", "alias/3", "alias/5"})
		equal(t, s.AliasCount(home, "key-000"), 0)
		if _, found := s.Alias(home, "alias/0"); found {
			t.Error("the alias of a deleted key is left")
		}
		is(t, s.CreateAlias(t.Context(), &Alias{Region: home, Name: "alias/0", KeyID: "key-000", CreatedAt: t0}), ErrNotFound)
		ok(t, s.CreateAlias(t.Context(), &Alias{Region: home, Name: "alias/0", KeyID: "key-001", CreatedAt: t0}))
	})
}

package store

import (
	"errors"
	"testing"
	"time"
)

// anExternalKey waits for its material.
func anExternalKey(id string) *Key {
	k := aKey(id)
	k.State, k.Origin, k.Versions = StatePendingImport, OriginExternal, nil
	return k
}

// material is a version of imported material.
func material(object string, number int, from, expires time.Time) Version {
	v := aVersion(object, number)
	v.CurrentAt, v.ExpiresAt = from, expires
	return v
}

// TestMaterial: the state follows the material, objects that are replaced are
// doomed, and a change that was overtaken is refused.
func TestMaterial(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx, now := t.Context(), t0
	ok(t, s.InsertKey(ctx, anExternalKey("k")))
	state := func(want string) {
		t.Helper()
		k, _ := s.Key(home, "k")
		if got := k.StateAt(now); got != want {
			t.Errorf("the key is %s, want %s", got, want)
		}
		likeFile(t, s)
	}
	doomed := func(want ...string) {
		t.Helper()
		var got []string
		for _, o := range s.Pending() {
			if !o.Doomed {
				t.Errorf("%s is not doomed", o.ObjectID)
			}
			got = append(got, string(o.ObjectID))
		}
		equal(t, got, want)
	}
	refused := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	state(StatePendingImport)
	ok(t, s.PendObject(ctx, PendingObject{ObjectID: []byte("a"), KeyID: "k", Number: 1, Since: t0}))
	ok(t, s.AddMaterial(ctx, "k", material("a", 1, t0, t0.Add(time.Hour)), now))
	state(StateEnabled)
	doomed()
	refused(s.AddMaterial(ctx, "k", material("b", 1, t0, time.Time{}), now), ErrExists)
	refused(s.AddMaterial(ctx, "none", material("b", 1, t0, time.Time{}), now), ErrNotFound)

	now = t0.Add(time.Hour) // expired, whoever wrote it down
	state(StatePendingImport)
	ok(t, s.ReplaceMaterial(ctx, "k", 1, []byte("a"), func(v *Version) { v.ObjectID, v.ExpiresAt = nil, time.Time{} }, now))
	doomed("a")
	refused(s.ReplaceMaterial(ctx, "k", 1, []byte("a"), func(*Version) {}, now), ErrState)
	claim(t, s, "c")
	ok(t, s.ReplaceMaterial(ctx, "k", 1, nil, func(v *Version) { v.ObjectID = []byte("c") }, now))
	state(StateEnabled)

	ok(t, s.SetKeyState(ctx, home, "k", StateDisabled, time.Time{}))
	claim(t, s, "d")
	ok(t, s.ReplaceMaterial(ctx, "k", 1, []byte("c"), func(v *Version) { v.ObjectID = []byte("d") }, now))
	state(StateDisabled) // only another date
	ok(t, s.ReplaceMaterial(ctx, "k", 1, []byte("d"), func(v *Version) { v.ObjectID = nil }, now))
	state(StatePendingImport)
	claim(t, s, "e")
	ok(t, s.ReplaceMaterial(ctx, "k", 1, nil, func(v *Version) { v.ObjectID = []byte("e") }, now))
	state(StateEnabled)
	doomed("a", "c", "d")

	claim(t, s, "f")
	ok(t, s.AddMaterial(ctx, "k", material("f", 2, time.Time{}, time.Time{}), now))
	ok(t, s.ReplaceMaterial(ctx, "k", 1, []byte("e"), func(v *Version) { v.ObjectID = nil }, now))
	state(StatePendingImport)
	ok(t, s.ReplaceMaterial(ctx, "k", 2, []byte("f"), func(v *Version) { v.CurrentAt = now.Add(time.Hour) }, now))
	state(StatePendingImport)
	now = now.Add(time.Hour)
	state(StateEnabled) // it has begun
	refused(s.DropMaterial(ctx, "k", 1, nil, now), ErrState)
	refused(s.DropMaterial(ctx, "k", 2, []byte("e"), now), ErrState)
	refused(s.DropMaterial(ctx, "k", 2, []byte("f"), now), ErrState) // it is the one that is used
	ok(t, s.DropMaterial(ctx, "k", 2, []byte("f"), now.Add(-time.Minute)))
	doomed("a", "c", "d", "e", "f")

	ok(t, s.SetKeyState(ctx, home, "k", StatePendingDeletion, now))
	claim(t, s, "g")
	ok(t, s.ReplaceMaterial(ctx, "k", 1, nil, func(v *Version) { v.ObjectID = []byte("g") }, now))
	state(StatePendingDeletion)
	ok(t, s.DeleteKey(ctx, home, "k"))
	refused(s.ReplaceMaterial(ctx, "k", 1, []byte("g"), func(*Version) {}, now), ErrNotFound)
}

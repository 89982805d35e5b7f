package store

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// versionOf is a version of a key as memory has it.
func versionOf(t testing.TB, s *Store, id string, number int) Version {
	t.Helper()
	k, found := s.Key(home, id)
	if !found {
		t.Fatalf("there is no key %s", id)
	}
	v, found := k.Version(number)
	if !found {
		t.Fatalf("key %s has no version %d", id, number)
	}
	return v
}

func TestAddVersion(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 1)
		ok(t, s.InsertReplica(t.Context(), aReplica("key-000")))
		ok(t, s.PendObject(t.Context(), PendingObject{ObjectID: []byte("second"), KeyID: "key-000", Number: 2, Since: t0}))
		ok(t, s.AddVersion(t.Context(), "key-000", aVersion("second", 2), t0.Add(time.Hour)))
		is(t, s.AddVersion(t.Context(), "key-000", aVersion("third", 2), t0), ErrExists)
		is(t, s.AddVersion(t.Context(), "key-000", aVersion("second", 3), t0), ErrExists)
		is(t, s.AddVersion(t.Context(), "key-000", aVersion("third", 0), t0), ErrInvalid)
		is(t, s.AddVersion(t.Context(), "other", aVersion("third", 1), t0), ErrNotFound)
		equal(t, len(s.Pending()), 0)
		for _, k := range s.Members("key-000") { // what one region rotates, all have
			equal(t, len(k.Versions), 2)
			equal(t, k.NextRotation, stored(t0.Add(time.Hour)))
		}
		equal(t, versionOf(t, s, "key-000", 2), aVersion("second", 2).stored())
		k, _ := s.Key(home, "key-000")
		if v, current := k.Current(t0); !current || v.Number != 2 {
			t.Errorf("the current version is %+v", v)
		}
	})
}

// A version that is used, or was, is never taken back.
func TestDropVersion(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 1)
		claim(t, s, "second")
		v := aVersion("second", 2)
		v.CurrentAt = t0.Add(time.Hour)
		ok(t, s.AddVersion(t.Context(), "key-000", v, time.Time{}))
		for _, late := range []time.Duration{time.Hour, 2 * time.Hour} {
			is(t, s.DropVersion(t.Context(), "key-000", 2, time.Time{}, t0.Add(late)), ErrState)
		}
		equal(t, versionOf(t, s, "key-000", 2), v.stored())
		ok(t, s.DropVersion(t.Context(), "key-000", 2, time.Time{}, t0.Add(time.Hour-time.Second)))
		equal(t, len(s.Pending()), 1)
	})
}

// Of processes that rotate a key at the same time, one gets to make the object.
func TestOneProcessClaimsAVersion(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 1)
		stores := []*Store{s, openAgain(t, s), openAgain(t, s)}
		for number := 2; number < 8; number++ {
			won := make(chan int, len(stores))
			var wg sync.WaitGroup
			for i, o := range stores {
				wg.Go(func() {
					err := o.PendObject(t.Context(), PendingObject{ObjectID: fmt.Appendf(nil, "%d of %d", number, i), KeyID: "key-000", Number: number, Owner: fmt.Sprint(i), Since: t0})
					if err == nil {
						won <- i
						return
					}
					if !errors.Is(err, ErrExists) {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			close(won)
			equal(t, len(won), 1)
			winner := <-won
			ok(t, stores[winner].AddVersion(t.Context(), "key-000", aVersion(fmt.Sprintf("%d of %d", number, winner), number), time.Time{}))
			is(t, stores[(winner+1)%3].AddVersion(t.Context(), "key-000", aVersion("late", number), time.Time{}), ErrExists)
		}
		ok(t, s.follow(t.Context()))
		equal(t, len(s.Members("key-000")[0].Versions), 7)
	})
}

func TestPendingObjects(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 1)
		o := PendingObject{ObjectID: []byte{0, 1, 0xff}, Token: "token", KeyID: "key-000", Number: 2, Owner: "me", Since: t0}
		ok(t, s.PendObject(t.Context(), o))
		is(t, s.PendObject(t.Context(), o), ErrExists)
		is(t, s.PendObject(t.Context(), PendingObject{Since: t0}), ErrInvalid)
		o.Since = stored(t0)
		equal(t, *s.Pending()[0], o)
		for id, known := range map[string]bool{string(o.ObjectID): true, "other": false} {
			doomed, err := s.DoomObject(t.Context(), []byte(id))
			ok(t, err)
			equal(t, doomed, known)
		}
		o.Doomed, o.Number = true, 0
		equal(t, *s.Pending()[0], o)
		ok(t, s.PendObject(t.Context(), PendingObject{ObjectID: []byte("next"), KeyID: "key-000", Number: 2, Since: t0})) // the claim has ended
		ok(t, s.PendObject(t.Context(), PendingObject{ObjectID: []byte("no version"), KeyID: "key-000", Since: t0}))
		ok(t, s.PendObject(t.Context(), PendingObject{ObjectID: []byte("none either"), KeyID: "key-000", Since: t0}))
		for _, id := range []string{string(o.ObjectID), "next", "no version", "other"} {
			ok(t, s.SettleObject(t.Context(), []byte(id)))
		}
		equal(t, len(s.Pending()), 1)
	})
}

// Material that a version no longer names is to be destroyed, and is noted as
// such in the same transaction.
func TestSetVersionDoomsWhatItReplaces(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		k := aKey("k")
		k.Origin, k.Token = OriginExternal, "token"
		ok(t, s.InsertKey(t.Context(), k))
		gone := k.Versions[0]
		gone.ObjectID, gone.ExpiresAt = nil, time.Time{}
		ok(t, s.SetVersion(t.Context(), "k", gone, t0))
		equal(t, *s.Pending()[0], PendingObject{ObjectID: []byte("object of k"), Token: "token", KeyID: "k", Since: stored(t0), Doomed: true})
		equal(t, versionOf(t, s, "k", 1).ObjectID, nil)
		if now, _ := s.Key(home, "k"); now != nil {
			if _, has := now.Current(t0); has {
				t.Error("material that is gone is current")
			}
		}

		ok(t, s.PendObject(t.Context(), PendingObject{ObjectID: []byte("again"), KeyID: "k", Since: t0}))
		back := gone
		back.ObjectID, back.ExpiresAt = []byte("again"), t0.Add(time.Hour)
		ok(t, s.SetVersion(t.Context(), "k", back, t0))
		equal(t, len(s.Pending()), 1) // the claim has ended, the doom has not
		equal(t, versionOf(t, s, "k", 1), back.stored())
		ok(t, s.SetVersion(t.Context(), "k", back, t0)) // the same again dooms nothing
		equal(t, len(s.Pending()), 1)
		is(t, s.SetVersion(t.Context(), "k", aVersion("x", 2), t0), ErrNotFound)
		is(t, s.SetVersion(t.Context(), "other", back, t0), ErrNotFound)
	})
}

// Uses are never counted twice or lost, whichever process sets them aside.
func TestReserveUses(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 1)
		stores := []*Store{s, openAgain(t, s)}
		var mu sync.Mutex
		seen := map[uint64]bool{}
		var wg sync.WaitGroup
		for _, o := range stores {
			wg.Go(func() {
				for range 10 {
					before, err := o.ReserveUses(t.Context(), "key-000", 1, 5, 100)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					if seen[before] {
						t.Errorf("%d was given out twice", before)
					}
					seen[before] = true
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		ok(t, s.follow(t.Context()))
		equal(t, versionOf(t, s, "key-000", 1).Uses, uint64(100))
		_, err := s.ReserveUses(t.Context(), "key-000", 1, 1, 100)
		is(t, err, ErrInvalid)
		_, err = s.ReserveUses(t.Context(), "key-000", 2, 1, 100)
		is(t, err, ErrNotFound)
		equal(t, versionOf(t, s, "key-000", 1).Uses, uint64(100))
	})
}

func TestReplicas(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		multi := aKey("mrk-1")
		multi.MultiRegion, multi.PrimaryRegion = true, home
		ok(t, s.InsertKey(t.Context(), multi))
		ok(t, s.InsertReplica(t.Context(), aReplica("mrk-1")))
		is(t, s.InsertReplica(t.Context(), aReplica("mrk-1")), ErrExists)
		is(t, s.InsertReplica(t.Context(), aReplica("other")), ErrNotFound)
		is(t, s.InsertKey(t.Context(), aReplica("mrk-1")), ErrExists)
		regions := func() (out []string) {
			for _, k := range s.Members("mrk-1") {
				out = append(out, k.Region+" "+k.State)
			}
			return out
		}
		equal(t, regions(), []string{"elsewhere Enabled", home + " Enabled"})
		keys, _ := s.Keys("elsewhere", "", 10)
		equal(t, ids(keys), []string{"mrk-1"})
		equal(t, keys[0].Versions, s.Members("mrk-1")[0].Versions)

		is(t, s.SetPrimaryRegion(t.Context(), "mrk-1", "nowhere"), ErrNotFound)
		ok(t, s.SetPrimaryRegion(t.Context(), "mrk-1", "elsewhere"))
		equal(t, s.Members("mrk-1")[0].PrimaryRegion, "elsewhere")
		ok(t, s.SetPrimaryRegion(t.Context(), "mrk-1", home))

		// The primary waits until its replicas are gone, and only then the material goes.
		is(t, s.AwaitReplicas(t.Context(), home, "mrk-1", 7, StateDisabled), ErrState)
		ok(t, s.AwaitReplicas(t.Context(), home, "mrk-1", 7, StateEnabled))
		equal(t, regions(), []string{"elsewhere Enabled", home + " PendingReplicaDeletion"})
		equal(t, s.Members("mrk-1")[1].PendingDays, 7)
		ok(t, s.DeleteKey(t.Context(), "elsewhere", "mrk-1"))
		equal(t, len(s.Undestroyed()), 0)
		is(t, s.MarkDestroyed(t.Context(), "mrk-1", t0), ErrState)
		is(t, s.Claim(t.Context(), "mrk-1", "me", t0), ErrState)
		ok(t, s.SetKeyState(t.Context(), home, "mrk-1", StatePendingDeletion, t0))
		equal(t, s.Members("mrk-1")[1].PendingDays, 0)
		ok(t, s.DeleteDueKey(t.Context(), home, "mrk-1", t0))
		equal(t, ids(s.Undestroyed()), []string{"mrk-1"})
		ok(t, s.MarkDestroyed(t.Context(), "mrk-1", t0))
		equal(t, len(s.Undestroyed()), 0)
		equal(t, len(s.Deleted()), 2)
		is(t, s.InsertReplica(t.Context(), aReplica("mrk-1")), ErrNotFound)
	})
}

func TestTagsAndDescription(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 1)
		ok(t, s.InsertReplica(t.Context(), aReplica("key-000")))
		ok(t, s.ChangeTags(t.Context(), home, "key-000", toTags([]Tag{{"b", ""}, {"Ä", "ü"}, {"a", "1"}, {"B", "2"}})))
		k, _ := s.Key(home, "key-000")
		equal(t, k.Tags, []Tag{{"B", "2"}, {"a", "1"}, {"b", ""}, {"Ä", "ü"}})
		other, _ := s.Key("elsewhere", "key-000")
		equal(t, len(other.Tags), 0)
		is(t, s.ChangeTags(t.Context(), home, "key-000", toTags([]Tag{{"a", "1"}, {"a", "2"}})), ErrExists)
		is(t, s.ChangeTags(t.Context(), home, "key-000", toTags([]Tag{{"", "1"}})), ErrInvalid)
		is(t, s.ChangeTags(t.Context(), home, "key-000", toTags([]Tag{{"a", "\x00"}})), ErrInvalid)
		is(t, s.ChangeTags(t.Context(), home, "other", toTags(nil)), ErrNotFound)
		is(t, s.ChangeDescription(t.Context(), home, "key-000", toText("a\x00b")), ErrInvalid)
		nul := aKey("nul")
		nul.Description = "\x00"
		is(t, s.InsertKey(t.Context(), nul), ErrInvalid)
		ok(t, s.ChangeDescription(t.Context(), home, "key-000", toText("neu: ü")))
		k, _ = s.Key(home, "key-000")
		equal(t, []any{k.Description, len(k.Tags)}, []any{"neu: ü", 4})
		ok(t, s.ChangeTags(t.Context(), home, "key-000", toTags(nil)))
		k, _ = s.Key(home, "key-000")
		equal(t, len(k.Tags), 0)
	})
}

func TestRotation(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 1)
		is(t, s.SetRotation(t.Context(), "key-000", 90, time.Time{}), ErrInvalid)
		is(t, s.SetRotation(t.Context(), "key-000", 0, t0), ErrInvalid)
		is(t, s.SetRotation(t.Context(), "key-000", -1, t0), ErrInvalid)
		is(t, s.SetRotation(t.Context(), "other", 90, t0), ErrNotFound)
		ok(t, s.SetRotation(t.Context(), "key-000", 90, t0))
		k, _ := s.Key(home, "key-000")
		equal(t, []any{k.RotationDays, k.NextRotation}, []any{90, stored(t0)})
		ok(t, s.SetRotation(t.Context(), "key-000", 0, time.Time{}))
	})
}

func TestImportKeys(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 1)
		ok(t, s.PendObject(t.Context(), PendingObject{ObjectID: []byte("wrapping a"), KeyID: "key-000", Since: t0}))
		ok(t, s.InsertImportKey(t.Context(), anImportKey("a")))
		is(t, s.InsertImportKey(t.Context(), anImportKey("a")), ErrExists)
		is(t, s.InsertImportKey(t.Context(), anImportKey("b")), ErrState) // nobody claims its object
		ok(t, s.PendObject(t.Context(), PendingObject{ObjectID: []byte("wrapping b"), KeyID: "key-000", Since: t0}))
		ok(t, s.InsertImportKey(t.Context(), anImportKey("b")))
		twin := anImportKey("c")
		twin.ObjectID = []byte("wrapping a")
		is(t, s.InsertImportKey(t.Context(), twin), ErrExists)
		lost := anImportKey("c")
		lost.KeyID = "other"
		is(t, s.InsertImportKey(t.Context(), lost), ErrNotFound)
		equal(t, len(s.Pending()), 0)
		want := anImportKey("a")
		want.ExpiresAt = stored(t0)
		got, _ := s.ImportKey("a")
		equal(t, got, want)
		equal(t, len(s.ImportKeys()), 2)
		ok(t, s.DeleteImportKey(t.Context(), "a", t0))
		ok(t, s.DeleteImportKey(t.Context(), "a", t0))
		if _, found := s.ImportKey("a"); found {
			t.Error("a deleted pair is there")
		}
		equal(t, *s.Pending()[0], PendingObject{ObjectID: []byte("wrapping a"), KeyID: "key-000", Since: stored(t0), Doomed: true})
	})
}

func TestLastUses(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 2)
		other := openAgain(t, s)
		use := func(key, request string, at time.Duration) LastUse {
			return LastUse{home, key, "Sign", request, t0.Add(at)}
		}
		ok(t, s.SetLastUses(t.Context(), []LastUse{use("key-000", "2", 2), use("key-000", "1", time.Second), use("key-001", "1", 0), use("other", "1", 0)}))
		ok(t, other.SetLastUses(t.Context(), []LastUse{use("key-000", "old", 0), use("key-001", "new", time.Minute)}))
		ok(t, s.follow(t.Context()))
		for key, want := range map[string]string{"key-000": "1", "key-001": "new"} {
			u, found := s.LastUse(home, key)
			if !found || u.RequestID != want {
				t.Errorf("%s: %+v, want %s", key, u, want)
			}
		}
		if _, found := s.LastUse(home, "other"); found {
			t.Error("a key that is not there was used")
		}
	})
}

func TestDisconnected(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		other := openAgain(t, s)
		equal(t, s.Disconnected("a"), false)
		ok(t, s.SetDisconnected(t.Context(), "a", true, t0))
		ok(t, s.SetDisconnected(t.Context(), "a", true, t0.Add(time.Hour)))
		is(t, s.SetDisconnected(t.Context(), "", true, t0), ErrInvalid)
		ok(t, other.follow(t.Context()))
		equal(t, []bool{other.Disconnected("a"), other.Disconnected("b")}, []bool{true, false})
		ok(t, other.SetDisconnected(t.Context(), "a", false, t0))
		ok(t, other.SetDisconnected(t.Context(), "a", false, t0))
		ok(t, s.follow(t.Context()))
		equal(t, s.Disconnected("a"), false)
	})
}

// What a process makes or destroys is its own for a time.
func TestClaims(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		intent := func(id, owner string) {
			k := anIntent(id)
			k.Owner, k.OwnedAt = owner, t0
			ok(t, s.InsertKey(t.Context(), k))
		}
		for id, owner := range map[string]string{"mine": "me", "theirs": "them", "old": "them", "done": "them", "nobody's": ""} {
			intent(id, owner)
		}
		other := openAgain(t, s)
		ok(t, other.ActivateKey(t.Context(), home, "done", aKey("done").Versions[0])) // what s has not heard of
		abandon := func(id string, after time.Duration) error {
			return s.AbandonKey(t.Context(), home, id, "me", t0.Add(after))
		}
		ok(t, abandon("mine", 0))
		ok(t, abandon("nobody's", 0))
		is(t, abandon("theirs", ClaimFor-time.Second), ErrClaimed)
		is(t, abandon("done", 2*ClaimFor), ErrState)
		ok(t, abandon("old", ClaimFor))
		is(t, abandon("mine", 0), ErrNotFound)
		equal(t, ids(s.Creating()), []string{"theirs"})
		equal(t, ids(s.Undestroyed()), []string{"mine", "nobody's", "old"})
		done, _ := s.Key(home, "done")
		equal(t, []any{done.Owner, done.OwnedAt}, []any{"", time.Time{}})

		// The tombstone is claimed by who made it.
		is(t, other.Claim(t.Context(), "mine", "them", t0), ErrClaimed)
		ok(t, other.Claim(t.Context(), "mine", "me", t0))
		ok(t, other.Claim(t.Context(), "mine", "them", t0.Add(2*ClaimFor)))
		is(t, s.Claim(t.Context(), "mine", "me", t0), ErrClaimed)
		ok(t, other.MarkDestroyed(t.Context(), "mine", t0))
		is(t, s.Claim(t.Context(), "mine", "me", t0.Add(9*ClaimFor)), ErrState)
		is(t, s.Claim(t.Context(), "done", "me", t0), ErrState)
		is(t, s.Claim(t.Context(), "none", "me", t0), ErrNotFound)
		ok(t, s.follow(t.Context()))
		gone, _ := s.mem.key(home, "mine")
		equal(t, gone.Owner, "")
	})
}

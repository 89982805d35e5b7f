package store

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func aCounted(id, key, to string, uses int64) *Grant {
	g := aGrant(id, key, to)
	g.Uses, g.UsesLeft = uses, &uses
	g.Expires = t0.Add(time.Hour)
	return g
}

func left(t testing.TB, s *Store, id string) int64 {
	t.Helper()
	g, there := s.Grant(id)
	if !there || g.UsesLeft == nil {
		t.Fatalf("%s: %+v", id, g)
	}
	return *g.UsesLeft
}

// TestUsesAreTakenOnce: of two processes, no two calls take the same use.
func TestUsesAreTakenOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 1)
		insertGrant(t, s, aCounted("g", "key-000", "arn:a", 10))
		other := openAgain(t, s)
		var taken, refused atomic.Int64
		var all sync.WaitGroup
		for i := range 24 {
			at := s
			if i%2 == 0 {
				at = other
			}
			all.Go(func() {
				switch err := at.UseGrants(t.Context(), t0, "g"); {
				case err == nil:
					taken.Add(1)
				case errors.Is(err, ErrUsedUp) && !errors.Is(err, ErrUnavailable): // or the caller would be told to try again
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if taken.Load() != 10 || refused.Load() != 14 {
			t.Errorf("%d taken, %d refused", taken.Load(), refused.Load())
		}
		for _, at := range []*Store{s, other, openAgain(t, s)} {
			ok(t, at.Follow(t.Context()))
			if n := left(t, at, "g"); n != 0 {
				t.Errorf("%d left", n)
			}
			if g, _ := at.Grant("g"); g.Uses != 10 || !g.UsedAt.Equal(stored(t0)) || !g.Expires.Equal(stored(t0.Add(time.Hour))) {
				t.Errorf("%+v", g)
			}
			if _, to := at.Access(home, "key-000", "arn:a"); len(to) != 1 || *to[0].UsesLeft != 0 {
				t.Errorf("a decision gets %+v", to)
			}
		}
	})
}

// TestUsesOfTwoGrants are taken together or not at all.
func TestUsesOfTwoGrants(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 1)
		insertGrant(t, s, aCounted("one", "key-000", "arn:a", 2))
		insertGrant(t, s, aCounted("two", "key-000", "arn:a", 1))
		_, had := s.Access(home, "key-000", "arn:a")
		ok(t, s.UseGrants(t.Context(), t0, "one", "two"))
		is(t, s.UseGrants(t.Context(), t0, "one", "two"), ErrUsedUp)
		is(t, s.UseGrants(t.Context(), t0, "one", "none"), ErrNotFound)
		equal(t, []int64{left(t, s, "one"), left(t, s, "two")}, []int64{1, 0})
		equal(t, []int64{*had[0].UsesLeft, *had[1].UsesLeft}, []int64{2, 1}) // what a decision has got stays
		open := aGrant("open", "key-000", "arn:a")
		insertGrant(t, s, open)
		is(t, s.UseGrants(t.Context(), t0, "open"), ErrUsedUp) // its uses are not counted, so that there are none to take
	})
}

// TestSameGrantEnds: a grant that ends otherwise, or has ended, is another one.
func TestSameGrantEnds(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 1)
		insertGrant(t, s, aCounted("g", "key-000", "arn:a", 3))
		ok(t, s.UseGrants(t.Context(), t0, "g"))
		again := func(change func(*Grant)) string {
			g := aCounted("g", "key-000", "arn:a", 3)
			change(g)
			g.ID = "again"
			made, err := s.InsertGrant(t.Context(), g, 10)
			ok(t, err)
			if made.ID == "again" {
				ok(t, dropGrant(t.Context(), s, "again"))
			}
			return made.ID
		}
		equal(t, again(func(*Grant) {}), "g")
		equal(t, left(t, s, "g"), int64(2))
		equal(t, again(func(g *Grant) { g.Uses = 4 }), "again")
		equal(t, again(func(g *Grant) { g.Uses, g.UsesLeft = 0, nil }), "again")
		equal(t, again(func(g *Grant) { g.Expires = t0.Add(2 * time.Hour) }), "again")
		equal(t, again(func(g *Grant) { g.Expires = time.Time{} }), "again")
		for range 2 {
			ok(t, s.UseGrants(t.Context(), t0, "g"))
		}
		equal(t, again(func(*Grant) {}), "again") // that one allows nothing any more
		was, err := s.DeleteGrant(t.Context(), "g")
		ok(t, err)
		equal(t, *was.UsesLeft, int64(0))
	})
}

func TestEndedGrants(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	insertKeys(t, s, 1)
	insertGrant(t, s, aGrant("open", "key-000", "arn:a"))
	insertGrant(t, s, aCounted("expires", "key-000", "arn:a", 2))
	once := aCounted("once", "key-000", "arn:a", 1)
	once.Expires = time.Time{}
	insertGrant(t, s, once)
	ended := func(before time.Time) (ids []string) {
		for _, g := range s.EndedGrants(before) {
			ids = append(ids, g.ID)
		}
		return ids
	}
	equal(t, ended(stored(t0.Add(time.Hour))), []string(nil))
	equal(t, ended(t0.Add(time.Hour+1)), []string{"expires"})
	ok(t, s.UseGrants(t.Context(), t0, "once"))
	equal(t, ended(stored(t0)), []string(nil))
	equal(t, ended(t0.Add(1)), []string{"once"})
	ok(t, s.UseGrants(t.Context(), t0, "expires"))
	equal(t, ended(t0.Add(1)), []string{"once"})
}

package store

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// Readers, writers of this process, one of another, and Watch, all at once:
// every page is sorted, every alias leads to a key, and at the end memory is
// what the file is.
func TestManyAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		other := openAgain(t, s)
		s.Watch(t.Context())
		insertKeys(t, s, 1)
		done := make(chan struct{})
		var readers, writers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
						readAll(t, s)
					}
				}
			})
		}
		for w, store := range []*Store{s, s, s, other} {
			writers.Go(func() { writeSome(t, store, w) })
		}
		writers.Wait()
		close(done)
		readers.Wait()
		ok(t, s.follow(t.Context()))
		equal(t, s.KeyCount(), 1+4*8)
		equal(t, len(s.Principals()), 4)
		sameContents(t, s.mem, openAgain(t, s).mem)
	})
}

func readAll(t *testing.T, s *Store) {
	var seen []string
	for after, more := "", true; more; {
		var keys []*Key
		keys, more = s.Keys(home, after, 7)
		for _, k := range keys {
			seen = append(seen, k.ID)
			after = k.ID
			if k.State != StateEnabled && k.State != StateDisabled || len(k.Versions) != 1 {
				t.Errorf("%+v", k)
			}
		}
	}
	if !slices.IsSorted(seen) || len(slices.Compact(seen)) != len(seen) {
		t.Errorf("pages: %v", seen)
	}
	aliases, _ := s.Aliases(home, "", "", 1000)
	for _, a := range aliases {
		if a.KeyID == "" {
			t.Errorf("%+v", a)
		}
	}
	s.DueDeletions(t0)
	s.Creating()
	for _, p := range s.Principals() {
		s.Bearers(p.ARN)
	}
}

func writeSome(t *testing.T, s *Store, w int) {
	ctx := t.Context()
	steps := func(errs ...error) {
		for i, err := range errs {
			if err != nil {
				t.Errorf("writer %d step %d: %v", w, i, err)
			}
		}
	}
	who := fmt.Sprint("writer", w)
	steps(s.InsertPrincipal(ctx, aPrincipal(who)))
	for i := range 8 {
		id, gone := fmt.Sprintf("w%d-%02d", w, i), fmt.Sprintf("gone%d-%02d", w, i)
		steps(
			s.InsertKey(ctx, anIntent(id)),
			s.ActivateKey(ctx, home, id, aKey(id).Versions[0]),
			s.CreateAlias(ctx, &Alias{Region: home, Name: "alias/" + id, KeyID: id, CreatedAt: t0}),
			s.SetKeyState(ctx, home, id, StateDisabled, time.Time{}),
			s.UpdateAlias(ctx, home, "alias/"+id, "key-000", t0),
			s.InsertKey(ctx, anIntent(gone)),
			s.DeleteKey(ctx, home, gone),
			s.MarkDestroyed(ctx, gone, t0),
			s.SetPrincipalKeys(ctx, "arn:"+who, []string{id}),
			s.InsertBearer(ctx, aBearer(id, who)),
			s.DeleteBearer(ctx, id),
		)
		if i%2 == 0 {
			steps(s.DeleteAlias(ctx, home, "alias/"+id))
		}
	}
}

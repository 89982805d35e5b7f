package store

import (
	"context"
	"fmt"
	"testing"
)

func publishAs(ctx context.Context, s *Store, key string, p *Publication) error {
	return s.Publish(ctx, key, func(*Publication) (*Publication, error) { return p, nil })
}

// TestPublications: a name is of one key, and of none once the key is gone.
func TestPublications(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 3)
		ctx := t.Context()
		full := &Publication{Name: "release", Principal: "p", UserID: "u", Certificates: map[int][]byte{1: {0x98, 0}}, PublishedAt: t0}
		ok(t, publishAs(ctx, s, "key-000", full))
		ok(t, publishAs(ctx, s, "key-001", &Publication{Name: "old", PublishedAt: t0}))
		ok(t, publishAs(ctx, s, "key-001", &Publication{Name: "new", PublishedAt: t0}))
		is(t, publishAs(ctx, s, "key-001", &Publication{Name: "release", PublishedAt: t0}), ErrExists)
		is(t, publishAs(ctx, s, "none", &Publication{Name: "a", PublishedAt: t0}), ErrNotFound)
		for _, s := range []*Store{s, openAgain(t, s)} {
			k, found := s.Published("release")
			if !found || k.ID != "key-000" {
				t.Fatal(k)
			}
			equal(t, k.Publication, full.stored())
			if k, found := s.Published("new"); !found || k.ID != "key-001" || len(s.AllPublished()) != 2 {
				t.Error(k)
			}
			for _, name := range []string{"old", "", "key-000"} {
				if k, found := s.Published(name); found {
					t.Errorf("%q: %+v", name, k)
				}
			}
		}
		ok(t, publishAs(ctx, s, "key-000", nil))
		ok(t, publishAs(ctx, s, "key-002", full))
		if k, _ := s.Published("release"); k == nil || k.ID != "key-002" {
			t.Errorf("%+v", k)
		}
		likeFile(t, s)
	})
}

// TestPublicationsAreBounded so that strangers do not make the gateway look through more.
func TestPublicationsAreBounded(t *testing.T) {
	s := newStore(t)
	insertKeys(t, s, 2)
	ok(t, publishAs(t.Context(), s, "key-000", &Publication{Name: "a", PublishedAt: t0}))
	for i := range MaxPublications - 1 { // as other keys would have
		name := fmt.Sprint(i)
		s.mem.published[name] = name
		s.mem.lines[name] = []*Key{{ID: name, Region: "x", State: StateEnabled, Line: Line{Publication: &Publication{Name: name}}}}
	}
	is(t, publishAs(t.Context(), s, "key-001", &Publication{Name: "b", PublishedAt: t0}), ErrInvalid)
	ok(t, publishAs(t.Context(), s, "key-000", &Publication{Name: "b", PublishedAt: t0}))
	s.mem.lines["7"][0].State = StateDeleted // with its row, as by an earlier version
	ok(t, publishAs(t.Context(), s, "key-001", &Publication{Name: "c", PublishedAt: t0}))
	for i := range MaxPublications - 1 { // the file knows nothing of them
		delete(s.mem.published, fmt.Sprint(i))
		delete(s.mem.lines, fmt.Sprint(i))
	}
}

// TestDeletedKeyIsPublishedNoMore: its row goes with the key, in both databases.
func TestDeletedKeyIsPublishedNoMore(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 1)
		k := s.AllKeys()[0]
		ok(t, publishAs(t.Context(), s, k.ID, &Publication{Name: "release", PublishedAt: t0}))
		ok(t, s.DeleteKey(t.Context(), k.Region, k.ID))
		for _, s := range []*Store{s, openAgain(t, s)} {
			if n := len(s.mem.published); n != 0 {
				t.Errorf("%d publications are left", n)
			}
		}
		likeFile(t, s)
	})
}

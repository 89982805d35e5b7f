package store

import (
	"strings"
	"testing"
	"time"
)

func TestAliases(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 2)
		ok(t, s.InsertKey(t.Context(), anIntent("creating")))
		create := func(name, key string) error {
			return s.CreateAlias(t.Context(), &Alias{Region: home, Name: name, KeyID: key, CreatedAt: t0})
		}
		for _, name := range []string{"alias/c", "alias/a", "alias/b"} {
			ok(t, create(name, "key-000"))
		}
		is(t, create("alias/a", "key-001"), ErrExists)
		is(t, create("alias/d", "other"), ErrNotFound)
		is(t, create("alias/d", "creating"), ErrNotFound)
		is(t, create("a", "key-000"), ErrInvalid)
		is(t, create("alias/", "key-000"), ErrInvalid)

		at := t0.Truncate(time.Microsecond)
		a, _ := s.Alias(home, "alias/a")
		equal(t, *a, Alias{Region: home, Name: "alias/a", KeyID: "key-000", CreatedAt: at, UpdatedAt: at})

		is(t, s.UpdateAlias(t.Context(), home, "alias/x", "key-001", t0), ErrNotFound)
		is(t, s.UpdateAlias(t.Context(), home, "alias/b", "other", t0), ErrNotFound)
		ok(t, s.UpdateAlias(t.Context(), home, "alias/b", "key-001", t0.Add(time.Hour)))
		b, _ := s.Alias(home, "alias/b")
		equal(t, *b, Alias{Region: home, Name: "alias/b", KeyID: "key-001", CreatedAt: at, UpdatedAt: at.Add(time.Hour)})

		page := func(key, after string, limit int) []string {
			list, _ := s.Aliases(home, key, after, limit)
			return names(list)
		}
		equal(t, page("", "", 10), []string{"alias/a", "alias/b", "alias/c"})
		equal(t, page("", "alias/a", 1), []string{"alias/b"})
		equal(t, page("key-000", "", 10), []string{"alias/a", "alias/c"})
		equal(t, page("key-000", "alias/a", 10), []string{"alias/c"})
		equal(t, page("key-000", "alias/b", 10), []string{"alias/c"})
		equal(t, page("key-001", "", 10), []string{"alias/b"})
		equal(t, page("other", "", 10), []string{})
		_, more := s.Aliases(home, "key-000", "", 1)
		equal(t, more, true)
		equal(t, []int{s.AliasCount(home, "key-000"), s.AliasCount(home, "key-001"), s.AliasCount(home, "other")}, []int{2, 1, 0})

		ok(t, s.DeleteAlias(t.Context(), home, "alias/a"))
		is(t, s.DeleteAlias(t.Context(), home, "alias/a"), ErrNotFound)
		ok(t, s.UpdateAlias(t.Context(), home, "alias/c", "key-000", t0)) // to the key it has
		equal(t, page("key-000", "", 10), []string{"alias/c"})

		for _, c := range []struct{ from, to, left, after string }{ // alias/c names key-000, alias/b key-001
			{"key-001", "key-001", "alias/c", ""}, {"key-001", "", "alias/c", ""}, // changed since: it stays
			{"key-000", "key-001", "", "alias/b alias/c"}, {"key-001", "", "", "alias/b"}, {"key-001", "", "", "alias/b"},
		} {
			ok(t, s.RevertAlias(t.Context(), home, "alias/c", c.from, c.to, t0))
			if c.after == "" {
				c.after = "alias/b"
			}
			equal(t, []string{strings.Join(page("key-000", "", 10), " "), strings.Join(page("key-001", "", 10), " ")}, []string{c.left, c.after})
		}
	})
}

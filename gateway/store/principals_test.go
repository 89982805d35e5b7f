package store

import (
	"bytes"
	"testing"
	"time"
)

func aPrincipal(name string, keys ...string) *Principal {
	return &Principal{ARN: "arn:" + name, Name: name, Role: "user", Keys: keys, CreatedAt: t0}
}

func aBearer(id, of string) *Bearer {
	return &Bearer{ID: id, Hash: bytes.Repeat([]byte{7}, 32), PrincipalARN: "arn:" + of, CreatedAt: t0, ExpiresAt: t0.Add(time.Hour)}
}

func anAccessKey(id, of string) *AccessKey {
	return &AccessKey{ID: id, SealedSecret: []byte("sealed"), PrincipalARN: "arn:" + of, CreatedAt: t0}
}

func TestPrincipals(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 3)
		ok(t, s.InsertPrincipal(t.Context(), aPrincipal("b", "key-001", "key-000", "key-001")))
		ok(t, s.InsertPrincipal(t.Context(), aPrincipal("a")))
		is(t, s.InsertPrincipal(t.Context(), aPrincipal("a")), ErrExists)
		twin := aPrincipal("a")
		twin.ARN = "arn:other"
		is(t, s.InsertPrincipal(t.Context(), twin), ErrExists)
		is(t, s.InsertPrincipal(t.Context(), aPrincipal("c", "key-000", "other")), ErrNotFound)
		if _, found := s.Principal("arn:c"); found {
			t.Error("a refused principal is there")
		}

		b, _ := s.Principal("arn:b")
		equal(t, b.Keys, []string{"key-000", "key-001"})
		equal(t, b.CreatedAt, t0.Truncate(time.Microsecond))
		ok(t, s.SetPrincipalKeys(t.Context(), "arn:b", []string{"key-002"}))
		equal(t, b.Keys, []string{"key-000", "key-001"})
		b, _ = s.Principal("arn:b")
		equal(t, b.Keys, []string{"key-002"})
		is(t, s.SetPrincipalKeys(t.Context(), "arn:b", []string{"other"}), ErrNotFound)
		is(t, s.SetPrincipalKeys(t.Context(), "arn:c", nil), ErrNotFound)
		ok(t, s.SetPrincipalKeys(t.Context(), "arn:a", nil))

		list := s.Principals()
		equal(t, []string{list[0].Name, list[1].Name}, []string{"a", "b"})
		is(t, s.DeletePrincipal(t.Context(), "arn:c"), ErrNotFound)
	})
}

func TestCredentials(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		for _, name := range []string{"a", "b"} {
			ok(t, s.InsertPrincipal(t.Context(), aPrincipal(name)))
			for _, n := range []string{"1", "2"} {
				ok(t, s.InsertBearer(t.Context(), aBearer(name+n, name)))
				ok(t, s.InsertAccessKey(t.Context(), anAccessKey(name+n, name)))
			}
		}
		other, end := openAgain(t, s), t0.Add(time.Minute)
		ok(t, s.SetBearerExpiry(t.Context(), "b2", end))
		ok(t, s.SetAccessKeyExpiry(t.Context(), "b2", end))
		is(t, s.SetBearerExpiry(t.Context(), "c1", end), ErrNotFound)
		is(t, s.SetAccessKeyExpiry(t.Context(), "c1", end), ErrNotFound)
		ok(t, other.follow(t.Context()))
		for _, one := range []*Store{s, other} {
			b, _ := one.Bearer("b2")
			k, _ := one.AccessKey("b2")
			if !b.ExpiresAt.Equal(stored(end)) || !k.ExpiresAt.Equal(stored(end)) {
				t.Errorf("%v %v", b.ExpiresAt, k.ExpiresAt)
			}
		}
		is(t, s.InsertBearer(t.Context(), aBearer("a1", "b")), ErrExists)
		is(t, s.InsertBearer(t.Context(), aBearer("c1", "c")), ErrNotFound)
		is(t, s.InsertAccessKey(t.Context(), anAccessKey("a1", "b")), ErrExists)
		is(t, s.InsertAccessKey(t.Context(), anAccessKey("c1", "c")), ErrNotFound)
		short := aBearer("c1", "a")
		short.Hash = short.Hash[:31]
		is(t, s.InsertBearer(t.Context(), short), ErrInvalid)

		at := t0.Truncate(time.Microsecond)
		b, _ := s.Bearer("a1")
		equal(t, *b, Bearer{ID: "a1", Hash: bytes.Repeat([]byte{7}, 32), PrincipalARN: "arn:a", CreatedAt: at, ExpiresAt: at.Add(time.Hour)})
		a, _ := s.AccessKey("a1")
		equal(t, *a, AccessKey{ID: "a1", SealedSecret: []byte("sealed"), PrincipalARN: "arn:a", CreatedAt: at})

		ok(t, disableAccessKey(t.Context(), s, "a1"))
		equal(t, a.Disabled, false)
		a, _ = s.AccessKey("a1")
		equal(t, a.Disabled, true)
		is(t, disableAccessKey(t.Context(), s, "c1"), ErrNotFound)

		equal(t, []int{len(s.Bearers("")), len(s.Bearers("arn:a")), len(s.Bearers("arn:c"))}, []int{4, 2, 0})
		equal(t, []int{len(s.AccessKeys("")), len(s.AccessKeys("arn:b")), len(s.AccessKeys("arn:c"))}, []int{4, 2, 0})

		ok(t, s.DeleteBearer(t.Context(), "a1"))
		is(t, s.DeleteBearer(t.Context(), "a1"), ErrNotFound)
		ok(t, dropAccessKey(t.Context(), s, "a1"))
		is(t, dropAccessKey(t.Context(), s, "a1"), ErrNotFound)

		// A principal takes its credentials with it, and nobody else's.
		ok(t, s.DeletePrincipal(t.Context(), "arn:a"))
		if _, found := s.Bearer("a2"); found {
			t.Error("the bearer token of a deleted principal is left")
		}
		if _, found := s.AccessKey("a2"); found {
			t.Error("the access key of a deleted principal is left")
		}
		equal(t, []int{len(s.Bearers("")), len(s.AccessKeys(""))}, []int{2, 2})
	})
}

func TestIdentityGeneration(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		last := s.IdentityGeneration()
		grows := func(want bool) {
			t.Helper()
			now := s.IdentityGeneration()
			if (now != last) != want {
				t.Errorf("generation %d after %d", now, last)
			}
			last = now
		}
		insertKeys(t, s, 1)
		grows(false)
		ok(t, s.InsertPrincipal(t.Context(), aPrincipal("a")))
		grows(true)
		is(t, s.InsertPrincipal(t.Context(), aPrincipal("a")), ErrExists)
		grows(false)
		ok(t, s.InsertAccessKey(t.Context(), anAccessKey("a1", "a")))
		grows(true)
		ok(t, disableAccessKey(t.Context(), s, "a1"))
		grows(true)
		ok(t, s.DeletePrincipal(t.Context(), "arn:a"))
		grows(true)
	})
}

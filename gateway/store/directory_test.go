package store

import (
	"strings"
	"testing"
)

// TestDirectory: what is found by an address is what is published with it, in each process. The hash is the one of the example of
// draft-koch-openpgp-webkey-service, 3.1.
func TestDirectory(t *testing.T) {
	const joe, nobody = "iy9q119eutrkn8s1mk4r39qejnbu3n5q", "ybndrfg8ejkmcpqxot1uwisza345h769"
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 3)
		has := func(domain, hash, names string, there bool) {
			t.Helper()
			for _, s := range []*Store{s, openAgain(t, s)} {
				var got []string
				for _, k := range s.InDirectory(domain, hash) {
					got = append(got, k.Publication.Name)
				}
				if strings.Join(got, " ") != names || s.HasDirectory(domain) != there {
					t.Errorf("%s %s: %q, a directory: %v", domain, hash, got, s.HasDirectory(domain))
				}
			}
		}
		publish := func(key, name, userID string) {
			t.Helper()
			ok(t, publishAs(t.Context(), s, key, &Publication{Name: name, UserID: userID, Certificates: map[int][]byte{1: {0x98, 0}}, PublishedAt: t0}))
		}
		has("example.org", joe, "", false)
		publish("key-001", "joe", "Joe <Joe.Doe@Example.ORG>")
		has("example.org", joe, "joe", true)
		has("EXAMPLE.org", joe, "joe", true)
		has("example.org", nobody, "", true)
		has("example.org", "", "", true)
		for _, domain := range []string{"", "example.com", "a.example.org", "org"} {
			has(domain, joe, "", false)
		}
		publish("key-002", "joe-2", "joe.doe@example.org") // one address, two keys
		publish("key-000", "a", "another <joe.doe@example.org>")
		has("example.org", joe, "a joe joe-2", true)
		publish("key-000", "a", "of no address")
		has("example.org", joe, "joe joe-2", true)
		publish("key-002", "joe-2", "Joe <joe.doe@example.com>") // moves away
		has("example.org", joe, "joe", true)
		has("example.com", joe, "joe-2", true)
		publish("key-001", "joe-3", "Joe.Doe@example.org") // is called another name
		has("example.org", joe, "joe-3", true)
		ok(t, publishAs(t.Context(), s, "key-001", nil))
		has("example.org", joe, "", false)
		k, _ := s.Published("joe-2")
		ok(t, s.DeleteKey(t.Context(), k.Region, k.ID))
		has("example.com", joe, "", false)
		if len(s.mem.directory) != 0 {
			t.Errorf("%v is left", s.mem.directory)
		}
		likeFile(t, s)
	})
}

// TestPlace: upper case is folded in ASCII alone, as the draft has it.
func TestPlace(t *testing.T) {
	at := func(userID string) string {
		domain, hash, found := place(userID)
		if !found {
			return ""
		}
		return hash + "@" + domain
	}
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"JOE@a.org", "x <joe@A.ORG>", true}, {"joe@a.org", "joe@b.org", false}, {"Über@a.org", "über@a.org", false}, {"üBER@a.org", "über@a.org", true},
		{`"a@b"@c.org`, "a@b.org", false}, {"joe", "", true}, {"<>", "", true}, {"joe@a.org, joe@b.org", "", true},
	} {
		if (at(c.a) == at(c.b)) != c.same {
			t.Errorf("%q is at %q, %q at %q", c.a, at(c.a), c.b, at(c.b))
		}
	}
}

package store

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/policy"
)

func aDocument(kind policy.Kind) *Document {
	text := `{"Statement": {"Effect": "Allow", "Action": "kms:Sign", "Resource": "*"}}`
	if kind == policy.KeyPolicy {
		text = `{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "kms:Sign", "Resource": "*"}}`
	}
	d, err := NewDocument(text, kind)
	if err != nil {
		panic(err)
	}
	return d
}

func setKeyPolicy(ctx context.Context, s *Store, key string, doc *Document) error {
	return s.ChangeKeyPolicy(ctx, home, key, func(*Document) *Document { return doc })
}

func aGrant(id, key, to string) *Grant {
	return &Grant{Region: home, Name: id, CreatedAt: t0, Grant: policy.Grant{
		ID: id, KeyID: key, Grantee: to, RetiringPrincipal: "arn:retires", Operations: []string{"Sign", "Verify"},
		EncryptionContextSubset: map[string]string{"a": "b"},
	}}
}

func insertGrant(t testing.TB, s *Store, g *Grant) {
	t.Helper()
	if made, err := s.InsertGrant(t.Context(), g, 10); err != nil || made.ID != g.ID {
		t.Fatalf("%+v %v", made, err)
	}
}

func every(*Grant) bool { return true }

func TestKeyPolicies(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 1)
		d := aDocument(policy.KeyPolicy)
		ok(t, setKeyPolicy(t.Context(), s, "key-000", d))
		ok(t, s.ChangeDescription(t.Context(), home, "key-000", func(string) (string, error) { return "other", nil })) // a change of the key keeps it
		if k, _ := s.Key(home, "key-000"); k.Policy != d {
			t.Errorf("%+v", k.Policy)
		}
		if k, _ := openAgain(t, s).Key(home, "key-000"); k.Policy == nil || k.Policy.Text != d.Text || k.Policy.Compiled.Kind() != policy.KeyPolicy {
			t.Errorf("%+v", k.Policy)
		}
		ok(t, setKeyPolicy(t.Context(), s, "key-000", nil))
		if k, _ := s.Key(home, "key-000"); k.Policy != nil {
			t.Errorf("%+v", k.Policy)
		}
		if err := setKeyPolicy(t.Context(), s, "none", d); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	})
}

// TestATextThatIsNoPolicyDenies: what a hand has put into the database.
func TestATextThatIsNoPolicyDenies(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "{}", `{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*", "More": 1}}`} {
		d := policy.Evaluate(policy.Request{Principal: policy.Principal{ARN: "arn:aws:iam::111122223333:user/a", Role: policy.RoleAdministrator},
			Action: "kms:Sign", KeyID: "k", ResourceARN: "arn:aws:kms:r:111122223333:key/k", KeyPolicy: loaded(text, policy.KeyPolicy).Compiled})
		if d.Allowed {
			t.Errorf("%q allows", text)
		}
	}
}

func TestGrants(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 2)
		for _, id := range []string{"c", "a", "b"} {
			insertGrant(t, s, aGrant(id, "key-000", "arn:a"))
		}
		if _, err := s.InsertGrant(t.Context(), aGrant("d", "key-000", "arn:a"), 3); !errors.Is(err, ErrFull) || errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
		again := aGrant("a", "key-000", "arn:a")
		again.ID = "z"
		if made, err := s.InsertGrant(t.Context(), again, 3); err != nil || made.ID != "a" {
			t.Errorf("the same again is %+v %v", made, err)
		}
		again.Name, again.Grant.EncryptionContextSubset = "d", map[string]string{"a": "\x00"}
		if _, err := s.InsertGrant(t.Context(), again, 9); !errors.Is(err, ErrInvalid) {
			t.Error(err)
		}
		if _, err := s.InsertGrant(t.Context(), aGrant("d", "none", "arn:a"), 3); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		insertGrant(t, s, aGrant("e", "key-001", "arn:b"))
		page, more := s.Grants(home, "key-000", "a", 1, every)
		if len(page) != 1 || page[0].ID != "b" || !more {
			t.Errorf("%+v %v", page, more)
		}
		if page, more = s.RegionGrants(home, page[0].Place(), 5, every); len(page) != 2 || page[1].ID != "e" || more {
			t.Errorf("%+v %v", page, more)
		}
		if page, more = s.Grants(home, "key-000", "", 1, func(g *Grant) bool { return g.ID == "c" }); len(page) != 1 || more {
			t.Errorf("%+v %v", page, more)
		}
		key, to := s.Access(home, "key-000", "arn:a")
		if key == nil || len(to) != 3 {
			t.Errorf("%+v %+v", key, to)
		}
		before := slices.Clone(to)
		ok(t, dropGrant(t.Context(), s, "a"))
		insertGrant(t, s, aGrant("f", "key-000", "arn:a"))
		for i := range to {
			if to[i].ID != before[i].ID {
				t.Error("what a decision has got was changed")
			}
		}
		if err := dropGrant(t.Context(), s, "a"); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		insertGrant(t, s, aGrant("g", "key-000", "arn:aws:iam::1:role/r"))
		insertGrant(t, s, aGrant("h", "key-000", "arn:aws:sts::1:assumed-role/r/s"))
		for session, n := range map[string]int{"r/s": 2, "r/t": 1, "q/s": 0} {
			if _, to = s.Access(home, "key-000", "arn:aws:sts::1:assumed-role/"+session); len(to) != n {
				t.Errorf("session %s gets %+v", session, to)
			}
		}
		if _, to = s.Access(home, "key-000", "arn:b"); len(to) != 0 {
			t.Errorf("another gets %+v", to)
		}
	})
}

func TestGrantsGoWithTheirKeyAndGrantee(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 2)
		ok(t, s.InsertPrincipal(t.Context(), aPrincipal("a")))
		insertGrant(t, s, aGrant("1", "key-000", "arn:b"))
		insertGrant(t, s, aGrant("2", "key-001", "arn:a"))
		insertGrant(t, s, aGrant("3", "key-001", "arn:b"))
		ok(t, s.DeleteKey(t.Context(), home, "key-000"))
		ok(t, s.DeletePrincipal(t.Context(), "arn:a"))
		if page, _ := s.RegionGrants(home, "", 9, every); len(page) != 1 || page[0].ID != "3" {
			t.Errorf("%+v", page)
		}
		if key, _ := s.Access(home, "key-000", "arn:b"); key != nil {
			t.Errorf("a deleted key has %+v", key)
		}
	})
}

// TestGrantsGoWithTheirRole: those for its sessions, too, and nobody else's.
func TestGrantsGoWithTheirRole(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 1)
		role := "arn:aws:iam::1:role/r"
		ok(t, s.InsertPrincipal(t.Context(), &Principal{ARN: role, Name: "r", Role: "user", CreatedAt: t0}))
		for n, grantee := range []string{role, "arn:aws:sts::1:assumed-role/r/s", "arn:aws:sts::1:assumed-role/r2/s", "arn:aws:sts::2:assumed-role/r/s"} {
			insertGrant(t, s, aGrant(string(rune('1'+n)), "key-000", grantee))
		}
		other := openAgain(t, s)
		ok(t, s.DeletePrincipal(t.Context(), role))
		ok(t, other.follow(t.Context()))
		for _, one := range []*Store{s, other} {
			if page, _ := one.RegionGrants(home, "", 9, every); len(page) != 2 || page[0].ID != "3" || page[1].ID != "4" {
				t.Errorf("%+v", page)
			}
		}
	})
}

// TestEndSessions: the time never goes back, and other processes see it.
func TestEndSessions(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ok(t, s.InsertPrincipal(t.Context(), aPrincipal("a")))
		other := openAgain(t, s)
		for _, at := range []time.Duration{0, time.Hour, -time.Hour} {
			before, _ := s.Principal("arn:a")
			generation := s.IdentityGeneration()
			ok(t, s.EndSessions(t.Context(), "arn:a", t0.Add(at)))
			after, _ := s.Principal("arn:a")
			if !after.SessionsSince.After(before.CreatedAt) || !after.SessionsSince.After(before.SessionsSince) || s.IdentityGeneration() == generation {
				t.Errorf("%+v after %+v", after, before)
			}
			ok(t, other.follow(t.Context()))
			if there, _ := other.Principal("arn:a"); !there.SessionsSince.Equal(after.SessionsSince) {
				t.Errorf("another process has %+v", there)
			}
		}
		if err := s.EndSessions(t.Context(), "arn:b", t0); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	})
}

func TestAccessSeesAliasesAndTags(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 2)
		ok(t, s.ChangeTags(t.Context(), home, "key-000", func([]Tag) ([]Tag, error) { return []Tag{{"team", "x"}}, nil }))
		ok(t, s.CreateAlias(t.Context(), &Alias{Region: home, Name: "alias/a", KeyID: "key-000", CreatedAt: t0}))
		old, _ := s.Access(home, "key-000", "")
		if !slices.Equal(old.Aliases, []string{"alias/a"}) || old.Tags["team"] != "x" || old.MultiRegion != policy.False {
			t.Errorf("%+v", old)
		}
		ok(t, s.UpdateAlias(t.Context(), home, "alias/a", "key-001", t0))
		from, _ := s.Access(home, "key-000", "")
		to, _ := s.Access(home, "key-001", "")
		if len(from.Aliases) != 0 || len(to.Aliases) != 1 {
			t.Errorf("%+v %+v", from, to)
		}
		ok(t, s.DeleteAlias(t.Context(), home, "alias/a"))
		if to, _ = s.Access(home, "key-001", ""); len(to.Aliases) != 0 {
			t.Errorf("%+v", to)
		}
	})
}

func TestIdentityPolicies(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		d := aDocument(policy.IdentityPolicy)
		ok(t, s.InsertPrincipal(t.Context(), aPrincipal("a")))
		ok(t, s.PutPolicy(t.Context(), "p", d, t0))
		if err := s.ChangePrincipalPolicies(t.Context(), "arn:a", toNames("p", "q")); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		ok(t, s.ChangePrincipalPolicies(t.Context(), "arn:a", toNames("p")))
		if err := s.DeletePolicy(t.Context(), "p"); !errors.Is(err, ErrState) {
			t.Error(err)
		}
		before := s.IdentityGeneration()
		ok(t, s.PutPolicy(t.Context(), "p", d, t0.Add(1e9)))
		if s.IdentityGeneration() == before {
			t.Error("a changed policy is not noticed")
		}
		if p, _ := s.Policy("p"); !p.CreatedAt.Equal(stored(t0)) || p.UpdatedAt.Equal(p.CreatedAt) {
			t.Errorf("%+v", p)
		}
		other := openAgain(t, s)
		before = other.IdentityGeneration()
		ok(t, s.ChangePrincipalPolicies(t.Context(), "arn:a", toNames()))
		ok(t, s.DeletePolicy(t.Context(), "p"))
		ok(t, other.follow(t.Context()))
		if _, there := other.Policy("p"); there || other.IdentityGeneration() == before {
			t.Error("another process does not see it")
		}
		if err := s.DeletePolicy(t.Context(), "p"); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	})
}

// TestGrantForADeletedPrincipal: a process that has not heard of the deletion makes
// no grant that the next principal of the name would have.
func TestGrantForADeletedPrincipal(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 1)
		ok(t, s.InsertPrincipal(t.Context(), aPrincipal("a")))
		other := openAgain(t, s)
		ok(t, s.DeletePrincipal(t.Context(), "arn:a"))
		if _, err := other.InsertGrant(t.Context(), aGrant("g", "key-000", "arn:a"), 10, "arn:a"); !errors.Is(err, ErrNoPrincipal) || errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
		if _, there := other.Grant("g"); there {
			t.Error("it is there")
		}
	})
}

package identity

import (
	"errors"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

const account = "123456789012"

var (
	now  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	seal = []byte("0123456789abcdef0123456789abcdef")
)

func newStore(t testing.TB, keys ...string) *store.Store {
	t.Helper()
	s := openStore(t, filepath.Join(t.TempDir(), "hsmgate.db"))
	for _, id := range keys {
		ok(t, s.InsertKey(t.Context(), &store.Key{
			Region: "eu-central-1", ID: id, State: store.StateEnabled, CreatedAt: now,
			Line: store.Line{Spec: "ECC_NIST_P256", Usage: "SIGN_VERIFY",
				Versions: []store.Version{{Number: 1, ObjectID: []byte(id), PublicKey: []byte("public"), CreatedAt: now, CurrentAt: now}}},
		}))
	}
	return s
}

func openStore(t testing.TB, path string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), path, "eu-central-1")
	ok(t, err)
	t.Cleanup(func() { ok(t, s.Close()) })
	return s
}

// newIdentities has the user ci, of key-1, and the administrator admin.
func newIdentities(t testing.TB) (i *Identities, ci, admin policy.Principal) {
	t.Helper()
	i, err := New(newStore(t, "key-1", "key-2"), seal, account)
	ok(t, err)
	ci, err = i.CreatePrincipal(t.Context(), "ci", policy.RoleUser, []string{"key-1"}, now)
	ok(t, err)
	admin, err = i.CreatePrincipal(t.Context(), "admin", policy.RoleAdministrator, nil, now)
	ok(t, err)
	return i, ci, admin
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func equal[T any](t testing.TB, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestCreatePrincipal(t *testing.T) {
	t.Parallel()
	i, ci, admin := newIdentities(t)
	if !regexp.MustCompile(`^AIDA[A-Z2-7]{17}$`).MatchString(ci.ID) || ci.ID == admin.ID {
		t.Errorf("ids %q and %q", ci.ID, admin.ID)
	}
	ci.ID, admin.ID = "", ""
	equal(t, ci, policy.Principal{ARN: "arn:aws:iam::123456789012:user/ci", Role: policy.RoleUser, Keys: map[string]bool{"key-1": true}})
	equal(t, admin, policy.Principal{ARN: "arn:aws:iam::123456789012:user/admin", Role: policy.RoleAdministrator, Keys: map[string]bool{}})

	create := func(name string, role policy.Role, keys ...string) error {
		_, err := i.CreatePrincipal(t.Context(), name, role, keys, now)
		return err
	}
	for _, name := range []string{"a", "A-9_+=,.@x", strings.Repeat("n", 64)} {
		ok(t, create(name, policy.RoleUser))
	}
	for _, name := range []string{"", strings.Repeat("n", 65), "a b", "a/b", "a:b", "a*", "ä", "a\n", "a\x00", "../a"} {
		is(t, create(name, policy.RoleUser), ErrInvalid)
	}
	is(t, create("x", "root"), ErrInvalid)
	is(t, create("x", ""), ErrInvalid)
	is(t, create("x", policy.RoleAdministrator, "key-1"), ErrInvalid)
	is(t, create("x", policy.RoleUser, "key-1", "other"), store.ErrNotFound)
	is(t, create("ci", policy.RoleUser), store.ErrExists)
	equal(t, len(i.Principals()), 5)
	for _, account := range []string{"", "12345678901", "1234567890123", "12345678901x", "123456789012\n"} {
		_, err := New(newStore(t), seal, account)
		is(t, err, ErrInvalid)
	}
}

// A change of a principal holds for its next request, whichever process made it.
func TestKeysOfAPrincipalChange(t *testing.T) {
	t.Parallel()
	i, ci, admin := newIdentities(t)
	token, err := i.IssueBearer(t.Context(), ci.ARN, time.Hour, now)
	ok(t, err)
	mayUse := func(keys ...string) {
		t.Helper()
		p, err := i.Bearer(token, now)
		ok(t, err)
		equal(t, len(p.Keys), len(keys))
		for _, id := range keys {
			equal(t, policy.Evaluate(policy.Request{Principal: p, Action: "kms:Sign", KeyID: id}).Allowed, true)
		}
	}
	mayUse("key-1")
	ok(t, i.SetPrincipalKeys(t.Context(), ci.ARN, []string{"key-2", "key-1"}))
	mayUse("key-1", "key-2")
	ok(t, i.SetPrincipalKeys(t.Context(), ci.ARN, nil))
	mayUse()
	is(t, i.SetPrincipalKeys(t.Context(), admin.ARN, []string{"key-1"}), ErrInvalid)
	is(t, i.SetPrincipalKeys(t.Context(), ci.ARN, []string{"other"}), store.ErrNotFound)
	is(t, i.SetPrincipalKeys(t.Context(), "arn:aws:iam::123456789012:user/other", nil), store.ErrNotFound)

	ok(t, i.DeletePrincipal(t.Context(), ci.ARN))
	_, err = i.Bearer(token, now)
	is(t, err, ErrUnknown)
	is(t, i.DeletePrincipal(t.Context(), ci.ARN), store.ErrNotFound)
	// The name comes back; the old credentials do not.
	_, err = i.CreatePrincipal(t.Context(), "ci", policy.RoleUser, nil, now)
	ok(t, err)
	_, err = i.Bearer(token, now)
	is(t, err, ErrUnknown)
}

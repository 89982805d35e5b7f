package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store/storetest"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

// places are the databases that tests run on: each makes a new one, of which
// openAt makes a Store.
var places = map[string]func(testing.TB) string{
	"sqlite":   func(t testing.TB) string { return filepath.Join(t.TempDir(), "hsmgate.db") },
	"postgres": storetest.DSN,
}

// onBoth runs a test on a new database of each kind.
func onBoth(t *testing.T, test func(*testing.T, *Store)) {
	t.Helper()
	t.Parallel()
	for name, place := range places {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newAt(t, place(t)))
		})
	}
}

// newAt opens a new database. At the end of the test, what memory holds must be
// what another process would read.
func newAt(t testing.TB, place string) *Store {
	t.Helper()
	s := openStore(t, place)
	t.Cleanup(func() { likeFile(t, s) })
	return s
}

// newStore is a new SQLite database.
func newStore(t testing.TB) *Store {
	t.Helper()
	return newAt(t, places["sqlite"](t))
}

// openAt opens a path or a DSN.
func openAt(ctx context.Context, place string) (*Store, error) {
	if strings.HasPrefix(place, "host=") {
		return OpenPostgres(ctx, place, home)
	}
	return Open(ctx, place, home)
}

// placeOf is where openAt finds the database of a Store.
func placeOf(s *Store) string {
	if p, is := s.database.(*postgres); is {
		return p.secrets[0]
	}
	return file(s).path
}

func file(s *Store) *sqlite { return s.database.(*sqlite) }

func openAgain(t testing.TB, s *Store) *Store {
	t.Helper()
	return openStore(t, placeOf(s))
}

func openStore(t testing.TB, place string) *Store {
	t.Helper()
	s, err := openAt(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// contents is a copy of everything that a memory holds, in a form that
// compares.
func contents(m *memory) map[string]any {
	byKey := map[string][]*Alias{}
	for id, list := range m.byKey {
		byKey[id] = slices.Clone(list)
	}
	return map[string]any{
		"keys": maps.Clone(m.keys.rows), "key list": all(m.keys), "hidden": maps.Clone(m.hidden),
		"aliases": maps.Clone(m.aliases.rows), "alias list": all(m.aliases), "aliases by key": byKey,
		"lines": maps.Clone(m.lines), "published": maps.Clone(m.published), "directory": filed(m.directory), "pending": all(m.pending), "uses": all(m.uses), "imports": all(m.imports), "logKeys": all(m.logKeys), "disconnected": all(m.disconnected),
		"principals": maps.Clone(m.principals.rows), "principal list": all(m.principals),
		"bearers": maps.Clone(m.bearers.rows), "bearer list": all(m.bearers),
		"policies": all(m.policies), "grants": all(m.grants), "grants by id": maps.Clone(m.grantsByID), "granted": granted(m), "approvals": all(m.approvals), "views": maps.Clone(m.views),
		"access keys": maps.Clone(m.accessKeys.rows), "access key list": all(m.accessKeys),
	}
}

// filed is a copy of a directory.
func filed(d directory) map[string]string {
	out := map[string]string{}
	for domain, hashes := range d {
		for hash, ids := range hashes {
			out[hash+"@"+domain] = strings.Join(ids, " ")
		}
	}
	return out
}

// granted sorts what has no order.
func granted(m *memory) map[grantee][]policy.Grant {
	out := map[grantee][]policy.Grant{}
	for of, list := range m.granted {
		out[of] = slices.SortedFunc(slices.Values(list), func(a, b policy.Grant) int { return strings.Compare(a.ID, b.ID) })
	}
	return out
}

func all[T any](t table[T]) []*T { return append([]*T{}, t.sorted...) }

func likeFile(t testing.TB, s *Store) {
	t.Helper()
	o, err := openAt(context.WithoutCancel(t.Context()), placeOf(s)) // runs in a cleanup too
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	s.mu.RLock()
	defer s.mu.RUnlock()
	sameContents(t, s.mem, o.mem)
}

func sameContents(t testing.TB, got, want *memory) {
	t.Helper()
	g, w := contents(got), contents(want)
	for name := range w {
		if !reflect.DeepEqual(g[name], w[name]) {
			got, _ := json.Marshal(g[name])
			want, _ := json.Marshal(w[name])
			t.Errorf("%s: memory differs from the file:\nmemory %s\nfile   %s", name, got, want)
		}
	}
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

// home is the region of the tests.
const home = "eu-central-1"

// aKey is an Enabled key.
func aKey(id string) *Key {
	return &Key{
		Region: home, ID: id, Description: "of " + id, State: StateEnabled, CreatedAt: t0,
		Tags: []Tag{{Name: "of", Value: id}},
		Line: Line{Spec: "ECC_NIST_P256", Usage: "SIGN_VERIFY", Origin: "AWS_KMS",
			Versions: []Version{{Number: 1, ObjectID: []byte("object of " + id), PublicKey: []byte("public key of " + id), CreatedAt: t0, CurrentAt: t0}}},
	}
}

// aReplica is a key in another region.
func aReplica(id string) *Key {
	return &Key{Region: "elsewhere", ID: id, Description: "replica of " + id, State: StateEnabled, CreatedAt: t0}
}

func aVersion(object string, number int) Version {
	return Version{Number: number, ObjectID: []byte(object), Check: []byte("check"), CreatedAt: t0, CurrentAt: t0, Rotation: "ON_DEMAND"}
}

func anImportKey(id string) *ImportKey {
	return &ImportKey{ID: id, Region: home, KeyID: "key-000", Algorithm: "RSAES_OAEP_SHA_256", Spec: "RSA_2048",
		ObjectID: []byte("wrapping " + id), PublicKey: []byte("public"), ExpiresAt: t0}
}

// anIntent is a key whose token object is still to be made.
func anIntent(id string) *Key {
	k := aKey(id)
	k.State = StateCreating
	k.Versions[0].PublicKey = nil
	return k
}

func insertKeys(t testing.TB, s *Store, n int) {
	t.Helper()
	for i := range n {
		ok(t, s.InsertKey(t.Context(), aKey(fmt.Sprintf("key-%03d", i))))
	}
}

func ids(keys []*Key) []string {
	out := []string{}
	for _, k := range keys {
		out = append(out, k.ID)
	}
	return out
}

func names(aliases []*Alias) []string {
	out := []string{}
	for _, a := range aliases {
		out = append(out, a.Name)
	}
	return out
}

func equal[T any](t testing.TB, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Those that also say what was there, for where that does not count.
func dropGrant(ctx context.Context, s *Store, id string) error {
	_, err := s.DeleteGrant(ctx, id)
	return err
}

func dropAccessKey(ctx context.Context, s *Store, id string) error {
	_, err := s.DeleteAccessKey(ctx, id)
	return err
}

func disableAccessKey(ctx context.Context, s *Store, id string) error {
	_, err := s.SetAccessKeyDisabled(ctx, id, true)
	return err
}

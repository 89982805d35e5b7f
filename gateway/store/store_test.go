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
	"testing"
	"time"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

// newStore opens a new database. At the end of the test, what memory holds
// must be what another process would read.
func newStore(t testing.TB) *Store {
	t.Helper()
	s := openStore(t, filepath.Join(t.TempDir(), "hsmgate.db"))
	t.Cleanup(func() { likeFile(t, s) })
	return s
}

func openStore(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, home)
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
		"lines": maps.Clone(m.lines), "pending": all(m.pending), "uses": all(m.uses), "imports": all(m.imports), "disconnected": all(m.disconnected),
		"principals": maps.Clone(m.principals.rows), "principal list": all(m.principals),
		"bearers": maps.Clone(m.bearers.rows), "bearer list": all(m.bearers),
		"access keys": maps.Clone(m.accessKeys.rows), "access key list": all(m.accessKeys),
	}
}

func all[T any](t table[T]) []*T { return append([]*T{}, t.sorted...) }

func likeFile(t testing.TB, s *Store) {
	t.Helper()
	o, err := Open(context.WithoutCancel(t.Context()), s.path, home) // runs in a cleanup too
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

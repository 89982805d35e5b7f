package store

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// until polls a condition that must come true.
func until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for range 6000 {
		if condition() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("in vain: %s", what)
}

// What another process writes (a command-line tool beside the daemon) is seen.
func TestWatchSeesAnotherProcess(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		fill(t, s)
		s.Watch(t.Context())
		other := openAgain(t, s)
		generation := s.IdentityGeneration()
		ok(t, other.InsertPrincipal(t.Context(), aPrincipal("new", "key-000")))
		ok(t, other.InsertBearer(t.Context(), aBearer("new", "new")))
		ok(t, other.DeleteKey(t.Context(), home, "key-000"))
		ok(t, dropAccessKey(t.Context(), other, "a1"))
		until(t, "the other's writes appear", func() bool {
			_, bearer := s.Bearer("new")
			_, key := s.Key(home, "key-000")
			_, alias := s.Alias(home, "alias/a")
			_, accessKey := s.AccessKey("a1")
			return bearer && !key && !alias && !accessKey
		})
		if s.IdentityGeneration() == generation {
			t.Error("the generation is still the same")
		}
		ok(t, s.Ready())
		likeFile(t, s)
	})
}

// A write sees what others wrote before it, watched or not, so that memory and
// the answers of two writers never part.
func TestAWriteTakesInWhatOthersWrote(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		a := s
		b := openAgain(t, a)
		for i := range 20 {
			ok(t, a.InsertKey(t.Context(), aKey(fmt.Sprintf("a%d", i))))
			is(t, b.InsertKey(t.Context(), aKey(fmt.Sprintf("a%d", i))), ErrExists)
			ok(t, b.CreateAlias(t.Context(), &Alias{Region: home, Name: fmt.Sprintf("alias/%d", i), KeyID: fmt.Sprintf("a%d", i), CreatedAt: t0}))
			ok(t, a.UpdateAlias(t.Context(), home, fmt.Sprintf("alias/%d", i), "a0", t0))
		}
		ok(t, a.InsertKey(t.Context(), aKey("last")))
		ok(t, b.InsertKey(t.Context(), aKey("last of b")))
		likeFile(t, b)
		ok(t, a.follow(t.Context()))
	})
}

// Its own writes are no reason to read the file again.
func TestOwnWritesAreNotLoadedAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		generation := s.IdentityGeneration()
		before := s.mem
		insertKeys(t, s, 5)
		ok(t, s.follow(t.Context()))
		if s.mem != before || s.IdentityGeneration() != generation {
			t.Error("loaded again")
		}
	})
}

func TestReadyWhenTheFileCannotBeRead(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir()+"/hsmgate.db")
	insertKeys(t, s, 1)
	other := openAgain(t, s)
	ok(t, other.InsertKey(t.Context(), aKey("k")))
	_, err := file(other).writer.ExecContext(t.Context(), "DROP TABLE bearers")
	ok(t, err)
	s.Watch(t.Context())
	until(t, "the failure is told", func() bool { return s.Ready() != nil })
	if _, found := s.Key(home, "key-000"); !found {
		t.Error("what was known is lost")
	}
	_, err = file(other).writer.ExecContext(t.Context(), "CREATE TABLE bearers (id TEXT, hash BLOB, principal_arn TEXT, created_at INTEGER, expires_at INTEGER) STRICT")
	ok(t, err)
	until(t, "it mends itself", func() bool { return s.Ready() == nil })
	if _, found := s.Key(home, "k"); !found {
		t.Error("not loaded after the file was mended")
	}
}

func TestWatchEnds(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx, cancel := context.WithCancel(t.Context())
		s.Watch(ctx)
		cancel()
		s.watching.Wait() // the test's deadline is the bound
		s.Watch(t.Context())
		ok(t, s.Close())
	})
}

// A look that hangs tells nothing: the silence does.
func TestSilenceIsNoticed(t *testing.T) {
	s := openStore(t, t.TempDir()+"/hsmgate.db")
	long := time.Now().Add(-time.Minute)
	s.confirmed.Store(&long)
	ok(t, s.Ready()) // nobody watches
	s.watched.Store(true)
	is(t, s.Ready(), ErrUnavailable)
	s.Watch(t.Context())
	until(t, "the answer is noticed", func() bool { return s.Ready() == nil })
}

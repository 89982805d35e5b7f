package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/store/storetest"
)

func newPostgresStore(t testing.TB) *Store {
	t.Helper()
	return newAt(t, storetest.DSN(t))
}

// by runs a statement as somebody who is no Store.
func by(t testing.TB, s *Store, statement string) {
	t.Helper()
	_, err := s.database.(*postgres).db.ExecContext(context.WithoutCancel(t.Context()), statement)
	ok(t, err)
}

// texts are the rows of a query of one column.
func texts(t testing.TB, db *sql.DB, query string) (out []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	ok(t, err)
	defer rows.Close()
	for rows.Next() {
		var text string
		ok(t, rows.Scan(&text))
		out = append(out, text)
	}
	ok(t, rows.Err())
	return out
}

// Each table of which there is a copy in memory tells what is written to it, or followers would not see it; text
// sorts by its bytes in all of them.
func TestPostgresSchema(t *testing.T) {
	t.Parallel()
	s := newPostgresStore(t)
	list := func(query string) []string { t.Helper(); return texts(t, s.database.(*postgres).db, query) }
	tables := slices.Sorted(slices.Values(everyTable))
	equal(t, list(`SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_name NOT IN ('goose_db_version', 'revision', 'changes', 'settings', 'answers', 'log_checkpoints') ORDER BY table_name COLLATE "C"`), tables)
	for _, event := range []string{"INSERT", "UPDATE", "DELETE"} {
		equal(t, list(`SELECT event_object_table FROM information_schema.triggers WHERE trigger_name = 'note_change' AND event_manipulation = '`+event+`' ORDER BY event_object_table COLLATE "C"`), tables)
	}
	equal(t, list(`SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public' AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C' AND table_name <> 'goose_db_version'`), nil)
}

// Both databases have the same tables with the same columns.
func TestTheSchemasAgree(t *testing.T) {
	t.Parallel()
	columns := func(db *sql.DB, query string) (out []string) {
		t.Helper()
		for _, table := range append([]string{"settings"}, everyTable...) {
			out = append(out, table+": "+strings.Join(texts(t, db, fmt.Sprintf(query, table)), " "))
		}
		return out
	}
	lite, pg := newStore(t), newPostgresStore(t)
	equal(t, columns(pg.database.(*postgres).db, "SELECT column_name FROM information_schema.columns WHERE table_name = '%s' ORDER BY ordinal_position"),
		columns(file(lite).db, "SELECT name FROM pragma_table_info('%s') ORDER BY cid"))
}

// A follower whose place in the list of changes is gone, or that would have to
// take too many of them, loads everything.
func TestFollowersThatAreFarBehind(t *testing.T) {
	t.Parallel()
	s := newPostgresStore(t)
	insertKeys(t, s, 2)
	behind := func(what string, happens func()) {
		t.Helper()
		other := openAgain(t, s)
		before := other.mem
		ok(t, s.ChangeDescription(t.Context(), home, "key-000", toText(what)))
		happens()
		ok(t, other.follow(t.Context()))
		if other.mem == before {
			t.Errorf("%s: not everything was loaded", what)
		}
		if k, _ := other.Key(home, "key-000"); k.Description != what {
			t.Errorf("%s: not seen", what)
		}
	}
	behind("the changes are no longer kept", func() { by(t, s, "DELETE FROM changes") })
	behind("too many changes", func() {
		by(t, s, fmt.Sprintf("INSERT INTO changes SELECT number, 'key', '', 'x' || i FROM revision, generate_series(0, %d) i", someChanges))
	})
	behind("an older copy was put back", func() { by(t, s, "UPDATE revision SET number = 1") })
	// The server that took over lacked the last writes, and has as many by now.
	behind("another history", func() {
		by(t, s, "DELETE FROM changes WHERE revision >= (SELECT number - 1 FROM revision)")
		by(t, s, "UPDATE revision SET number = number - 2")
		by(t, s, "UPDATE revision SET number = number + 1")
	})
	ok(t, s.follow(t.Context()))
}

func TestOldChangesAreRemoved(t *testing.T) {
	t.Parallel()
	s := newPostgresStore(t)
	insertKeys(t, s, 3)
	by(t, s, "UPDATE revision SET number = 10998")
	by(t, s, "INSERT INTO changes VALUES (1001, 'key', '', 'key-000')")
	insertKeysFrom(t, s, 3, 2) // 10,999 and 11,000
	var least, most int64
	ok(t, s.database.(*postgres).db.QueryRowContext(t.Context(), "SELECT min(revision), max(revision) FROM changes").Scan(&least, &most))
	equal(t, []int64{least, most}, []int64{1001, 11000})
}

func insertKeysFrom(t testing.TB, s *Store, first, n int) {
	t.Helper()
	for i := range n {
		ok(t, s.InsertKey(t.Context(), aKey(fmt.Sprintf("key-%03d", first+i))))
	}
}

// How long a follower takes to see a write; the figures are printed.
func TestFollowersAreTold(t *testing.T) {
	t.Parallel()
	s := newPostgresStore(t)
	insertKeys(t, s, 1)
	other := openAgain(t, s)
	other.Watch(t.Context())
	var took []time.Duration
	for i := range 30 {
		want := fmt.Sprint(i)
		ok(t, s.ChangeDescription(t.Context(), home, "key-000", toText(want)))
		start := time.Now()
		until(t, "the follower sees it", func() bool { k, _ := other.Key(home, "key-000"); return k.Description == want })
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	t.Logf("a follower sees a write after %s (median), %s (most)", took[len(took)/2], took[len(took)-1])
}

// Each write of another process is told by itself, without a look at the clock.
func TestEachWriteIsTold(t *testing.T) {
	t.Parallel()
	s := newPostgresStore(t)
	other := openAgain(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	told := other.database.listen(ctx)
	<-told // that it listens
	for i := range 10 {
		ok(t, s.InsertKey(t.Context(), aKey(fmt.Sprint(i))))
		<-told // the test's deadline is the bound
	}
	ok(t, other.follow(t.Context()))
	equal(t, other.KeyCount(), 10)
}

// A notification that is lost is made up for.
func TestFollowersLookByThemselves(t *testing.T) {
	t.Parallel()
	s := newPostgresStore(t)
	by(t, s, "CREATE OR REPLACE FUNCTION next_revision() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$")
	other := openAgain(t, s)
	other.Watch(t.Context())
	insertKeys(t, s, 1)
	until(t, "the follower sees it", func() bool { return other.KeyCount() == 1 })
}

func TestOpenPostgresAtTheSameTime(t *testing.T) {
	t.Parallel()
	place := storetest.DSN(t)
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			s, err := OpenPostgres(t.Context(), place, home)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if err := s.InsertKey(t.Context(), aKey(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	equal(t, openStore(t, place).KeyCount(), 6)
}

// No error tells the password, and each says what to do.
func TestOpenPostgresRefuses(t *testing.T) {
	t.Parallel()
	dsn := storetest.DSN(t)
	s := openStore(t, dsn)
	by(t, s, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, true)")
	const secret = "pass word%41"
	for _, c := range []struct {
		dsn, text string
		want      error
	}{
		{dsn, fmt.Sprintf("version 999 and this program knows %d", newestSchema(t, "postgres")), nil},
		{dsn + "x", "let the DSN name a database that is there", ErrUnavailable},
		{strings.Replace(dsn, "password=", "password=wrong", 1), "with the right password", ErrUnavailable},
		{"host=/nowhere user=u dbname=d password='" + secret + "'", "start it", ErrUnavailable},
		{"postgres://u:pass%20word%2541@127.0.0.1:1/d", "start it", ErrUnavailable},
		{"postgres://u:pass%20word%2541@127.0.0.1:port/d", "the DSN cannot be read", nil},
		{"host=/nowhere password='" + secret, "the DSN cannot be read", nil},
		{"host=/nowhere sslmode=" + secret, "the DSN cannot be read", nil},
	} {
		s, err := OpenPostgres(t.Context(), c.dsn, home)
		if err == nil {
			s.Close()
			t.Errorf("%s is accepted", c.dsn)
			continue
		}
		if !strings.Contains(err.Error(), c.text) || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("the error does not say %q: %v", c.text, err)
		}
		for _, secret := range []string{secret, "pass%20word", "word%", c.dsn, passwordIn(c.dsn)} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error tells a secret: %v", err)
			}
		}
	}
}

func passwordIn(dsn string) string {
	_, after, _ := strings.Cut(dsn, "password=")
	word, _, _ := strings.Cut(after, " ")
	if word == "" {
		return "no password"
	}
	return word
}

func TestSecretsAreTakenOutOfErrors(t *testing.T) {
	t.Parallel()
	p, err := newPostgres("postgres://u:s%2Fcret%20x@127.0.0.1:1/d")
	ok(t, err)
	for _, text := range []string{"s/cret x", "s%2Fcret%20x", "s%2Fcret+x", "postgres://u:s%2Fcret%20x@127.0.0.1:1/d"} {
		if got := p.scrub(fmt.Errorf("a %s b", text)).Error(); strings.Contains(got, "cret") {
			t.Error(got)
		}
	}
	plain := errors.New("plain")
	equal(t, p.scrub(plain), plain)
	equal(t, p.String(), "database d of 127.0.0.1")
}

// away checks a Store whose database is away, in whatever way: reads go on, and
// no write changes anything.
func away(t *testing.T, s *Store, password string) {
	t.Helper()
	before := contents(s.mem)
	for name, write := range writes(t.Context(), s) {
		err := write()
		if !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), password) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	equal(t, contents(s.mem), before)
	until(t, "the failure is told", func() bool { return s.Ready() != nil })
	if err := s.Ready(); !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), password) {
		t.Errorf("Ready says %v", err)
	}
	stale := s.Stale()
	time.Sleep(10 * time.Millisecond)
	if now := s.Stale(); now <= stale {
		t.Errorf("stale for %s after %s", now, stale)
	}
}

// back checks that a Store works again by itself and has missed nothing.
func back(t *testing.T, s *Store) {
	t.Helper()
	until(t, "it mends itself", func() bool { return s.Ready() == nil })
	if stale := s.Stale(); stale > time.Minute {
		t.Errorf("stale for %s", stale)
	}
	ok(t, s.InsertKey(t.Context(), aKey("back")))
	other := openAgain(t, s)
	until(t, "memory is what the database holds", func() bool { _, found := s.Key(home, "back"); return found })
	ok(t, other.DeleteAlias(t.Context(), home, "alias/a"))
	until(t, "others are followed", func() bool { _, found := s.Alias(home, "alias/a"); return !found })
	likeFile(t, s)
}

func TestTheServerIsStopped(t *testing.T) {
	t.Parallel()
	server := storetest.New(t)
	s := openStore(t, server.DSN(t))
	fill(t, s)
	s.Watch(t.Context())
	ok(t, server.Stop())
	away(t, s, server.Password())
	ok(t, server.Run())
	back(t, s)
}

func TestTheServerIsReadOnly(t *testing.T) {
	t.Parallel()
	server := storetest.New(t)
	s := openStore(t, server.DSN(t))
	fill(t, s)
	s.Watch(t.Context())
	by(t, s, "ALTER SYSTEM SET default_transaction_read_only = on")
	by(t, s, "SELECT pg_reload_conf()")
	until(t, "the failure is told", func() bool { return s.Ready() != nil })
	if err := s.Ready(); !strings.Contains(err.Error(), "it takes no writes") {
		t.Errorf("Ready says %v", err)
	}
	away(t, s, server.Password())
	ok(t, server.Admin("ALTER SYSTEM RESET default_transaction_read_only"))
	ok(t, server.Admin("SELECT pg_reload_conf()"))
	back(t, s)
}

// Connections that are cut cost nothing: the next are made at once, and what was
// written meanwhile is not missed.
func TestConnectionsAreCut(t *testing.T) {
	t.Parallel()
	s := newPostgresStore(t)
	fill(t, s)
	s.Watch(t.Context())
	other := openAgain(t, s)
	for i := range 10 {
		by(t, other, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
		ok(t, other.ChangeDescription(t.Context(), home, "key-000", toText(fmt.Sprint(i))))
		until(t, "it is followed", func() bool { k, _ := s.Key(home, "key-000"); return k.Description == fmt.Sprint(i) })
	}
	until(t, "writes work", func() bool { return s.ChangeDescription(t.Context(), home, "key-000", toText("end")) == nil })
	back(t, s)
}

// A server that no longer answers, without a word, is noticed.
func TestTheNetworkSwallowsEverything(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it waits for the longest time that a transaction may take")
	}
	server := storetest.New(t)
	s := openStore(t, server.DSN(t))
	fill(t, s)
	s.Watch(t.Context())
	ok(t, server.Freeze())
	until(t, "the failure is told", func() bool { return s.Ready() != nil })
	err := s.InsertKey(t.Context(), aKey("k"))
	is(t, err, ErrUnavailable)
	ok(t, server.Thaw())
	back(t, s)
}

// A process that stands still inside a write keeps the others waiting, and not
// for ever.
func TestAProcessStandsStillInsideAWrite(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it waits for the server's patience to end")
	}
	s := newPostgresStore(t)
	other := openAgain(t, s)
	insertKeys(t, s, 1)
	inside, leave, left := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		left <- other.write(t.Context(), func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
			_, err := tx.ExecContext(ctx, "UPDATE keys SET description = 'lost'")
			close(inside)
			<-leave
			return func(*memory) {}, err
		})
	}()
	<-inside
	ok(t, s.InsertKey(t.Context(), aKey("k")))
	close(leave)
	is(t, <-left, ErrUnavailable)
	k, _ := s.Key(home, "key-000")
	equal(t, k.Description, "of key-000")
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"SELECT 1": "SELECT 1", "?": "$1", "a = ? AND b = ?": "a = $1 AND b = $2", "VALUES (?, ?, ?)": "VALUES ($1, $2, $3)"} {
		equal(t, numbered(in), want)
	}
}

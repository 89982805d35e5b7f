package store

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// PRAGMAs belong to a connection: each one that the pool makes must have them.
func TestEveryConnectionHasTheSettings(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	conns := []*sql.Conn{file(s).writer}
	for range maxConnections - 1 {
		c, err := file(s).db.Conn(t.Context())
		ok(t, err)
		defer c.Close()
		conns = append(conns, c)
	}
	for i, c := range conns {
		for pragma, want := range map[string]string{
			"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000",
		} {
			var got string
			ok(t, c.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got))
			if got != want {
				t.Errorf("connection %d: %s is %s, want %s", i, pragma, got, want)
			}
		}
	}
	equal(t, file(s).db.Stats().OpenConnections, maxConnections)
}

func TestTablesAreStrict(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	rows, err := file(s).db.QueryContext(t.Context(), "SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'goose_%'")
	ok(t, err)
	defer rows.Close()
	tables := 0
	for rows.Next() {
		var name string
		var strict bool
		ok(t, rows.Scan(&name, &strict))
		if !strict {
			t.Errorf("table %s is not STRICT", name)
		}
		tables++
	}
	equal(t, tables, 26)
}

// newestSchema is the number of the last migration.
func newestSchema(t *testing.T, of string) int {
	t.Helper()
	files, err := migrations.ReadDir("migrations/" + of)
	ok(t, err)
	n, err := strconv.Atoi(files[len(files)-1].Name()[:5])
	ok(t, err)
	return n
}

func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	insertKeys(t, s, 1)
	private := func() {
		t.Helper()
		for _, suffix := range []string{"", "-wal", "-shm"} {
			info, err := os.Stat(file(s).path + suffix)
			ok(t, err)
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %04o", info.Name(), info.Mode().Perm())
			}
		}
	}
	private()
	for _, suffix := range []string{"", "-wal", "-shm"} { // as after a careless restore
		ok(t, os.Chmod(file(s).path+suffix, 0o644))
	}
	openAgain(t, s)
	private()
}

func TestPathsThatMeanSomethingInADSN(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a b?c=d&mode=memory#%41")
	ok(t, os.Mkdir(dir, 0o700))
	s := openStore(t, filepath.Join(dir, "x?mode=ro.db"))
	insertKeys(t, s, 1)
	if _, err := os.Stat(filepath.Join(dir, "x?mode=ro.db")); err != nil {
		t.Error(err)
	}
	likeFile(t, s)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	ok(t, os.WriteFile(garbage, []byte(strings.Repeat("not a database ", 1000)), 0o600))
	newer := filepath.Join(dir, "newer.db")
	s := openStore(t, newer)
	if _, err := file(s).db.ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, text string }{
		{filepath.Join(dir, "missing", "x.db"), "no such file or directory"},
		{dir, "not a regular file"},
		{garbage, "not a database"},
		{newer, fmt.Sprintf("version 999 and this program knows %d", newestSchema(t, "sqlite"))},
	} {
		s, err := Open(t.Context(), c.path, home)
		if err == nil {
			s.Close()
			t.Errorf("%s is accepted", c.path)
			continue
		}
		if !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), c.path) {
			t.Errorf("%s: the error does not say %q: %v", c.path, c.text, err)
		}
	}
	if _, err := Open(t.Context(), filepath.Join(dir, "missing", "x.db"), home); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not fs.ErrNotExist", err)
	}
}

// Two processes started at once both find a database that is ready.
func TestOpenAtTheSameTime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hsmgate.db")
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			s, err := Open(t.Context(), path, home)
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
	equal(t, openStore(t, path).KeyCount(), 6)
}

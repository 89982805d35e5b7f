package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	_ "github.com/mattn/go-sqlite3" // the driver "sqlite3"
	"github.com/pressly/goose/v3"
	"golang.org/x/sys/unix"
)

//go:embed migrations/*.sql
var migrations embed.FS

// settings hold for every connection: each PRAGMA belongs to a connection and
// not to the file, so they are part of the DSN and never executed once.
const settings = "_journal_mode=WAL&_synchronous=FULL&_foreign_keys=on&_busy_timeout=5000&_txlock=immediate"

// maxConnections: one writer, and some for migrations and checks. Requests
// read memory and use none.
const maxConnections = 4

// Store is the open database and what it holds, in memory. Its methods may be
// called from several goroutines.
type Store struct {
	path string
	file os.FileInfo // which file was opened; see inPlace
	db   *sql.DB

	// writing holds one token: the right to use writer and version and to
	// change mem. A channel, so that waiting for it can be cancelled.
	writing chan struct{}
	writer  *sql.Conn
	version int64 // PRAGMA data_version of writer when mem was last in step with the file

	mu  sync.RWMutex // guards mem; held for memory accesses only, never during I/O
	mem *memory

	identities atomic.Uint64         // see IdentityGeneration
	failed     atomic.Pointer[error] // the last failure to follow the file; see Ready

	watching sync.WaitGroup
	closing  chan struct{}
	closed   sync.Once
}

// Open opens the database, creates it when there is none (mode 0600), brings
// its schema up to date and loads it. Several processes may do so at once. What
// an older program wrote, which knew one region, belongs to the home region.
func Open(ctx context.Context, path, home string) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	s := &Store{path: path, writing: make(chan struct{}, 1), closing: make(chan struct{}), mem: newMemory(), version: -1}
	if err := s.open(ctx, home); err != nil {
		return nil, errors.Join(fmt.Errorf("store: open %s: %w", path, err), s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, home string) error {
	unlock, err := lockFolder(ctx, filepath.Dir(s.path))
	if err != nil {
		return err
	}
	defer unlock()
	if err := private(s.path); err != nil {
		return err
	}
	if s.file, err = os.Stat(s.path); err != nil {
		return err
	}
	if s.db, err = sql.Open("sqlite3", dsn(s.path)); err != nil {
		return err
	}
	s.db.SetMaxOpenConns(maxConnections)
	if err := migrate(ctx, s.db); err != nil {
		return err
	}
	if s.writer, err = s.db.Conn(ctx); err != nil {
		return err
	}
	if _, err := s.writer.ExecContext(ctx, "UPDATE keys SET region = ? WHERE region = ''", home); err != nil {
		return err
	}
	var mode string
	if err := s.writer.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("the journal mode is %q and not WAL: put the database on a local file system", mode)
	}
	return s.follow(ctx)
}

// dsn escapes the path: '?' would start the settings and '%' an escape.
func dsn(path string) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + settings
}

// private creates the file, or takes away what others may do with it. SQLite
// gives its -wal and -shm files the same mode. A file that is there is never
// opened here: closing it would drop SQLite's own locks on it in this process.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err == nil {
		return f.Close()
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return err
		case !info.Mode().IsRegular():
			return fmt.Errorf("%s is not a regular file", name)
		case info.Mode().Perm()&0o077 != 0:
			if err := os.Chmod(name, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// migrate applies the migrations that the file lacks and refuses a file from a
// newer program, whose rules this one does not know.
func migrate(ctx context.Context, db *sql.DB) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir)
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return err
	}
	have, err := p.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	sources := p.ListSources()
	if known := sources[len(sources)-1].Version; have > known {
		return fmt.Errorf("the schema is version %d and this program knows %d: use the newer program that wrote it", have, known)
	}
	return nil
}

// lockFolder keeps two processes from migrating at once. The lock is on the
// folder and ends with the process.
func lockFolder(ctx context.Context, dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	wait := time.NewTicker(20 * time.Millisecond)
	defer wait.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("lock %s, held by another process: %w", dir, ctx.Err())
		case <-wait.C:
		}
	}
}

// Close ends Watch, waits for a write under way and closes the file. Reads go
// on from memory; writes fail.
func (s *Store) Close() error {
	var err error
	s.closed.Do(func() {
		close(s.closing)
		s.watching.Wait()
		s.writing <- struct{}{} // kept: no write begins any more
		if s.writer != nil {
			err = s.writer.Close()
		}
		if s.db != nil {
			err = errors.Join(err, s.db.Close())
		}
	})
	return err
}

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/mattn/go-sqlite3" // the driver "sqlite3"
	"github.com/pressly/goose/v3"
	"golang.org/x/sys/unix"
)

// settings hold for every connection: each PRAGMA belongs to a connection and
// not to the file, so they are part of the DSN and never executed once.
const settings = "_journal_mode=WAL&_synchronous=FULL&_foreign_keys=on&_busy_timeout=5000&_txlock=immediate"

// maxConnections: one writer, and some for migrations and checks. Requests
// read memory and use none.
const maxConnections = 4

// sqlite is a database in a file of its own. Its version is PRAGMA data_version
// of the one connection that writes, which its own commits do not change.
type sqlite struct {
	path   string
	file   os.FileInfo // which file was opened; see inPlace
	db     *sql.DB
	writer *sql.Conn
}

func (d *sqlite) String() string { return d.path }

func (d *sqlite) open(ctx context.Context, home string) error {
	unlock, err := lockFolder(ctx, filepath.Dir(d.path))
	if err != nil {
		return err
	}
	defer unlock()
	if err := private(d.path); err != nil {
		return err
	}
	if err := d.connect(); err != nil {
		return err
	}
	if err := migrate(ctx, goose.DialectSQLite3, d.db, "sqlite"); err != nil {
		return err
	}
	if d.writer, err = d.db.Conn(ctx); err != nil {
		return err
	}
	if _, err := d.writer.ExecContext(ctx, "UPDATE keys SET region = ? WHERE region = ''", home); err != nil {
		return err
	}
	return d.mustBeWAL(ctx)
}

func (d *sqlite) look(ctx context.Context) error {
	if err := d.connect(); err != nil {
		return err
	}
	if err := upToDate(ctx, d.db, "sqlite", "SELECT count(*) > 0 FROM sqlite_master WHERE name = 'goose_db_version'"); err != nil {
		return err
	}
	var err error
	if d.writer, err = d.db.Conn(ctx); err != nil {
		return err
	}
	return d.mustBeWAL(ctx)
}

// connect opens the file, which has to be there.
func (d *sqlite) connect() (err error) {
	if d.file, err = os.Stat(d.path); err != nil {
		return err
	}
	if d.db, err = sql.Open("sqlite3", dsn(d.path)); err != nil {
		return err
	}
	d.db.SetMaxOpenConns(maxConnections)
	return nil
}

func (d *sqlite) mustBeWAL(ctx context.Context) error {
	var mode string
	if err := d.writer.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("the journal mode is %q and not WAL: put the database on a local file system", mode)
	}
	return nil
}

func (d *sqlite) begin(ctx context.Context) (tx *sql.Tx, before, after string, err error) {
	if err := d.inPlace(); err != nil {
		return nil, "", "", err
	}
	if tx, err = d.writer.BeginTx(ctx, nil); err != nil {
		return nil, "", "", err
	}
	if err := tx.QueryRowContext(ctx, "PRAGMA data_version").Scan(&before); err != nil {
		tx.Rollback()
		return nil, "", "", err
	}
	return tx, before, before, nil
}

func (d *sqlite) snapshot(ctx context.Context, known string) (tx *sql.Tx, version string, err error) {
	if err := d.inPlace(); err != nil {
		return nil, "", err
	}
	if err := d.writer.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version); err != nil || version == known {
		return nil, version, err
	}
	tx, version, _, err = d.begin(ctx)
	return tx, version, err
}

func (d *sqlite) changed(context.Context, *sql.Tx, string) (news, error) { return nil, nil }

func (d *sqlite) bound(ctx context.Context, _ time.Duration) (context.Context, context.CancelFunc) {
	return context.WithoutCancel(ctx), func() {}
}

// usesSince is when migration 2 ran.
func (d *sqlite) usesSince() string {
	return "SELECT tstamp FROM goose_db_version WHERE version_id = 2 ORDER BY id DESC LIMIT 1"
}

func (d *sqlite) reader() *sql.DB { return d.db }

func (d *sqlite) listen(context.Context) <-chan struct{} { return nil }

// typed tells violated constraints from a file that cannot be used now.
func (d *sqlite) typed(err error) error {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.ExtendedCode {
	case sqlite3.ErrConstraintPrimaryKey, sqlite3.ErrConstraintUnique, sqlite3.ErrConstraintRowID:
		return fmt.Errorf("%w: %w", ErrExists, err)
	case sqlite3.ErrConstraintForeignKey:
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case sqlite3.ErrConstraintCheck, sqlite3.ErrConstraintNotNull:
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	switch e.Code {
	case sqlite3.ErrBusy:
		return fmt.Errorf("%w: another process holds its lock, end it: %w", ErrUnavailable, err)
	case sqlite3.ErrFull, sqlite3.ErrIoErr, sqlite3.ErrReadonly, sqlite3.ErrCantOpen:
		return fmt.Errorf("%w: look at its disk: %w", ErrUnavailable, err)
	}
	return err
}

func (d *sqlite) close() error {
	var err error
	if d.writer != nil {
		err = d.writer.Close()
	}
	if d.db != nil {
		err = errors.Join(err, d.db.Close())
	}
	return err
}

// inPlace is nil while the file that was opened stands at its path. SQLite goes
// on in a file that was deleted, moved or replaced, and what it commits there
// is gone at the next start.
func (d *sqlite) inPlace() error {
	now, err := os.Stat(d.path)
	switch {
	case err != nil:
		return fmt.Errorf("the database is not in its place, put it back: %w", err)
	case !os.SameFile(now, d.file):
		return fmt.Errorf("another file stands in the place of the database %s: put the right one there and restart", d.path)
	}
	return nil
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

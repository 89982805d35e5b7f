package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrations embed.FS

// database is what differs between SQLite and PostgreSQL. All methods but typed,
// reader and listen are called with the right to write.
type database interface {
	fmt.Stringer // for messages; without a secret

	// begin starts a write, once no other process is in one. before is the version
	// that it finds, after the one that its commit leaves behind.
	begin(ctx context.Context) (tx *sql.Tx, before, after string, err error)
	// snapshot starts to read one version; no transaction when it is the known one.
	snapshot(ctx context.Context, known string) (tx *sql.Tx, version string, err error)
	// changed lists what was written after a version. Nil: anything may have been.
	changed(ctx context.Context, tx *sql.Tx, since string) (news, error)
	// bound is the context of a transaction: that of its caller does not cut it off,
	// and a server that does not answer does, after a time.
	bound(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc)
	// typed adds the error of this package that an error stands for, and takes
	// secrets out of its text.
	typed(err error) error
	// listen tells at once that another process has written, until ctx ends. Nil
	// where the database does not tell.
	listen(ctx context.Context) <-chan struct{}
	// reader is for queries that memory has nothing to do with. It needs no right to write.
	reader() *sql.DB
	// usesSince is the query for when the table of last uses was made.
	usesSince() string
	close() error
}

// unknown is the version of a memory that has to be loaded.
const unknown = ""

// ErrOlder: the schema lacks what this program would add to it.
var ErrOlder = errors.New("the schema is older than this program")

// upToDate is nil when migrate would do nothing. there is the query for whether
// goose has its table, which it makes when it is asked.
func upToDate(ctx context.Context, db *sql.DB, folder, there string) error {
	files, err := fs.ReadDir(migrations, "migrations/"+folder)
	if err != nil {
		return err
	}
	known, err := goose.NumericComponent(files[len(files)-1].Name()) // they are sorted, and numbers may be left out
	if err != nil {
		return err
	}
	var some bool
	if err := db.QueryRowContext(ctx, there).Scan(&some); err != nil {
		return err
	}
	var have int64
	if some {
		if err := db.QueryRowContext(ctx, "SELECT COALESCE(max(version_id), 0) FROM goose_db_version").Scan(&have); err != nil {
			return err
		}
	}
	switch {
	case have < known:
		return fmt.Errorf("%w: it is version %d, and this program's is %d", ErrOlder, have, known)
	case have > known:
		return newer(have, known)
	}
	return nil
}

func newer(have, known int64) error {
	return fmt.Errorf("the schema is version %d and this program knows %d: use the newer program that wrote it", have, known)
}

// migrate applies the migrations that the database lacks and refuses one from a
// newer program, whose rules this one does not know.
func migrate(ctx context.Context, dialect goose.Dialect, db *sql.DB, folder string) error {
	dir, err := fs.Sub(migrations, "migrations/"+folder)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(dialect, db, dir)
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
		return newer(have, known)
	}
	return nil
}

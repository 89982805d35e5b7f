package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Store is the open database and what it holds, in memory. Its methods may be
// called from several goroutines.
type Store struct {
	database database

	// writing holds one token: the right to use database and version and to
	// change mem. A channel, so that waiting for it can be cancelled.
	writing chan struct{}
	version string // of the database when mem was last in step with it

	mu  sync.RWMutex // guards mem; held for memory accesses only, never during I/O
	mem *memory

	identities atomic.Uint64             // see IdentityGeneration
	failed     atomic.Pointer[error]     // the last failure to follow the database; see Ready
	confirmed  atomic.Pointer[time.Time] // when mem was last known to be in step; see Stale
	look       chan struct{}             // asks Watch to look at once

	watching sync.WaitGroup
	watched  atomic.Bool // by Watch
	closing  chan struct{}
	closed   sync.Once
}

// Open opens the SQLite database at path, creates it when there is none (mode
// 0600), brings its schema up to date and loads it. Several processes of one
// machine may do so at once. What an older program wrote, which knew one region,
// belongs to the home region.
func Open(ctx context.Context, path, home string) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	d := &sqlite{path: path}
	return open(ctx, d, func(ctx context.Context) error { return d.open(ctx, home) })
}

// Look opens a SQLite database as Open does and changes nothing by that: it makes
// no file, and ErrOlder when the schema is not up to date.
func Look(ctx context.Context, path string) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	d := &sqlite{path: path}
	return open(ctx, d, d.look)
}

// LookPostgres opens a PostgreSQL database as OpenPostgres does and changes nothing
// by that: ErrOlder when the schema is not up to date, or not there.
func LookPostgres(ctx context.Context, dsn string) (*Store, error) {
	p, err := newPostgres(dsn)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return open(ctx, p, p.look)
}

// OpenPostgres opens a PostgreSQL database, brings its schema up to date and
// loads it. Processes of many machines may do so at once. dsn is a URL
// (postgres://user:password@host/database) or words (host=… dbname=…), as libpq
// takes them; no error tells it. The database has to exist, and its user may
// create tables in it. ErrUnavailable when the server does not answer.
func OpenPostgres(ctx context.Context, dsn, home string) (*Store, error) {
	p, err := newPostgres(dsn)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return open(ctx, p, func(ctx context.Context) error { return p.open(ctx, home) })
}

// Shared says whether daemons of other machines may be on this database.
func (s *Store) Shared() bool {
	_, shared := s.database.(*postgres)
	return shared
}

func open(ctx context.Context, d database, connect func(context.Context) error) (*Store, error) {
	s := &Store{database: d, writing: make(chan struct{}, 1), closing: make(chan struct{}), look: make(chan struct{}, 1), mem: newMemory(), version: unknown}
	err := connect(ctx)
	if err == nil {
		err = s.follow(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store: open %s: %w", d, err), s.Close())
	}
	return s, nil
}

// Close ends Watch, waits for a write under way and closes the database. Reads
// go on from memory; writes fail.
func (s *Store) Close() error {
	var err error
	s.closed.Do(func() {
		close(s.closing)
		s.watching.Wait()
		s.writing <- struct{}{} // kept: no write begins any more
		err = s.database.close()
	})
	return err
}

// String names the database, without a secret: the path of the file, or the name
// of a database and its host.
func (s *Store) String() string { return s.database.String() }

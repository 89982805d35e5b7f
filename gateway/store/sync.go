package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mattn/go-sqlite3"
)

// watchInterval is how soon Watch sees what another process wrote.
const watchInterval = time.Second

// ErrClosed is a write after Close.
var ErrClosed = errors.New("store: closed")

// change is the body of a write. It runs in a transaction, with s.mem in step
// with it, and returns what the write does to memory once it is durable.
type change func(ctx context.Context, tx *sql.Tx) (apply func(*memory), err error)

// write runs one change: transaction first, then memory.
//
// A crash before the commit leaves nothing; after it, the whole change, which
// the next Open reads. ctx ends the wait for other writes only: a transaction
// that has begun is not cut off, so that it ends one way or the other.
func (s *Store) write(ctx context.Context, c change) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.inPlace(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	ctx = context.WithoutCancel(ctx)
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("store: begin: %w", err)
	}
	defer tx.Rollback() // no effect after Commit
	if err := s.catchUp(ctx, tx); err != nil {
		return fmt.Errorf("store: read what another process wrote: %w", err)
	}
	apply, err := c(ctx, tx)
	if err != nil {
		return fmt.Errorf("store: %w", typed(err))
	}
	if err := tx.Commit(); err != nil {
		// It may have been written all the same: the file is read again, now or, where that fails, later.
		s.version = -1
		return fmt.Errorf("store: commit: %w", errors.Join(typed(err), s.reread(ctx)))
	}
	s.mu.Lock()
	apply(s.mem)
	s.mu.Unlock()
	return nil
}

// lock takes the right to write.
func (s *Store) lock(ctx context.Context) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case s.writing <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.closing:
		return nil, ErrClosed
	}
	unlock = func() { <-s.writing }
	select {
	case <-s.closing:
		unlock()
		return nil, ErrClosed
	default:
		return unlock, nil
	}
}

// follow brings memory in step with the file.
func (s *Store) follow(ctx context.Context) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.inPlace(); err != nil {
		return err
	}
	return s.reread(context.WithoutCancel(ctx))
}

// reread is follow for who has the right to write.
func (s *Store) reread(ctx context.Context) error {
	var version int64
	if err := s.writer.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version); err != nil {
		return err
	}
	if version == s.version {
		return nil
	}
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return s.catchUp(ctx, tx)
}

// inPlace is nil while the file that was opened stands at its path. SQLite goes
// on in a file that was deleted, moved or replaced, and what it commits there
// is gone at the next start.
func (s *Store) inPlace() error {
	now, err := os.Stat(s.path)
	switch {
	case err != nil:
		return fmt.Errorf("the database is not in its place, put it back: %w", err)
	case !os.SameFile(now, s.file):
		return fmt.Errorf("another file stands in the place of the database %s: put the right one there and restart", s.path)
	}
	return nil
}

// catchUp loads the file again when another connection has written it since.
// data_version of a connection is not changed by its own commits, and every
// write of this Store goes through the one writer.
func (s *Store) catchUp(ctx context.Context, tx *sql.Tx) error {
	var version int64
	if err := tx.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version); err != nil {
		return err
	}
	if version == s.version {
		return nil
	}
	m, err := load(ctx, tx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.mem = m
	s.mu.Unlock()
	s.version = version
	s.identities.Add(1)
	return nil
}

// Watch starts to look once a second whether another process has written the
// file, and loads it again when so, until ctx ends or the Store is closed. It
// returns at once. Ready tells whether it works.
func (s *Store) Watch(ctx context.Context) {
	s.watching.Go(func() {
		tick := time.NewTicker(watchInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-s.closing:
				return
			case <-tick.C:
			}
			err := s.follow(ctx)
			if ctx.Err() != nil || errors.Is(err, ErrClosed) {
				return
			}
			if err != nil {
				s.failed.Store(&err)
			} else {
				s.failed.Store(nil)
			}
		}
	})
}

// Ready is nil when the file could be read the last time that Watch looked.
// Otherwise what memory says may be out of date.
func (s *Store) Ready() error {
	if err := s.failed.Load(); err != nil {
		return fmt.Errorf("store: %s can not be read: %w", s.path, *err)
	}
	return nil
}

// IdentityGeneration grows with each change of principals, bearers and access
// keys, so that what was derived from them can be thrown away.
func (s *Store) IdentityGeneration() uint64 { return s.identities.Load() }

// typed adds the error of this package that a violated constraint stands for.
func typed(err error) error {
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
	return err
}

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

const (
	// watchInterval is how soon Watch sees what another process wrote, at the latest.
	watchInterval = time.Second / 2
	// followTimeout is how long one look at what others wrote may take.
	followTimeout = 10 * time.Second
	// writeTimeout outlasts a server's patience with another process that stands
	// still inside a write (see session), so that this one need not give up.
	writeTimeout = 2 * followTimeout
)

var (
	// ErrClosed is a write after Close.
	ErrClosed = errors.New("store: closed")
	// ErrUnavailable: the database does not take the write now. It may have been
	// written all the same when it was the commit that failed. Nothing has to be
	// restarted once the cause is gone.
	ErrUnavailable = errors.New("the database cannot be used now")
)

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
	ctx, cancel := s.database.bound(ctx, writeTimeout)
	defer cancel()
	tx, before, after, err := s.database.begin(ctx)
	if err != nil {
		return s.refused("begin: ", err)
	}
	defer tx.Rollback() // no effect after Commit
	if err := s.catchUp(ctx, tx, before); err != nil {
		return s.refused("read what another process wrote: ", err)
	}
	apply, err := c(ctx, tx)
	if err != nil {
		return s.refused("", err)
	}
	if err := tx.Commit(); err != nil {
		// It may have been written all the same: the database is read again, now or, where that fails, later.
		s.version = unknown
		return s.refused("commit: ", errors.Join(err, s.reread(ctx)))
	}
	s.mu.Lock()
	apply(s.mem)
	s.mu.Unlock()
	s.inStep(after)
	return nil
}

// refused is the error of a write. Watch looks at once at what may be gone.
func (s *Store) refused(step string, err error) error {
	err = s.database.typed(err)
	if errors.Is(err, ErrUnavailable) {
		select {
		case s.look <- struct{}{}:
		default:
		}
	}
	return fmt.Errorf("store: %s%w", step, err)
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

// follow brings memory in step with the database.
func (s *Store) follow(ctx context.Context) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return s.reread(ctx)
}

// reread is follow for who has the right to write.
func (s *Store) reread(ctx context.Context) error {
	ctx, cancel := s.database.bound(ctx, followTimeout)
	defer cancel()
	tx, version, err := s.database.snapshot(ctx, s.version)
	if err != nil {
		return s.database.typed(err)
	}
	if tx == nil {
		s.inStep(version)
		return nil
	}
	defer tx.Rollback()
	if err := s.catchUp(ctx, tx, version); err != nil {
		return s.database.typed(err)
	}
	s.inStep(version)
	return nil
}

// Follow takes in what other processes have written, without waiting for Watch.
func (s *Store) Follow(ctx context.Context) error { return s.followSoon(ctx) }

// catchUp takes into memory what other processes have written up to the version
// that the transaction sees.
func (s *Store) catchUp(ctx context.Context, tx *sql.Tx, version string) error {
	if version == s.version {
		return nil
	}
	n, err := s.database.changed(ctx, tx, s.version)
	if err != nil {
		return err
	}
	m, err := load(ctx, tx, n)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if n == nil {
		s.mem = m
	} else {
		n.move(m, s.mem)
	}
	s.mu.Unlock()
	s.version = version
	if n == nil || n.identities() {
		s.identities.Add(1)
	}
	return nil
}

// inStep notes that memory is what the database holds at a version.
func (s *Store) inStep(version string) {
	now := time.Now()
	s.version = version
	s.confirmed.Store(&now)
}

// Watch starts to follow what other processes write, until ctx ends or the Store
// is closed: within about a second, and at once where the database tells. It
// returns at once. Ready tells whether it works.
func (s *Store) Watch(ctx context.Context) {
	s.watched.Store(true)
	s.watching.Go(func() {
		defer s.watched.Store(false)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		told := s.database.listen(ctx)
		tick := time.NewTicker(watchInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-s.closing:
				return
			case <-tick.C:
			case <-told:
			case <-s.look:
			}
			err := s.followSoon(ctx)
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

// followSoon does not wait for a write that does not end.
func (s *Store) followSoon(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	err := s.follow(ctx)
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ErrUnavailable) {
		return fmt.Errorf("%w: a write has not ended for %s", ErrUnavailable, followTimeout)
	}
	return err
}

// Ready is nil when the database could be read the last time that Watch looked, and
// that is not long ago: a look may hang. Otherwise what memory says may be out of
// date; Stale says since when.
func (s *Store) Ready() error {
	if err := s.failed.Load(); err != nil {
		return fmt.Errorf("store: %s can not be read: %w", s.database, *err)
	}
	if stale := s.Stale(); s.watched.Load() && stale > 2*followTimeout {
		return fmt.Errorf("store: %w: %s has not answered for %s", ErrUnavailable, s.database, stale.Round(time.Second))
	}
	return nil
}

// Stale is how long it is since memory was known to be what the database holds.
// While Watch works, that is about a second at most.
func (s *Store) Stale() time.Duration { return time.Since(*s.confirmed.Load()) }

// IdentityGeneration grows with each change of principals, bearers and access
// keys, so that what was derived from them can be thrown away.
func (s *Store) IdentityGeneration() uint64 { return s.identities.Load() }

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// LogCheckpoint is a checkpoint of an audit log that was signed. Memory has none of them: they are read where they are
// asked for.
type LogCheckpoint struct {
	Origin      string   // the name of the log
	Size        int64    // in records
	Root        [32]byte // of its tree (RFC 6962)
	PublishedAt time.Time
}

// LogCheckpoint reads the last one that is known of a log; its size is 0 where none is.
func (s *Store) LogCheckpoint(ctx context.Context, origin string) (LogCheckpoint, error) {
	ctx, cancel := s.database.bound(ctx, followTimeout)
	defer cancel()
	c, err := readLogCheckpoint(s.database.reader().QueryRowContext(ctx, selectLogCheckpoint, origin))
	if err != nil {
		return c, fmt.Errorf("store: the last checkpoint of the log %s: %w", origin, s.database.typed(err))
	}
	c.Origin = origin
	return c, nil
}

const selectLogCheckpoint = "SELECT size, root, published_at FROM log_checkpoints WHERE origin = ?"

func readLogCheckpoint(row *sql.Row) (c LogCheckpoint, err error) {
	var root []byte
	err = row.Scan(&c.Size, &root, (*micros)(&c.PublishedAt))
	if errors.Is(err, sql.ErrNoRows) {
		return LogCheckpoint{}, nil
	}
	copy(c.Root[:], root)
	return c, err
}

// ErrOvertaken: another process has written what this one was about to replace.
var ErrOvertaken = errors.New("another process has written it")

// KeepLogCheckpoint puts the last checkpoint of a log in the place of was, the one that the caller has read or written
// last (size 0: none). It may be done again when it is not known whether it was done. ErrOvertaken when what is there is
// neither of the two: somebody else signs for this log.
func (s *Store) KeepLogCheckpoint(ctx context.Context, was, c LogCheckpoint) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		done, err := swapLogCheckpoint(ctx, tx, was, c)
		if err != nil || done {
			return func(*memory) {}, err
		}
		there, err := readLogCheckpoint(tx.QueryRowContext(ctx, selectLogCheckpoint, c.Origin))
		if err == nil && (there.Size != c.Size || there.Root != c.Root) {
			err = fmt.Errorf("a checkpoint of %d records of the log %s: %w", there.Size, c.Origin, ErrOvertaken)
		}
		return func(*memory) {}, err
	})
}

// swapLogCheckpoint says whether was was there.
func swapLogCheckpoint(ctx context.Context, tx *sql.Tx, was, c LogCheckpoint) (bool, error) {
	var done sql.Result
	var err error
	if was.Size == 0 {
		done, err = tx.ExecContext(ctx, insertLogCheckpoint+" ON CONFLICT (origin) DO NOTHING", c.Origin, c.Size, c.Root[:], c.PublishedAt.UnixMicro())
	} else {
		done, err = tx.ExecContext(ctx, "UPDATE log_checkpoints SET size = ?, root = ?, published_at = ? WHERE origin = ? AND size = ? AND root = ?",
			c.Size, c.Root[:], c.PublishedAt.UnixMicro(), c.Origin, was.Size, was.Root[:])
	}
	if err != nil {
		return false, err
	}
	n, err := done.RowsAffected()
	return n == 1, err
}

// ReplaceLogCheckpoint puts a checkpoint of another history in the place of what is there.
func (s *Store) ReplaceLogCheckpoint(ctx context.Context, c LogCheckpoint) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		_, err := tx.ExecContext(ctx, insertLogCheckpoint+" ON CONFLICT (origin) DO UPDATE SET size = excluded.size, root = excluded.root, published_at = excluded.published_at",
			c.Origin, c.Size, c.Root[:], c.PublishedAt.UnixMicro())
		return func(*memory) {}, err
	})
}

const insertLogCheckpoint = "INSERT INTO log_checkpoints (origin, size, root, published_at) VALUES (?, ?, ?, ?)"

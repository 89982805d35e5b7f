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

// KeepLogCheckpoint keeps the last checkpoint of a log. One that is not larger than what is there is passed over.
func (s *Store) KeepLogCheckpoint(ctx context.Context, c LogCheckpoint) error {
	return s.putLogCheckpoint(ctx, c, " WHERE log_checkpoints.size < excluded.size")
}

// ReplaceLogCheckpoint puts a checkpoint of another history in the place of what is there.
func (s *Store) ReplaceLogCheckpoint(ctx context.Context, c LogCheckpoint) error {
	return s.putLogCheckpoint(ctx, c, "")
}

func (s *Store) putLogCheckpoint(ctx context.Context, c LogCheckpoint, where string) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		//nolint:gosec // G202: where is a constant
		_, err := tx.ExecContext(ctx, `INSERT INTO log_checkpoints (origin, size, root, published_at) VALUES (?, ?, ?, ?)
			ON CONFLICT (origin) DO UPDATE SET size = excluded.size, root = excluded.root, published_at = excluded.published_at`+where,
			c.Origin, c.Size, c.Root[:], c.PublishedAt.UnixMicro())
		return func(*memory) {}, err
	})
}

package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// AnswerName names the answer to a request: whose it is, for which key, and the
// idempotency key that the caller gave.
type AnswerName struct{ Principal, KeyARN, IdempotencyKey string }

// Answer is a signature that was asked for with an idempotency key. Memory has none of
// them: they are read where they are asked for.
type Answer struct {
	AnswerName
	Request   []byte // SHA-256 of what was asked for
	Signature []byte
	Version   int    // of the key
	Instance  string // the process that made it
	After     uint64 // the last record of its log then
	Record    string // receipt of the record that vouches for it; "" until it is known to be durable
	CreatedAt time.Time
}

// Answers finds those of one principal and key by their idempotency keys, of those
// kept since a time.
func (s *Store) Answers(ctx context.Context, principal, keyARN string, keys []string, since time.Time) (map[string]*Answer, error) {
	ctx, cancel := s.database.bound(ctx, followTimeout)
	defer cancel()
	args := make([]any, 0, len(keys)+3)
	args = append(args, principal, keyARN, since.UnixMicro())
	for _, k := range keys {
		args = append(args, k)
	}
	rows, err := s.database.reader().QueryContext(ctx, `SELECT idempotency_key, request, signature, version, instance, after, record, created_at FROM answers
		WHERE principal = ? AND key_arn = ? AND created_at >= ? AND idempotency_key IN (?`+strings.Repeat(", ?", len(keys)-1)+")", args...)
	if err != nil {
		return nil, fmt.Errorf("store: %w", s.database.typed(err))
	}
	defer rows.Close()
	found := make(map[string]*Answer)
	for rows.Next() {
		a := &Answer{AnswerName: AnswerName{Principal: principal, KeyARN: keyARN}}
		if err := rows.Scan(&a.IdempotencyKey, &a.Request, &a.Signature, &a.Version, &a.Instance, &a.After, &a.Record, (*micros)(&a.CreatedAt)); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		found[a.IdempotencyKey] = a
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("store: %w", s.database.typed(err))
	}
	return found, nil
}

// KeepAnswers keeps answers and notes the records of others, in one transaction. Where
// there is one since a time under the same name, it stays: lost has those that were not
// kept for that.
func (s *Store) KeepAnswers(ctx context.Context, answers []*Answer, records map[AnswerName]string, since time.Time) (lost map[AnswerName]bool, err error) {
	lost = make(map[AnswerName]bool)
	err = s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		for _, a := range answers {
			result, err := tx.ExecContext(ctx, `INSERT INTO answers (principal, key_arn, idempotency_key, request, signature, version, instance, after, record, created_at)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', ?) ON CONFLICT (principal, key_arn, idempotency_key) DO UPDATE SET request = excluded.request, signature = excluded.signature,
				version = excluded.version, instance = excluded.instance, after = excluded.after, record = '', created_at = excluded.created_at WHERE answers.created_at < ?`,
				a.Principal, a.KeyARN, a.IdempotencyKey, a.Request, a.Signature, a.Version, a.Instance, int64(a.After), a.CreatedAt.UnixMicro(), since.UnixMicro()) //nolint:gosec // G115: a number of records
			if err != nil {
				return nil, err
			}
			if n, err := result.RowsAffected(); err != nil {
				return nil, err
			} else if n == 0 {
				lost[a.AnswerName] = true
			}
		}
		for name, record := range records {
			if _, err := tx.ExecContext(ctx, "UPDATE answers SET record = ? WHERE principal = ? AND key_arn = ? AND idempotency_key = ?",
				record, name.Principal, name.KeyARN, name.IdempotencyKey); err != nil {
				return nil, err
			}
		}
		return func(*memory) {}, nil
	})
	return lost, err
}

// ForgetAnswers removes the answers kept before a time, and of each principal those
// beyond the newest most.
func (s *Store) ForgetAnswers(ctx context.Context, before time.Time, most int) error {
	var count int
	var oldest sql.NullInt64
	read, cancel := s.database.bound(ctx, followTimeout)
	defer cancel()
	if err := s.database.reader().QueryRowContext(read, "SELECT count(*), min(created_at) FROM answers").Scan(&count, &oldest); err != nil {
		return fmt.Errorf("store: %w", s.database.typed(err))
	}
	if count <= most && (count == 0 || oldest.Int64 >= before.UnixMicro()) {
		return nil
	}
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		if _, err := tx.ExecContext(ctx, "DELETE FROM answers WHERE created_at < ?", before.UnixMicro()); err != nil {
			return nil, err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM answers WHERE (principal, key_arn, idempotency_key) IN (
			SELECT principal, key_arn, idempotency_key FROM (
				SELECT principal, key_arn, idempotency_key, row_number() OVER (PARTITION BY principal ORDER BY created_at DESC) AS place FROM answers
			) AS placed WHERE place > ?)`, most)
		return func(*memory) {}, err
	})
}

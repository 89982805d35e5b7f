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
	Signature []byte // sealed by who keeps it
	Version   int    // of the key
	Call      []byte // the record of the call as JSON, without place, time and outcome; sealed, and empty once it is recorded
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
	rows, err := s.database.reader().QueryContext(ctx, `SELECT idempotency_key, request, signature, version, call, instance, after, record, created_at FROM answers
		WHERE principal = ? AND key_arn = ? AND created_at >= ? AND idempotency_key IN (?`+strings.Repeat(", ?", len(keys)-1)+")", args...)
	if err != nil {
		return nil, fmt.Errorf("store: %w", s.database.typed(err))
	}
	defer rows.Close()
	found := make(map[string]*Answer)
	for rows.Next() {
		a := &Answer{AnswerName: AnswerName{Principal: principal, KeyARN: keyARN}}
		if err := rows.Scan(&a.IdempotencyKey, &a.Request, &a.Signature, &a.Version, &a.Call, &a.Instance, &a.After, &a.Record, (*micros)(&a.CreatedAt)); err != nil {
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
// there is one since a time under the same name, or one without a record, it stays: lost has those that were not
// kept for that.
func (s *Store) KeepAnswers(ctx context.Context, answers []*Answer, records map[AnswerName]string, since time.Time) (lost map[AnswerName]bool, err error) {
	lost = make(map[AnswerName]bool)
	err = s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		for _, a := range answers {
			result, err := tx.ExecContext(ctx, `INSERT INTO answers (principal, key_arn, idempotency_key, request, signature, version, call, instance, after, record, created_at)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?) ON CONFLICT (principal, key_arn, idempotency_key) DO UPDATE SET request = excluded.request, signature = excluded.signature,
				version = excluded.version, call = excluded.call, instance = excluded.instance, after = excluded.after, record = '', created_at = excluded.created_at WHERE answers.created_at < ? AND answers.record <> ''`,
				a.Principal, a.KeyARN, a.IdempotencyKey, a.Request, a.Signature, a.Version, blob(a.Call), a.Instance, int64(a.After), a.CreatedAt.UnixMicro(), since.UnixMicro())
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
			if _, err := tx.ExecContext(ctx, "UPDATE answers SET record = ?, call = ? WHERE principal = ? AND key_arn = ? AND idempotency_key = ?",
				record, blob(nil), name.Principal, name.KeyARN, name.IdempotencyKey); err != nil {
				return nil, err
			}
		}
		return func(*memory) {}, nil
	})
	return lost, err
}

// blob is b as a column that is never null holds it.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// TakeAnswers makes unrecorded answers of other processes those of this one: they are as old as before, and have ended, or
// have another name now. head is the last record of its log.
func (s *Store) TakeAnswers(ctx context.Context, instance string, head uint64, before time.Time) error {
	var there bool
	read, cancel := s.database.bound(ctx, followTimeout)
	defer cancel()
	if err := s.database.reader().QueryRowContext(read, "SELECT EXISTS (SELECT 1 FROM answers WHERE record = '' AND instance <> ? AND created_at < ?)",
		instance, before.UnixMicro()).Scan(&there); err != nil {
		return fmt.Errorf("store: %w", s.database.typed(err))
	} else if !there { // as nearly always: nobody is kept from writing
		return nil
	}
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		_, err := tx.ExecContext(ctx, `UPDATE answers SET instance = ?, after = CASE WHEN after > ? THEN ? ELSE after END
			WHERE record = '' AND instance <> ? AND created_at < ?`, instance, int64(head), int64(head), instance, before.UnixMicro())
		return func(*memory) {}, err
	})
}

// UnrecordedAnswers are the oldest answers of a process that no record is noted of: their names and requests.
func (s *Store) UnrecordedAnswers(ctx context.Context, instance string, most int) (all []*Answer, err error) {
	ctx, cancel := s.database.bound(ctx, followTimeout)
	defer cancel()
	rows, err := s.database.reader().QueryContext(ctx, `SELECT principal, key_arn, idempotency_key, request FROM answers
		WHERE record = '' AND instance = ? ORDER BY created_at LIMIT ?`, instance, most)
	if err != nil {
		return nil, fmt.Errorf("store: %w", s.database.typed(err))
	}
	defer rows.Close()
	for rows.Next() {
		a := &Answer{Instance: instance}
		if err := rows.Scan(&a.Principal, &a.KeyARN, &a.IdempotencyKey, &a.Request); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		all = append(all, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("store: %w", s.database.typed(err))
	}
	return all, nil
}

// forgetMost is how many answers one transaction removes, so that others have their turn.
const forgetMost = 10_000

// ForgetAnswers removes the answers kept before a time, and of each principal those
// beyond the newest most. One without a record stays.
func (s *Store) ForgetAnswers(ctx context.Context, before time.Time, most int) error {
	const names = "principal, key_arn, idempotency_key"
	if err := s.forgetAnswers(ctx, "SELECT "+names+" FROM answers WHERE created_at < ? AND record <> '' ORDER BY created_at LIMIT ?",
		before.UnixMicro(), forgetMost); err != nil {
		return err
	}
	over, err := s.answerersOf(ctx, most)
	if err != nil {
		return err
	}
	for _, principal := range over {
		if err := s.forgetAnswers(ctx, "SELECT "+names+" FROM answers WHERE principal = ? ORDER BY created_at DESC LIMIT ? OFFSET ?",
			principal, forgetMost, most); err != nil {
			return err
		}
	}
	return nil
}

// answerersOf are the principals of whom more than that many answers are kept.
func (s *Store) answerersOf(ctx context.Context, most int) (all []string, err error) {
	ctx, cancel := s.database.bound(ctx, followTimeout)
	defer cancel()
	rows, err := s.database.reader().QueryContext(ctx, "SELECT principal FROM answers GROUP BY principal HAVING count(*) > ?", most)
	if err != nil {
		return nil, fmt.Errorf("store: %w", s.database.typed(err))
	}
	defer rows.Close()
	for rows.Next() {
		var principal string
		if err := rows.Scan(&principal); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		all = append(all, principal)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("store: %w", s.database.typed(err))
	}
	return all, nil
}

// forgetAnswers removes those that a query names, as long as it names forgetMost. Where it
// names none, nothing waits for the right to write.
func (s *Store) forgetAnswers(ctx context.Context, query string, args ...any) error {
	for removed := int64(forgetMost); removed == forgetMost; {
		read, cancel := s.database.bound(ctx, followTimeout)
		var there int
		err := s.database.reader().QueryRowContext(read, "SELECT count(*) FROM ("+query+") AS named", args...).Scan(&there)
		cancel()
		if err != nil {
			return fmt.Errorf("store: %w", s.database.typed(err))
		}
		if there == 0 {
			return nil
		}
		err = s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
			result, err := tx.ExecContext(ctx, "DELETE FROM answers WHERE record <> '' AND (principal, key_arn, idempotency_key) IN ("+query+")", args...) //nolint:gosec // G202: query is made of constants
			if err == nil {
				removed, err = result.RowsAffected()
			}
			return func(*memory) {}, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

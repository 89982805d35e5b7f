package store

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"
)

// keptOf keeps answers of a principal, each a microsecond after the one before, with a record or without.
func keptOf(t *testing.T, s *Store, principal string, n int, at time.Time, record string) {
	t.Helper()
	request := sha256.Sum256(nil)
	var all []*Answer
	records := map[AnswerName]string{}
	for i := range n {
		name := AnswerName{Principal: principal, KeyARN: "arn", IdempotencyKey: fmt.Sprint(record, i)}
		all = append(all, &Answer{AnswerName: name, Request: request[:], Signature: []byte("s"), Instance: "one", After: 7, CreatedAt: at.Add(time.Duration(i) * time.Microsecond)})
		if record != "" {
			records[name] = record
		}
	}
	_, err := s.KeepAnswers(t.Context(), all, records, time.UnixMicro(0))
	ok(t, err)
}

func answersOf(t *testing.T, s *Store, principal string) (n int) {
	t.Helper()
	ok(t, s.database.reader().QueryRowContext(t.Context(), "SELECT count(*) FROM answers WHERE principal = ?", principal).Scan(&n))
	return n
}

// TestForgetAnswersOfOneCaller: only who has too many loses some, and none without a record; where nobody has, nothing
// is written, however many callers there are.
func TestForgetAnswersOfOneCaller(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		now := time.Now()
		for n := range 5 {
			keptOf(t, s, fmt.Sprint("caller ", n), 3, now, "r")
		}
		unlock, err := s.lock(t.Context())
		ok(t, err)
		forgotten := make(chan error, 1)
		go func() { forgotten <- s.ForgetAnswers(t.Context(), now.Add(-time.Hour), 3) }()
		select {
		case err := <-forgotten:
			ok(t, err)
		case <-time.After(20 * time.Second): // only to end a hang
			t.Error("it waits for the right to write, with nothing to remove")
		}
		unlock()
		keptOf(t, s, "caller 0", 4, now.Add(time.Second), "s")
		keptOf(t, s, "caller 1", 4, now.Add(-2*time.Hour), "")
		ok(t, s.ForgetAnswers(t.Context(), now.Add(-time.Hour), 3))
		for principal, want := range map[string]int{"caller 0": 3, "caller 1": 7, "caller 2": 3} {
			if n := answersOf(t, s, principal); n != want {
				t.Errorf("%s: %d answers, want %d", principal, n, want)
			}
		}
		left, err := s.UnrecordedAnswers(t.Context(), "one", 3)
		if err != nil || len(left) != 3 || left[0].Principal != "caller 1" || left[0].IdempotencyKey != "0" {
			t.Errorf("%+v, %v", left, err)
		}
		// Under another name they are found when they are old enough, after a record that is there.
		ok(t, s.TakeAnswers(t.Context(), "two", 5, now.Add(-2*time.Hour)))
		left, err = s.UnrecordedAnswers(t.Context(), "two", 3)
		equal(t, len(left), 0)
		ok(t, err)
		ok(t, s.TakeAnswers(t.Context(), "two", 5, now.Add(-time.Hour)))
		left, err = s.UnrecordedAnswers(t.Context(), "two", 3)
		equal(t, len(left), 3)
		ok(t, err)
		kept, err := s.Answers(t.Context(), "caller 1", left[0].KeyARN, []string{"0"}, time.UnixMicro(0))
		ok(t, err)
		equal(t, kept["0"].Instance, "two")
		equal(t, kept["0"].After, 5)
	})
}

package store

import (
	"testing"
	"time"
)

// The last checkpoint of a log takes the place of the one that the caller knows, and of no other, until it is replaced
// on purpose.
func TestLogCheckpoints(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		at := func(origin string, size int64, root byte) LogCheckpoint {
			return LogCheckpoint{Origin: origin, Size: size, Root: [32]byte{root}, PublishedAt: stored(t0).Add(time.Duration(size) * time.Second)}
		}
		last := func(want LogCheckpoint) {
			t.Helper()
			got, err := s.LogCheckpoint(ctx, want.Origin)
			ok(t, err)
			equal(t, got, want)
		}
		last(LogCheckpoint{Origin: "one"})
		none := LogCheckpoint{}
		ok(t, s.KeepLogCheckpoint(ctx, none, at("one", 5, 1)))
		ok(t, s.KeepLogCheckpoint(ctx, none, at("two", 7, 2)))
		last(at("one", 5, 1))
		ok(t, s.KeepLogCheckpoint(ctx, none, at("one", 5, 1))) // the same again
		for _, was := range []LogCheckpoint{none, at("one", 5, 2), at("one", 4, 1), at("two", 7, 2)} {
			is(t, s.KeepLogCheckpoint(ctx, was, at("one", 9, 3)), ErrOvertaken)
			last(at("one", 5, 1))
		}
		ok(t, s.KeepLogCheckpoint(ctx, at("one", 5, 1), at("one", 9, 5)))
		ok(t, s.KeepLogCheckpoint(ctx, at("one", 5, 1), at("one", 9, 5)))
		last(at("one", 9, 5))
		ok(t, s.ReplaceLogCheckpoint(ctx, at("one", 3, 6)))
		last(at("one", 3, 6))
		last(at("two", 7, 2))
		if err := s.KeepLogCheckpoint(ctx, none, at("three", 0, 1)); err == nil {
			t.Fatal("a checkpoint of no records is kept")
		}
		likeFile(t, s)
	})
}

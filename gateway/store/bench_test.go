package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// tenThousand is a Store with 10,000 keys of one alias each, loaded from a
// database that was filled in one transaction.
func tenThousand(b *testing.B, place string) *Store {
	b.Helper()
	s := openStore(b, place)
	ctx := context.WithoutCancel(b.Context())
	tx, _, _, err := s.database.begin(ctx)
	ok(b, err)
	for i := range 10_000 {
		k := aKey(fmt.Sprintf("key-%05d", i))
		k.Tags = nil
		ok(b, errors.Join(insertLine(ctx, tx, k.ID, &k.Line), insertMember(ctx, tx, k)))
		_, err := tx.ExecContext(ctx, "INSERT INTO aliases (region, name, key_id, created_at, updated_at) VALUES (?, ?, ?, 0, 0)", home, "alias/"+k.ID, k.ID)
		ok(b, err)
	}
	ok(b, tx.Commit())
	s.version = unknown
	ok(b, s.follow(b.Context()))
	return s
}

func Benchmark10000Keys(b *testing.B) {
	for name, place := range places {
		b.Run(name, func(b *testing.B) { tenThousandKeys(b, tenThousand(b, place(b))) })
	}
}

func tenThousandKeys(b *testing.B, s *Store) {
	b.Run("Key", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, found := s.Key(home, "key-05000"); !found {
				b.Fatal("not found")
			}
		}
	})
	b.Run("Key from all cores", func(b *testing.B) {
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				s.Key(home, "key-05000")
			}
		})
	})
	b.Run("Alias", func(b *testing.B) {
		for b.Loop() {
			s.Alias(home, "alias/key-05000")
		}
	})
	b.Run("Keys page of 100", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.Keys(home, "key-05000", 100)
		}
	})
	b.Run("DueDeletions", func(b *testing.B) {
		now := time.Now()
		for b.Loop() {
			s.DueDeletions(now)
		}
	})
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			s.version = unknown
			ok(b, s.follow(b.Context()))
		}
	})
	b.Run("look for changes", func(b *testing.B) {
		for b.Loop() {
			ok(b, s.follow(b.Context()))
		}
	})
	b.Run("SetKeyState", func(b *testing.B) {
		states := []string{StateDisabled, StateEnabled} // the same again would not be written
		for n := 0; b.Loop(); n++ {
			ok(b, s.SetKeyState(b.Context(), home, "key-05000", states[n%2], time.Time{}))
		}
	})
	other := openAgain(b, s)
	b.Run("follow another's SetDescription", func(b *testing.B) {
		for n := 0; b.Loop(); n++ {
			b.StopTimer()
			ok(b, other.ChangeDescription(b.Context(), home, "key-05000", toText(fmt.Sprint(n))))
			b.StartTimer()
			ok(b, s.follow(b.Context()))
		}
	})
	i := 0
	b.Run("InsertKey", func(b *testing.B) {
		for b.Loop() {
			i++
			ok(b, s.InsertKey(b.Context(), aKey(fmt.Sprintf("key-%d", i))))
		}
	})
}

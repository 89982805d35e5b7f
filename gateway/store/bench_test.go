package store

import (
	"fmt"
	"testing"
	"time"
)

// tenThousand is a Store with 10,000 keys of one alias each, loaded from a
// file that was filled in one transaction.
func tenThousand(b *testing.B) *Store {
	b.Helper()
	s := openStore(b, b.TempDir()+"/hsmgate.db")
	_, err := file(s).writer.ExecContext(b.Context(), `
		CREATE TEMP TABLE n AS WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) SELECT i, printf('key-%05d', i) AS id FROM n;
		BEGIN;
		INSERT INTO lines SELECT id, 'ECC_NIST_P256', 'SIGN_VERIFY', 'AWS_KMS', '', 0, '', 0, NULL, NULL, '', NULL FROM n;
		INSERT INTO keys (region, id, description, state, created_at, pending_days) SELECT '`+home+`', id, '', 'Enabled', 0, 0 FROM lines;
		INSERT INTO versions SELECT id, 1, randomblob(16), randomblob(91), NULL, 0, 0, '', '', '', NULL, 0 FROM lines;
		INSERT INTO aliases SELECT '`+home+`', 'alias/' || id, id, 0, 0 FROM lines;
		COMMIT`)
	ok(b, err)
	s.version = -1
	ok(b, s.follow(b.Context()))
	return s
}

func Benchmark10000Keys(b *testing.B) {
	s := tenThousand(b)
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
			s.version = -1
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
	i := 0
	b.Run("InsertKey", func(b *testing.B) {
		for b.Loop() {
			i++
			ok(b, s.InsertKey(b.Context(), aKey(fmt.Sprintf("key-%d", i))))
		}
	})
}

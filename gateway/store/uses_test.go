package store

import (
	"testing"
	"time"
)

// TestUsesSince: a database that is made now has last uses from now on, whenever
// it is opened.
func TestUsesSince(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		since, err := s.UsesSince(t.Context())
		ok(t, err)
		if age := time.Since(since); age < -time.Second || age > time.Hour {
			t.Errorf("since %s", since)
		}
		o, err := openAt(t.Context(), placeOf(s))
		ok(t, err)
		defer o.Close()
		again, err := o.UsesSince(t.Context())
		ok(t, err)
		if !again.Equal(since) {
			t.Errorf("%s, and when opened again %s", since, again)
		}
	})
}

// TestKeyCountIn: of one region, as far as callers see its keys.
func TestKeyCountIn(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for id, change := range map[string]func(*Key){
		"a": func(*Key) {}, "b": func(k *Key) { k.State = StateDisabled }, "c": func(k *Key) { k.State = StateCreating },
		"d": func(k *Key) { k.Region = "eu-central-2" }, "e": func(k *Key) { k.Region = "ap-south-1" },
		"mrk-0": func(k *Key) { k.Region = "eu-central" },
	} {
		k := aKey(id)
		change(k)
		ok(t, s.InsertKey(t.Context(), k))
	}
	for region, want := range map[string]int{home: 2, "eu-central-2": 1, "ap-south-1": 1, "eu-central": 1, "us-east-1": 0} {
		if n := s.KeyCountIn(region); n != want {
			t.Errorf("%s: %d keys, want %d", region, n, want)
		}
	}
}

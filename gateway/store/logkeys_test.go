package store

import (
	"slices"
	"testing"
)

func aLogKey(object string) LogKey {
	return LogKey{Instance: "one", Origin: "log.example.com/one", Spec: "ECC_NIST_EDWARDS25519", ObjectID: []byte(object), PublicKey: []byte("public"), CreatedAt: t0}
}

func TestLogKeys(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		claim(t, s, "a", "b", "c")
		_, err := s.RetireLogKey(ctx, "log.example.com/one", t0)
		is(t, err, ErrNotFound)
		for i, object := range []string{"a", "b"} {
			n, err := s.InsertLogKey(ctx, aLogKey(object))
			ok(t, err)
			equal(t, n, i+1)
		}
		_, err = s.InsertLogKey(ctx, aLogKey("b"))
		is(t, err, ErrExists)
		_, err = s.InsertLogKey(ctx, aLogKey("unclaimed"))
		is(t, err, ErrState)
		other := aLogKey("c")
		other.Origin = "log.example.com/two"
		n, err := s.InsertLogKey(ctx, other)
		ok(t, err)
		equal(t, n, 1)
		retired, err := s.RetireLogKey(ctx, "log.example.com/one", t0)
		ok(t, err)
		equal(t, retired.Number, 2)
		_, err = s.RetireLogKey(ctx, "log.example.com/one", t0)
		is(t, err, ErrNotFound)
		var got []string
		for _, k := range s.LogKeys("log.example.com/one") {
			got = append(got, string(k.ObjectID))
		}
		if !slices.Equal(got, []string{"b", "a"}) || len(s.AllLogKeys()) != 3 || s.LogKeys("log.example.com/one")[0].RetiredAt.IsZero() {
			t.Fatal(got, len(s.AllLogKeys()))
		}
		for _, o := range s.Pending() {
			if slices.Contains(got, string(o.ObjectID)) {
				t.Fatal("a key is still pending")
			}
		}
		likeFile(t, s)
	})
}

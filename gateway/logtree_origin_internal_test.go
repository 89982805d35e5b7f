package gateway

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/store"
)

func logOf(t *testing.T, writers ...string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "audit.log")
	l, err := audit.Open(path, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range writers {
		if _, err := l.Append(t.Context(), &audit.Record{Origin: w, Operation: "Sign"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestNamesAreGivenAgain: a new machine may get the name that a daemon had before.
func TestNamesAreGivenAgain(t *testing.T) {
	at := func(n int64) time.Time { return time.Unix(n, 0) }
	keys := []*store.LogKey{
		{Origin: "log-of-a", Number: 1, Instance: "a", CreatedAt: at(1), RetiredAt: at(2)},
		{Origin: "log-of-a", Number: 2, Instance: "b", CreatedAt: at(3)}, // rotate-key, after a was renamed
		{Origin: "log-of-new-a", Number: 1, Instance: "a", CreatedAt: at(4)},
	}
	for _, c := range []struct {
		writers []string
		want    string
	}{
		{[]string{"a", "a", "b", "b"}, "log-of-a"},
		{[]string{"a", "a"}, "log-of-new-a"},
		{[]string{"b", "c"}, "log-of-a"}, // c has no key: it is the copy or the new name of another one
		{[]string{"c"}, ""},
		{nil, ""},
	} {
		got, written, err := writtenOrigin(logOf(t, c.writers...), keys)
		if got != c.want || written != (len(c.writers) > 0) || err != nil {
			t.Errorf("%v: %q, %v, %v; want %q", c.writers, got, written, err, c.want)
		}
	}
}

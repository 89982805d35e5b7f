package audit

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// logOf makes a closed log of n records.
func logOf(t testing.TB, n int) (path string, receipts []Receipt) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "audit.log")
	l := open(t, path, Options{})
	receipts = add(t, l, 0, n)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return path, receipts
}

func appendTo(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenCutsATornLine(t *testing.T) {
	path, want := logOf(t, 5)
	for _, torn := range []string{`{"seq":6,"pr`, "\x00\x00\x00", "\x00\x00\n{\"seq\":7}\n", "{", strings.Repeat("x", 200<<10)} {
		appendTo(t, path, torn)
		var got []Recovery
		l := open(t, path, Options{OnRecovered: func(r Recovery) { got = append(got, r) }})
		if len(got) != 1 || got[0].Bytes != int64(len(torn)) || got[0].After != want[len(want)-1] || !strings.HasPrefix(torn, string(got[0].Text)) {
			t.Fatalf("%.20q: %+v", torn, got)
		}
		want = append(want, add(t, l, len(want), 1)...)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		checkFile(t, path, want)
	}
}

// Whole lines that were not answered stay: they are in the chain.
func TestOpenKeepsWholeLinesAfterTheHead(t *testing.T) {
	path, want := logOf(t, 5)
	old, err := os.ReadFile(HeadPath(path))
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, path, Options{})
	want = append(want, add(t, l, 5, 300)...) // more than one window of the tail's reader
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(HeadPath(path), old, 0o600); err != nil {
		t.Fatal(err)
	}
	l = open(t, path, Options{})
	if l.Head() != want[304] {
		t.Fatal(l.Head())
	}
}

func TestOpenRefusesWhatItsHeadDenies(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(b []byte) []byte
		want   string
	}{
		"one cut off":  {func(b []byte) []byte { return b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1] }, "record 50 is missing"},
		"many cut off": {func(b []byte) []byte { return b[:bytes.IndexByte(b, '\n')+1] }, "records 2 to 50 are missing"},
		"all cut off":  {func([]byte) []byte { return nil }, "records 1 to 50 are missing"},
		"torn":         {func(b []byte) []byte { return b[:len(b)-1] }, "record 50 is missing"},
		"last changed": {func(b []byte) []byte {
			return append(b[:len(b)-20], bytes.Replace(b[len(b)-20:], []byte("4"), []byte("5"), 1)...)
		}, "record 50 is not the one that the head names"},
		"line added":    {func(b []byte) []byte { return append(b, "{}\n"...) }, "does not continue record 50"},
		"line repeated": {func(b []byte) []byte { return append(b, b[bytes.LastIndexByte(b[:len(b)-1], '\n')+1:]...) }, "does not continue record 50"},
		"another's log": {func([]byte) []byte { l, _ := chain(50); return join(l) }, "record 50 is not the one that the head names"},
	} {
		t.Run(name, func(t *testing.T) {
			path, _ := logOf(t, 50)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b = c.damage(b)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = Open(path, Options{})
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), c.want) {
				t.Fatal(err)
			}
			if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, b) {
				t.Fatal("a refused log was changed", err)
			}
		})
	}
}

func TestOpenAndTheHeadFile(t *testing.T) {
	path, want := logOf(t, 3)
	head, err := os.ReadFile(HeadPath(path))
	if err != nil {
		t.Fatal(err)
	}
	put := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(HeadPath(path), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// A crash garbles at most one slot. The other one counts.
	for i := range slotSize {
		b := bytes.Clone(head)
		b[i] ^= 1
		put(b)
		if r, err := ReadHead(path); err != nil || r.Seq > 3 || r.Seq < 2 {
			t.Fatal(i, r, err)
		}
	}
	put(bytes.Repeat([]byte("x"), headSize))
	if _, err := Open(path, Options{}); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
	if err := os.Remove(HeadPath(path)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "has no head file") {
		t.Fatal(err)
	}
	if r, err := Adopt(path); err != nil || r.End != want[2] {
		t.Fatal(r, err)
	}
	l := open(t, path, Options{})
	want = append(want, add(t, l, 3, 1)...)
	if _, err := Adopt(path); !errors.Is(err, ErrInUse) {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	checkFile(t, path, want)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "records 1 to 4 are missing") {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("a refused log was made", err)
	}
}

// The head that told of lost records is not lost with them.
func TestAdoptKeepsTheHeadThatItReplaces(t *testing.T) {
	path, _ := logOf(t, 5)
	head, err := os.ReadFile(HeadPath(path))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1], 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := Adopt(path); err != nil || r.End.Seq != 4 {
		t.Fatal(r, err)
	}
	kept, err := filepath.Glob(HeadPath(path) + ".before-*")
	if err != nil || len(kept) != 1 {
		t.Fatal(kept, err)
	}
	if was, err := os.ReadFile(kept[0]); err != nil || !bytes.Equal(was, head) {
		t.Fatalf("%q, %v", was, err)
	}
	if err := open(t, path, Options{}).Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAdoptRefusesABrokenChain(t *testing.T) {
	path, _ := logOf(t, 5)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(b, []byte("allowed"), []byte("alIowed"), 2), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Adopt(path)
	if !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
	found(t, r, "changed 1", "changed 2")
}

func TestOpenRefusesWhatCannotBeALog(t *testing.T) {
	path, _ := logOf(t, 2)
	l := open(t, path, Options{})
	if _, err := Open(path, Options{}); !errors.Is(err, ErrInUse) {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(context.Background(), sample(0)); !errors.Is(err, ErrNotDurable) {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal("a second Close:", err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{path, t.TempDir(), filepath.Join(t.TempDir(), "none", "audit.log"), fifo(t)} {
		if _, err := Open(bad, Options{}); !errors.Is(err, ErrUnusable) {
			t.Fatal(bad, err)
		}
	}
}

package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func fifo(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// quick makes a broken log try again at once, so that tests need not wait.
var quick = Options{Retry: time.Nanosecond, Timeout: 20 * time.Second}

// refused checks that the next record is refused, as not durable and with the text, and that the log says so.
func refused(t testing.TB, l *Log, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := l.Append(ctx, sample(999))
	var e *Error
	if !errors.Is(err, ErrNotDurable) || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), text) || !errors.As(err, &e) || e.Advice == "" {
		t.Fatalf("%q is not in: %v", text, err)
	}
	if l.Ready() == nil || l.Stats().Broken == nil {
		t.Fatal("a log that refuses says that it is ready")
	}
	if strings.Contains(err.Error(), "\n") {
		t.Fatalf("a text of several lines: %q", err)
	}
}

// mended polls until the log takes records again, and appends some.
func mended(t testing.TB, l *Log, have []Receipt) []Receipt {
	t.Helper()
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if err = l.Ready(); err == nil {
			return append(have, add(t, l, len(have), 3)...)
		}
	}
	t.Fatal("it does not come back:", err)
	return nil
}

// Each step of a batch fails, with and without having been done, once and twice in a row.
func TestEachStepFails(t *testing.T) {
	broken := errors.New("broken for the test")
	for _, s := range []step{stepWrite, stepSync, stepAnswer, stepHead} {
		for _, part := range []float64{0, 0.5, 1} {
			for _, cuts := range []int32{0, 1, 3} {
				t.Run(fmt.Sprintf("%s, %v done, then %d cuts", s, part, cuts), func(t *testing.T) {
					t.Parallel()
					var fail, failCut atomic.Int32
					o := quick
					o.fault = func(at step) failure {
						if at == s && fail.Add(-1) >= 0 || at == stepCut && failCut.Add(-1) >= 0 {
							return failure{broken, part}
						}
						return failure{}
					}
					path := filepath.Join(t.TempDir(), "audit.log")
					l := open(t, path, o)
					want := add(t, l, 0, 3)
					failCut.Store(cuts)
					fail.Store(1)
					r, err := l.Append(context.Background(), sample(3))
					if s == stepHead { // the record is durable; the head is made anew before the next one
						if err != nil {
							t.Fatal(err)
						}
						want = append(want, r)
					} else if !errors.Is(err, ErrNotDurable) || !errors.Is(err, broken) {
						t.Fatal(err)
					}
					want = mended(t, l, want)
					if s != stepHead && l.Stats().Repairs == 0 {
						t.Fatalf("%+v", l.Stats())
					}
					if err := l.Close(); err != nil {
						t.Fatal(err)
					}
					checkFile(t, path, want)
					if h, err := ReadHead(path); err != nil || h != want[len(want)-1] {
						t.Fatal(h, err)
					}
				})
			}
		}
	}
}

// A log that stays broken refuses everything, and what is on the disk when the process ends is whole.
func TestStaysBrokenUntilTheEnd(t *testing.T) {
	broken := errors.New("broken for the test")
	var fail atomic.Bool
	o := quick
	o.fault = func(at step) failure {
		if fail.Load() {
			return failure{broken, 0.5}
		}
		return failure{}
	}
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, path, o)
	want := add(t, l, 0, 3)
	fail.Store(true)
	for range 5 {
		refused(t, l, "broken for the test")
	}
	if err := l.Close(); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	recovered := false
	l = open(t, path, Options{OnRecovered: func(Recovery) { recovered = true }})
	if !recovered {
		t.Fatal("half of a line was written and nothing is said about it")
	}
	checkFile(t, path, append(want, add(t, l, 3, 1)...))
}

// Somebody touches the file; and mends it.
func TestTheFileIsTouched(t *testing.T) {
	for name, c := range map[string]struct {
		damage, mend func(t *testing.T, path string)
		text         string
	}{
		"moved away": {
			func(t *testing.T, path string) { must(t, os.Rename(path, path+".1")) },
			func(t *testing.T, path string) { must(t, os.Rename(path+".1", path)) }, "it was moved away"},
		"rotated": {
			func(t *testing.T, path string) {
				must(t, os.Rename(path, path+".1"))
				must(t, os.WriteFile(path, nil, 0o600))
			},
			func(t *testing.T, path string) { must(t, os.Rename(path+".1", path)) }, "another file stands at its path"},
		"deleted": {
			func(t *testing.T, path string) { must(t, os.Remove(path)) },
			func(t *testing.T, path string) { must(t, os.Rename(path+".rescued-3", path)) }, "its records are safe in"},
		"deleted, a FIFO in its place": {
			func(t *testing.T, path string) { must(t, os.Remove(path)); must(t, syscall.Mkfifo(path, 0o600)) },
			func(t *testing.T, path string) { must(t, os.Rename(path+".rescued-3", path)) }, "it was deleted"},
		"another renamed over it": {
			func(t *testing.T, path string) {
				must(t, os.WriteFile(path+".new", []byte("{}\n"), 0o600))
				must(t, os.Rename(path+".new", path))
			},
			func(t *testing.T, path string) { must(t, os.Rename(path+".rescued-3", path)) }, "it was deleted"},
		"replaced by a copy": { // which is as good, because it is the same to the last byte
			func(t *testing.T, path string) { must(t, os.Rename(path, path+".1")) },
			func(t *testing.T, path string) { copyFile(t, path+".1", path) }, "it was moved away"},
		"emptied": {
			func(t *testing.T, path string) { copyFile(t, path, path+".copy"); must(t, os.Truncate(path, 0)) },
			func(t *testing.T, path string) { copyFile(t, path+".copy", path) }, "someone cut it to 0 bytes"},
		"cut": {
			func(t *testing.T, path string) { copyFile(t, path, path+".copy"); must(t, os.Truncate(path, 1000)) },
			func(t *testing.T, path string) { must(t, os.Rename(path+".copy", path)) }, "someone cut it to 1000 bytes"},
		"added to": {
			func(t *testing.T, path string) { copyFile(t, path, path+".copy"); appendTo(t, path, "{}\n") },
			func(t *testing.T, path string) { copyFile(t, path+".copy", path) }, "someone added 3 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "audit.log")
			var states []error
			o := quick
			o.OnState = func(err error) { states = append(states, err) }
			l := open(t, path, o)
			want := add(t, l, 0, 3)
			c.damage(t, path)
			for range 3 {
				refused(t, l, c.text)
			}
			c.mend(t, path)
			want = mended(t, l, want)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			checkFile(t, path, want)
			if r, err := VerifyFile(path, VerifyOptions{}); err != nil || !r.Intact() {
				t.Fatal(r, err)
			}
			if len(states) != 2 || states[0] == nil || states[1] != nil {
				t.Fatalf("told of %v", states)
			}
		})
	}
}

// The process ends before anybody has put a deleted log back: the next one says where its content is.
func TestDeletedAndRestarted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, path, quick)
	want := add(t, l, 0, 3)
	must(t, os.Remove(path))
	if err := l.Close(); !errors.Is(err, ErrNotDurable) {
		t.Fatal(err)
	}
	_, err := Open(path, Options{})
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "records 1 to 3 are missing") || !strings.Contains(err.Error(), path+".rescued-3") {
		t.Fatal(err)
	}
	must(t, os.Rename(path+".rescued-3", path))
	l = open(t, path, quick)
	checkFile(t, path, append(want, add(t, l, 3, 1)...))
}

// What looks mended is not: the content is not the log's.
func TestAForgedFileIsNotTaken(t *testing.T) {
	for name, forge := range map[string]func(b []byte) []byte{
		"changed":        func(b []byte) []byte { return []byte(strings.Replace(string(b), "allowed", "alIowed", 1)) },
		"zeros":          func(b []byte) []byte { return make([]byte, len(b)) },
		"another's log":  func(b []byte) []byte { l, _ := chain(50); return join(l)[:len(b)] },
		"shorter by one": func(b []byte) []byte { return b[:len(b)-1] },
	} {
		for _, place := range []string{"in place", "another file"} {
			t.Run(name+", "+place, func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(t.TempDir(), "audit.log")
				l := open(t, path, quick)
				want := add(t, l, 0, 3)
				b, err := os.ReadFile(path)
				must(t, err)
				if place == "in place" {
					must(t, os.Truncate(path, 1))
				} else {
					must(t, os.Rename(path, path+".1"))
				}
				refused(t, l, "")
				must(t, os.WriteFile(path, forge(b), 0o600))
				refused(t, l, "")
				refused(t, l, "")
				must(t, os.WriteFile(path, b, 0o600))
				checkFile(t, path, mended(t, l, want))
			})
		}
	}
}

// The last record is changed in place while a batch fails: repairing must not write the change again as good.
func TestRepairSeesAChangedLastRecord(t *testing.T) {
	var fail atomic.Int32
	o := quick
	o.fault = func(at step) failure {
		if at == stepSync && fail.Add(-1) >= 0 {
			return failure{err: syscall.EIO}
		}
		return failure{}
	}
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, path, o)
	want := add(t, l, 0, 3)
	b, err := os.ReadFile(path)
	must(t, err)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("X"), int64(len(b))-10)
	must(t, err)
	fail.Store(1)
	refused(t, l, "record 3 was changed on the disk")
	_, err = f.WriteAt(b, 0)
	must(t, err)
	must(t, f.Close())
	checkFile(t, path, mended(t, l, want))
}

func TestTheHeadFileIsTouched(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, path, quick)
	want := add(t, l, 0, 3)
	must(t, os.Remove(HeadPath(path)))
	if err := l.headFile.sync(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	want = append(want, add(t, l, 3, 1)...) // this one sees it
	want = append(want, add(t, l, 4, 1)...) // and this one comes after the repair
	if h, err := ReadHead(path); err != nil || h != want[4] {
		t.Fatal(h, err)
	}
	must(t, os.Remove(HeadPath(path)))
	must(t, os.Mkdir(HeadPath(path), 0o700)) // where no head can be put
	if err := l.headFile.sync(); err == nil {
		t.Fatal("a folder is taken for the head file")
	}
	want = append(want, add(t, l, 5, 1)...)
	refused(t, l, "its head file cannot be written")
	must(t, os.Remove(HeadPath(path)))
	checkFile(t, path, mended(t, l, want))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, b, 0o600))
}

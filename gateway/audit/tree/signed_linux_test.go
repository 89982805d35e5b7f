package tree

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// copyTo has a copy of log, head and tree put where the test can put it back from.
func copyTo(t testing.TB, from, to string) {
	t.Helper()
	for _, name := range []string{from, audit.HeadPath(from), string(DirOf(from))} {
		target := to + strings.TrimPrefix(name, from)
		must(t, os.RemoveAll(target))
		out, err := exec.CommandContext(t.Context(), "cp", "-a", name, target).CombinedOutput()
		if err != nil {
			t.Fatal(err, string(out))
		}
	}
}

// reopen opens the log again after its files were changed.
func (w *world) reopen() {
	w.t.Helper()
	var err error
	w.log, err = audit.Open(w.path, audit.Options{})
	must(w.t, err)
}

// What is known elsewhere to have been signed is not gone back on, whatever became of the folder: a log that was cut or
// put back is refused, one that is whole has its tree made anew.
func TestWhatWasSigned(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t testing.TB, w *world, older string)
		grow  int    // records after the start
		want  string // expression; "": it goes on
	}{
		"nothing": {func(testing.TB, *world, string) {}, 5, ""},
		"the folder is gone": {func(t testing.TB, w *world, _ string) {
			must(t, os.RemoveAll(string(DirOf(w.path))))
		}, 5, ""},
		"the folder is gone, and nothing new": {func(t testing.TB, w *world, _ string) {
			must(t, os.RemoveAll(string(DirOf(w.path))))
		}, 0, ""},
		"the folder is older": {func(t testing.TB, w *world, older string) {
			must(t, os.RemoveAll(string(DirOf(w.path))))
			must(t, os.Rename(string(DirOf(older)), string(DirOf(w.path))))
		}, 5, ""},
		"tiles are lost": {func(t testing.TB, w *world, _ string) {
			must(t, os.RemoveAll(DirOf(w.path).path("tile")))
		}, 5, ""},
		"all of it is older": {func(t testing.TB, w *world, older string) {
			copyTo(t, older, w.path)
		}, 5, "the log is older than what was signed: it ends with record 10[05], and a checkpoint of 700 records"},
		"all of it is older, and grows": {func(t testing.TB, w *world, older string) {
			copyTo(t, older, w.path)
		}, 650, "its first 700 records do not give the root"},
		"the log is cut, the folder gone": {func(t testing.TB, w *world, older string) {
			copyTo(t, older, w.path)
			must(t, os.RemoveAll(string(DirOf(w.path))))
		}, 5, "it ends with record 10[05], and a checkpoint of 700"},
		"all of it is another": {func(t testing.TB, w *world, _ string) {
			for _, name := range []string{w.path, audit.HeadPath(w.path), string(DirOf(w.path))} {
				must(t, os.RemoveAll(name))
			}
		}, 900, "its first 700 records do not give the root"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.start(w.options())
			w.add(100)
			w.covered()
			must(t, w.stop())
			older := t.TempDir() + "/older"
			copyTo(t, w.path, older)
			w.start(w.options())
			w.add(600)
			signed := w.covered()
			must(t, errors.Join(w.stop(), w.log.Close()))
			c.spoil(t, w, older)
			w.reopen()
			o := w.options()
			o.Signed = Signed{signed.Tree, time.Now()}
			p := w.start(o)
			w.add(c.grow)
			if c.want == "" {
				w.covered()
				w.check()
				return
			}
			for says := regexp.MustCompile(c.want); !says.MatchString(errorText(p.Stats().Err)); {
				if p.Stats().Checkpoint.Tree.N > 100 {
					t.Fatal("it signs", p.Stats().Checkpoint.Tree)
				}
				time.Sleep(time.Millisecond)
			}
			err := p.Stats().Err
			if !errors.Is(err, ErrOtherHistory) || !errors.Is(err, ErrInconsistent) || !strings.Contains(err.Error(), "accept-history") {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, err := p.Receipt(ctx, w.log.Head()); !errors.Is(err, ErrOtherHistory) {
				t.Fatal(err)
			}
			if last, err := p.Dir().Checkpoint(w.keys()...); err == nil && last.Tree.N > 100 {
				t.Fatal("it has signed", last.Tree)
			}
		})
	}
}

// A database that is older than the log knows less: it is compared at its size, by the tiles alone.
func TestWhatWasSignedLongAgo(t *testing.T) {
	w := newWorld(t)
	w.start(w.options())
	w.add(100)
	old := w.covered().Tree
	w.add(600)
	w.covered()
	must(t, w.stop())
	o := w.options()
	o.Signed = Signed{old, time.Now()}
	p := w.start(o)
	w.add(1)
	w.covered()
	must(t, w.stop())
	w.check()
	p.path, p.last, p.signed = w.path+".gone", p.Stats().Checkpoint, o.Signed // the records are not asked
	must(t, p.continuesSigned(p.last.Tree))
	p.signed.Tree.Hash[0] ^= 1
	if err := p.continuesSigned(p.last.Tree); !errors.Is(err, ErrOtherHistory) {
		t.Fatal(err)
	}
	must(t, os.RemoveAll(p.Dir().path("tile")))
	if err := p.continuesSigned(p.last.Tree); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
}

// The file of checkpoints stays bounded, begins with the first one and ends with the newest ones, and the tree goes on from it.
func TestHistoryIsBounded(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Interval, o.maxHistory = 10*time.Millisecond, 4000
	p := w.start(o)
	var all []int64
	for range 40 {
		w.add(7)
		all = append(all, w.covered().Tree.N)
	}
	must(t, w.stop())
	w.check()
	info, err := os.Stat(p.Dir().path(historyName))
	if err != nil || info.Size() > 4000 || info.Mode().Perm() != 0o600 {
		t.Fatal(info, err)
	}
	var kept []int64
	must(t, p.Dir().History(func(p Published) error {
		c, err := ParseCheckpoint([]byte(p.Checkpoint), w.keys()...)
		kept = append(kept, c.Tree.N)
		return err
	}))
	if len(kept) < 8 || kept[0] > 7 || kept[len(kept)-1] != all[len(all)-1] {
		t.Fatal(kept)
	}
	w.start(o)
	w.add(7)
	w.covered()
	must(t, w.stop())
	w.check()
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

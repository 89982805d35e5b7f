package tree

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// world is a log with a tree, whose parts a test opens and closes.
type world struct {
	t    testing.TB
	path string
	key  crypto.Signer
	vkey string
	log  *audit.Log
	p    *Publisher
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, path: filepath.Join(t.TempDir(), "audit.log"), key: edKey(t)}
	var err error
	w.vkey, err = VerifierKey(origin, w.key.Public())
	must(t, err)
	w.log, err = audit.Open(w.path, audit.Options{})
	must(t, err)
	t.Cleanup(func() { _ = w.log.Close() })
	return w
}

func (w *world) options() Options {
	return Options{Origin: origin, Keys: []string{w.vkey}, Interval: 20 * time.Millisecond,
		Sign: func(_ context.Context, text []byte) ([]byte, error) { return w.key.Sign(nil, text, crypto.Hash(0)) }}
}

func (w *world) start(o Options) *Publisher {
	w.t.Helper()
	p, err := Start(w.log, w.path, o)
	must(w.t, err)
	w.p = p
	w.t.Cleanup(func() { p.stop(); <-p.done })
	return p
}

func (w *world) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return w.p.Close(ctx)
}

// add appends n records, from as many callers as one batch of the log takes.
func (w *world) add(n int) {
	w.t.Helper()
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if _, err := w.log.Append(context.Background(), &audit.Record{Operation: "Sign"}); err != nil {
				w.t.Error(err)
			}
		})
	}
	all.Wait()
}

// covered waits for a checkpoint of the whole log.
func (w *world) covered() Checkpoint {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := w.p.Wait(ctx, w.log.Head().Seq)
	must(w.t, err)
	return c
}

func (w *world) keys() []note.Verifier {
	keys, err := ParseKeys(w.vkey)
	must(w.t, err)
	return keys
}

// check looks at all that is on the disk with package tlog and the log alone: every checkpoint that was ever published
// has the root that the log gives, the newest one is shown, and each tile it needs has the bytes that the log gives.
func (w *world) check() (published int) {
	w.t.Helper()
	var all reference
	roots := []tlog.Hash{{}}
	r, err := audit.OpenReader(w.path, 1)
	must(w.t, err)
	defer r.Close()
	for n := int64(0); ; n++ {
		line, err := r.Next()
		if err != nil {
			break
		}
		hashes, err := tlog.StoredHashes(n, line.Text, all)
		must(w.t, err)
		all = append(all, hashes...)
		root, err := tlog.TreeHash(n+1, all)
		must(w.t, err)
		roots = append(roots, root)
	}
	var last Checkpoint
	must(w.t, w.p.Dir().History(func(p Published) error {
		c, err := ParseCheckpoint([]byte(p.Checkpoint), w.keys()...)
		must(w.t, err)
		if c.Tree.N < last.Tree.N || c.Tree.N >= int64(len(roots)) || c.Tree.Hash != roots[c.Tree.N] {
			w.t.Fatalf("checkpoint %d is of %d records, after one of %d, and its root is wrong", published+1, c.Tree.N, last.Tree.N)
		}
		published++
		last = c
		return nil
	}))
	shown, err := w.p.Dir().Checkpoint(w.keys()...)
	if err != nil || !bytes.Equal(shown.Text, last.Text) {
		w.t.Fatalf("%q is shown, the last one is %q: %v", shown.Text, last.Text, err)
	}
	for _, t := range tlog.NewTiles(height, 0, last.Tree.N) {
		want, err := tlog.ReadTileData(t, all)
		must(w.t, err)
		got, err := w.p.Dir().ReadTile(t)
		if err != nil || !bytes.Equal(got, want) {
			w.t.Fatalf("%s: %v", TileName(t), err)
		}
		if t.W == width {
			if _, err := os.Stat(w.p.Dir().path(TileName(t)) + ".p"); !errors.Is(err, fs.ErrNotExist) {
				w.t.Logf("parts of %s are still there", TileName(t))
			}
		}
	}
	return published
}

func TestCheckpointsWhileTheLogGrows(t *testing.T) {
	w := newWorld(t)
	p := w.start(w.options())
	for i := range 12 {
		w.add(1 + 37*i)
		c := w.covered()
		if c.Tree.N != int64(w.log.Head().Seq) {
			t.Fatal(c.Tree.N)
		}
		for _, seq := range []uint64{1, uint64(c.Tree.N)/2 + 1, uint64(c.Tree.N)} {
			r, err := p.Receipt(context.Background(), w.named(seq))
			must(t, err)
			if record, _, err := r.Verify(w.keys()...); err != nil || record.Seq != seq {
				t.Fatal(record, err)
			}
		}
	}
	w.add(5)
	must(t, w.stop())
	if c, err := p.Dir().Checkpoint(w.keys()...); err != nil || c.Tree.N != int64(w.log.Head().Seq) {
		t.Fatal("the last records are not covered:", c.Tree.N, err)
	}
	if n := w.check(); n < 12 {
		t.Fatal(n)
	}
	if left, _ := filepath.Glob(string(p.Dir()) + "/tile/0/*.p/*"); len(left) == 0 || len(left) > 255 {
		t.Fatalf("%d parts of tiles", len(left))
	}
	for _, name := range []string{"000.p", "005.p"} {
		if _, err := os.Stat(p.Dir().path("tile/0/" + name)); !errors.Is(err, fs.ErrNotExist) {
			t.Fatal("parts of a full tile are kept:", name, err)
		}
	}
	before := tileFiles(t, p.Dir())
	must(t, os.RemoveAll(p.Dir().path("tile"))) // the log gives them again
	w.start(w.options())
	w.covered()
	for name, data := range tileFiles(t, p.Dir()) {
		if !bytes.Equal(before[name], data) {
			t.Fatal("a rebuilt tile has other bytes:", name)
		}
	}
	w.add(300)
	w.covered()
	must(t, w.stop())
	w.check()
}

func tileFiles(t testing.TB, d Dir) map[string][]byte {
	files := make(map[string][]byte)
	must(t, filepath.WalkDir(d.path("tile"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			files[path], err = os.ReadFile(path)
		}
		return err
	}))
	return files
}

// At each step the process dies, with the step not done, done in part, and done. What comes then continues every
// checkpoint that anybody may have seen.
func TestDiesAtEachStep(t *testing.T) {
	for _, s := range []step{stepTile, stepTiles, stepSign, stepHistory, stepSync, stepCheckpoint, stepTidy, stepThin} {
		for _, part := range parts(s) {
			t.Run(fmt.Sprintf("%s, %v done", s, part), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				var armed, dead atomic.Bool
				o := w.options()
				if s == stepThin {
					o.maxHistory = 1
				}
				o.fault = func(at step) failure {
					if dead.Load() {
						return failure{err: errors.New("dead")}
					}
					if at == s && armed.Load() {
						dead.Store(true)
						return failure{errors.New("dying"), part}
					}
					return failure{}
				}
				p := w.start(o)
				w.add(250)
				w.covered()
				armed.Store(true)
				w.add(20) // a tile becomes full
				for !dead.Load() {
					time.Sleep(time.Millisecond)
				}
				for p.Stats().Err == nil { // it says so
					time.Sleep(time.Millisecond)
				}
				if w.stop() == nil {
					t.Fatal("a dead process says that all is covered")
				}
				seen, err := p.Dir().Checkpoint(w.keys()...)
				must(t, err)
				w.add(5)
				o = w.options()
				o.Signed = Signed{p.Stats().Checkpoint.Tree, time.Now()} // what it may have told others
				w.start(o)
				c := w.covered()
				if c.Tree.N != 275 || seen.Tree.N < 250 || seen.Tree.N > 270 {
					t.Fatal(c.Tree.N, seen.Tree.N)
				}
				w.add(300)
				w.covered()
				must(t, w.stop())
				w.check()
			})
		}
	}
}

// parts are how much of a step may be done when it fails. A rename is done or not.
func parts(s step) []float64 {
	if s == stepHistory || s == stepTile {
		return []float64{0, 0.5, 1}
	}
	return []float64{0, 1}
}

// Each step fails once in a process that goes on, done or not.
func TestEachStepFailsOnce(t *testing.T) {
	for _, s := range []step{stepTile, stepTiles, stepSign, stepHistory, stepSync, stepCheckpoint, stepTidy, stepThin} {
		for _, part := range parts(s) {
			t.Run(fmt.Sprintf("%s, %v done", s, part), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				broken := errors.New("broken for the test")
				var fail atomic.Int32
				var told atomic.Pointer[[]error]
				told.Store(new([]error))
				o := w.options()
				if s == stepThin {
					o.maxHistory = 1
				}
				o.fault = func(at step) failure {
					if at == s && fail.Add(-1) >= 0 {
						return failure{broken, part}
					}
					return failure{}
				}
				o.OnState = func(err error) { l := append(*told.Load(), err); told.Store(&l) }
				p := w.start(o)
				w.add(250)
				w.covered()
				fail.Store(1)
				w.add(20)
				for len(*told.Load()) < 2 { // that it failed, and that it goes on
					time.Sleep(time.Millisecond)
				}
				if got := *told.Load(); !errors.Is(got[0], broken) || got[1] != nil {
					t.Fatal(got)
				}
				if st := p.Stats(); st.Failures != 1 || st.Err != nil {
					t.Fatalf("%+v", st)
				}
				w.add(300)
				w.covered()
				must(t, w.stop())
				w.check()
			})
		}
	}
}

// A receipt is of the record that is asked for, not of another one under its number.
func TestReceiptOfAnotherRecord(t *testing.T) {
	w := newWorld(t)
	p := w.start(w.options())
	w.add(3)
	w.covered()
	other := w.named(2)
	other.Hash = w.named(3).Hash
	for _, seal := range []func() error{
		func() error { _, err := p.Receipt(t.Context(), other); return err },
		func() error { _, err := p.Seal(other); return err },
	} {
		if err := seal(); !errors.Is(err, ErrInconsistent) {
			t.Error(err)
		}
	}
}

// named gives the receipt of a record as the log has it.
func (w *world) named(seq uint64) audit.Receipt {
	w.t.Helper()
	r, err := audit.OpenReader(w.path, seq)
	must(w.t, err)
	defer r.Close()
	line, err := r.Next()
	must(w.t, err)
	return audit.Receipt{Seq: seq, Hash: audit.HashText(line.Hash)}
}

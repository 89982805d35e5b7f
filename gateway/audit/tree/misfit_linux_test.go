package tree

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// rewrite writes the same number of records anew, as who can write log and head does.
func rewrite(t testing.TB, w *world, n int) {
	t.Helper()
	must(t, w.log.Close())
	must(t, errors.Join(os.Remove(w.path), os.Remove(audit.HeadPath(w.path))))
	var err error
	w.log, err = audit.Open(w.path, audit.Options{})
	must(t, err)
	w.add(n)
}

// A tree that does not fit the log is never papered over: no checkpoint is made, and it says what is wrong.
func TestTreeThatDoesNotFit(t *testing.T) {
	history := func(w *world) string { return w.p.Dir().path(historyName) }
	for name, c := range map[string]struct {
		spoil func(t testing.TB, w *world)
		kind  error
		text  string
	}{
		"the log is rewritten":              {func(t testing.TB, w *world) { rewrite(t, w, 400) }, ErrInconsistent, "record 257 is not the one"},
		"the log is rewritten, and shorter": {func(t testing.TB, w *world) { rewrite(t, w, 250) }, ErrInconsistent, "ends with record 25"},
		"the log is rewritten, and the tiles are gone": {func(t testing.TB, w *world) {
			rewrite(t, w, 400)
			must(t, os.RemoveAll(w.p.Dir().path("tile")))
		}, ErrInconsistent, "the first 300 records give the root"},
		"an older history": {func(t testing.TB, w *world) {
			b, err := os.ReadFile(history(w))
			must(t, err)
			must(t, os.WriteFile(history(w), b[:bytes.IndexByte(b, '\n')+1], 0o600))
		}, ErrInconsistent, "checkpoints ends with one of "}, // how many are in the first one is a matter of time
		"no history": {func(t testing.TB, w *world) { must(t, os.Remove(history(w))) }, ErrInconsistent, "ends with one of 0 records"},
		"a checkpoint that nobody signed": {func(t testing.TB, w *world) {
			path := w.p.Dir().path(checkpointName)
			b, err := os.ReadFile(path)
			must(t, err)
			must(t, os.WriteFile(path, bytes.Replace(b, []byte("\n300\n"), []byte("\n200\n"), 1), 0o600))
		}, ErrDamaged, "invalid signature"},
		"half a checkpoint": {func(t testing.TB, w *world) { must(t, os.Truncate(w.p.Dir().path(checkpointName), 60)) }, ErrDamaged, "malformed"},
		"a history that is none": {func(t testing.TB, w *world) {
			must(t, os.WriteFile(history(w), []byte("nonsense\n"), 0o600))
		}, ErrDamaged, "is not a checkpoint"},
		"another key": {func(t testing.TB, w *world) {
			w.key = edKey(t)
			var err error
			w.vkey, err = VerifierKey(origin, w.key.Public())
			must(t, err)
		}, ErrDamaged, "not signed by a key that is known here"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.start(w.options())
			w.add(100)
			w.covered()
			w.add(200)
			w.covered()
			must(t, w.stop())
			c.spoil(t, w)
			before, err := os.ReadFile(p.Dir().path(checkpointName))
			must(t, err)
			p = w.start(w.options())
			w.add(5)
			for p.Stats().Failures < 2 { // it looks again, and again
				time.Sleep(time.Millisecond)
			}
			err = p.Stats().Err
			var e *audit.Error
			if !errors.Is(err, c.kind) || !errors.As(err, &e) || e.Advice == "" || !strings.Contains(err.Error(), c.text) {
				t.Fatalf("%v\nwant %s", err, c.text)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			if _, err := p.Receipt(ctx, w.log.Head()); !errors.Is(err, c.kind) {
				t.Fatal(err)
			}
			if after, err := os.ReadFile(p.Dir().path(checkpointName)); err != nil || !bytes.Equal(before, after) {
				t.Fatalf("%s\n%v", after, err)
			}
		})
	}
}

// A log that gets another file with another content while it is followed is refused, and so is a folder that loses its
// checkpoints.
func TestTreeThatStopsFitting(t *testing.T) {
	w := newWorld(t)
	p := w.start(w.options())
	w.add(300)
	w.covered()
	must(t, os.RemoveAll(string(p.Dir())))
	w.add(5)
	for p.Stats().Failures < 3 {
		time.Sleep(time.Millisecond)
	}
	if err := p.Stats().Err; !errors.Is(err, ErrInconsistent) || !strings.Contains(err.Error(), "a checkpoint of 300 records was published") {
		t.Fatal(err)
	}
}

func TestChainIsFollowed(t *testing.T) {
	w := newWorld(t)
	p := w.start(w.options())
	w.add(10)
	w.covered()
	for name, l := range map[string]audit.Line{
		"another record": {Seq: 11, Prev: [32]byte{1}, Text: []byte("x")},
		"a gap":          {Seq: 12, Prev: p.sum, Text: []byte("x")},
		"one again":      {Seq: 10, Prev: p.sum, Text: []byte("x")},
	} {
		if err := p.take([]audit.Line{l}); !errors.Is(err, ErrInconsistent) {
			t.Fatal(name, err)
		}
	}
}

// A token that is away stops checkpoints alone, and they go on by themselves.
func TestTokenThatIsAway(t *testing.T) {
	w := newWorld(t)
	var away atomic.Bool
	lost := errors.New("the token is away")
	o := w.options()
	sign := o.Sign
	o.Sign = func(ctx context.Context, text []byte) ([]byte, error) {
		if away.Load() {
			return nil, lost
		}
		return sign(ctx, text)
	}
	p := w.start(o)
	w.add(10)
	w.covered()
	away.Store(true)
	w.add(700)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	for p.Stats().Err == nil {
		time.Sleep(time.Millisecond)
	}
	if _, err := p.Receipt(ctx, w.named(710)); !errors.Is(err, lost) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if r, err := p.Receipt(context.Background(), w.named(7)); err != nil || r.Record == "" { // covered before
		t.Fatal(err)
	}
	away.Store(false)
	if c := w.covered(); c.Tree.N != 710 || p.Stats().Err != nil {
		t.Fatal(c.Tree, p.Stats().Err)
	}
	must(t, w.stop())
	w.check()
}

// A new key continues the tree of the old one, whose checkpoints stay good as long as it is listed.
func TestKeyIsChanged(t *testing.T) {
	w := newWorld(t)
	w.start(w.options())
	w.add(30)
	w.covered()
	must(t, w.stop())
	old := w.vkey
	w.key = ecKey(t)
	key, err := VerifierKey(origin, w.key.Public())
	must(t, err)
	s, _ := signerOf(t, origin, w.key)
	o := w.options()
	o.Keys = []string{key, old}
	o.Sign = func(_ context.Context, text []byte) ([]byte, error) { return s.Sign(text) }
	p := w.start(o)
	w.add(30)
	w.covered()
	must(t, w.stop())
	w.vkey = key + "\n" + old
	if w.check() < 2 {
		t.Fatal("not two checkpoints")
	}
	if listed, err := p.Dir().Keys(); err != nil || len(listed) != 2 {
		t.Fatal(listed, err)
	}
	keys, err := ParseKeys(key)
	must(t, err)
	if c, err := p.Dir().Checkpoint(keys...); err != nil || c.Tree.N != 60 {
		t.Fatal(c, err)
	}
}

func TestOtherOrigin(t *testing.T) {
	w := newWorld(t)
	w.start(w.options())
	w.add(3)
	w.covered()
	must(t, w.stop())
	o := w.options()
	o.Origin = "another.example.com"
	key, err := VerifierKey(o.Origin, w.key.Public())
	must(t, err)
	o.Keys = []string{key, w.vkey}
	p := w.start(o)
	for p.Stats().Err == nil {
		time.Sleep(time.Millisecond)
	}
	if err := p.Stats().Err; !errors.Is(err, ErrInconsistent) || !strings.Contains(err.Error(), `that of the log "`+origin+`"`) {
		t.Fatal(err)
	}
	for _, bad := range []Options{{Origin: "a b", Keys: o.Keys}, {Origin: origin, Keys: []string{"x"}}} {
		if _, err := Start(w.log, w.path, bad); err == nil {
			t.Fatal(bad.Origin)
		}
	}
}

func TestSeal(t *testing.T) {
	w := newWorld(t)
	p := w.start(w.options())
	w.add(300)
	last := w.log.Head()
	text, err := p.Seal(last)
	must(t, err)
	if c, err := CheckCut(audit.Cut{Last: last, Signed: text}, w.keys()...); err != nil || c.Tree.N < 300 {
		t.Fatal(c, err)
	}
	other := newWorld(t)
	for name, c := range map[string]struct {
		cut  audit.Cut
		keys []note.Verifier
		text string
	}{
		"nothing signed": {audit.Cut{Last: last, Signed: []byte("no signature")}, w.keys(), "no receipt"},
		"another key":    {audit.Cut{Last: last, Signed: text}, other.keys(), "not signed by a key that is known here"},
		"another number": {audit.Cut{Last: audit.Receipt{Seq: 299, Hash: last.Hash}, Signed: text}, w.keys(), "the cut names record 299"},
		"another hash":   {audit.Cut{Last: audit.Receipt{Seq: 300, Hash: strings.Repeat("0", 64)}, Signed: text}, w.keys(), "the cut names record 300:000"},
		"another record": {audit.Cut{Last: last, Signed: bytes.Replace(text, []byte("Sign"), []byte("Song"), 1)}, w.keys(), "does not lead from this record"},
	} {
		if _, err := CheckCut(c.cut, c.keys...); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Error(name, err)
		}
	}
	last.Hash = strings.Repeat("0", 64)
	if _, err := p.Seal(last); !errors.Is(err, ErrInconsistent) {
		t.Fatal(err)
	}
	if _, err := p.Seal(audit.Receipt{Seq: 301}); err == nil {
		t.Fatal("a record that is not there is sealed")
	}
}

// Tiles that do not give the root of the last checkpoint are evidence as long as the log does not give it either: they
// stay as they are, and it is asked for ever less often.
func TestTilesOfAnotherLogStay(t *testing.T) {
	w := newWorld(t)
	p := w.start(w.options())
	w.add(keep*width + 600)
	w.covered()
	must(t, w.stop())
	before, err := os.ReadFile(p.Dir().path("tile/0/000"))
	must(t, err)
	rewrite(t, w, keep*width+700)
	must(t, os.RemoveAll(p.Dir().path("tile/0/066.p")))
	o := w.options()
	o.Interval = time.Millisecond
	p = w.start(o)
	for p.Stats().Failures < 3 {
		time.Sleep(time.Millisecond)
	}
	after, err := os.ReadFile(p.Dir().path("tile/0/000"))
	must(t, err)
	if err := p.Stats().Err; !errors.Is(err, ErrInconsistent) || !bytes.Equal(before, after) {
		t.Fatalf("the tiles of the old log are there: %v; %v", bytes.Equal(before, after), err)
	}
}

func TestPauses(t *testing.T) {
	lost, pause := inconsistent("it does not fit"), time.Second
	for range 20 {
		pause = pauseAfter(lost, pause, time.Second)
	}
	if first := pauseAfter(lost, 0, time.Second); first != time.Second || pause != maxPause {
		t.Fatal(first, pause)
	}
	if p := pauseAfter(errors.New("the disk fails"), maxPause, time.Second); p != time.Second {
		t.Fatal(p)
	}
}

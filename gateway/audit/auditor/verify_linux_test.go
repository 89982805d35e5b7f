package auditor

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

func indexOf(t *testing.T, text, part string) int {
	t.Helper()
	at := strings.Index(text, part)
	if at < 0 {
		t.Fatalf("%q is not in %.200q", part, text)
	}
	return at
}

// TestVerifyTree: what is whole, with every checkpoint that was kept on the way.
func TestVerifyTree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var saved []Saved
	for i, n := range []int{1, 254, 1, 1, 300} {
		saved = append(saved, Saved{fmt.Sprint("copy ", i), w.add(n, fmt.Sprint(i, "-"))})
	}
	slices.Reverse(saved)
	r := w.verify(saved...)
	if !r.Good() || r.Saved != 5 || r.Published < 5 || r.Size != 557 || r.Origin != origin || r.Root != saved[0].Tree.Hash.String() {
		t.Errorf("%+v", r)
	}
}

// TestVerifyTreeFindsOut: whatever is changed is found, and said of what it is.
func TestVerifyTreeFindsOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	early := w.add(300, "a")
	older := w.keep()
	late := Saved{"the copy of Monday", w.add(400, "b")}
	for name, c := range map[string]struct {
		world *world // nil: a copy of w
		do    func(w *world)
		saved []Saved
		want  Kind
		about string
	}{
		"everything is put back, the head included": {world: older, saved: []Saved{late}, want: RolledBack, about: "the copy of Monday vouches for 700 records, and the log ends after 300"},
		"the log is made anew with the same key": {world: func() *world { o := w.other(); o.add(800, "c"); return o }(), saved: []Saved{{"the copy of Sunday", early}, late},
			want: Rewritten, about: "the copy of Sunday vouches for the root"},
		"the log alone is put back": {do: func(w *world) { must(t, os.WriteFile(w.path, read(t, older.path), 0o600)) }, want: RolledBack, about: "the published checkpoint vouches for 700"},
		"the log alone is another one": {do: func(w *world) {
			o := w.other()
			o.add(700, "d")
			must(t, os.WriteFile(w.path, read(t, o.path), 0o600))
		}, want: Rewritten, about: "the published checkpoint vouches for the root"},
		"a full tile":      {do: func(w *world) { change(t, w.file("tile/0/000"), "", "") }, want: BadTile, about: "tile/0/000 is not"},
		"a part of a tile": {do: func(w *world) { change(t, w.file("tile/0/002.p/188"), "", "") }, want: BadTile, about: "do not make the root"},
		"an upper tile":    {do: func(w *world) { change(t, w.file("tile/1/000.p/2"), "", "") }, want: BadTile, about: "do not make the root"},
		"a tile is gone":   {do: func(w *world) { must(t, os.Remove(w.file("tile/0/001"))) }, want: Missing, about: "tile/0/001"},
		"no checkpoint":    {do: func(w *world) { must(t, os.Remove(w.file("checkpoint"))) }, want: Missing, about: "no checkpoint"},
		"another root":     {do: func(w *world) { change(t, w.file("checkpoint"), "\n700\n", "\n699\n") }, want: BadCheckpoint, about: "invalid signature"},
		"another key": {do: func(w *world) {
			o := newWorld(t)
			o.add(700, "a")
			must(t, os.WriteFile(w.file("checkpoint"), read(t, o.file("checkpoint")), 0o600))
		}, want: BadCheckpoint, about: "not signed by a key that is known"},
		"a past checkpoint": {do: func(w *world) { change(t, w.file("checkpoints"), "\\n300\\n", "\\n299\\n") }, want: BadCheckpoint, about: "of the history"},
		"of another past": {do: func(w *world) {
			o := w.other()
			o.add(5, "e")
			prepend(t, w.file("checkpoints"), o.file("checkpoints"))
		}, want: Rewritten, about: "checkpoint 1 of the history vouches"},
		"in another order":    {do: func(w *world) { appendTo(t, w.file("checkpoints"), older.file("checkpoints")) }, want: Disordered, about: "comes after one of 700 records"},
		"a record is changed": {do: func(w *world) { change(t, w.path, `"principal":"ci"`, `"principal":"di"`) }, want: Damaged, about: "cannot be compared"},
	} {
		t.Run(name, func(t *testing.T) {
			at := c.world
			if at == nil {
				at = w.keep()
				c.do(at)
			}
			r := at.verify(c.saved...)
			if !slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Kind == c.want && strings.Contains(p.Detail, c.about) }) {
				t.Errorf("%+v", r)
			}
		})
	}
	if r := w.verify(late, Saved{"the copy of Sunday", early}); !r.Good() || r.Saved != 2 {
		t.Errorf("the log itself: %+v", r)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return data
}

func prepend(t *testing.T, path, from string) {
	must(t, os.WriteFile(path, append(read(t, from), read(t, path)...), 0o600))
}

func appendTo(t *testing.T, path, from string) {
	must(t, os.WriteFile(path, append(read(t, path), read(t, from)...), 0o600))
}

// TestOnlyTheLogItself: a witness that signs a checkpoint in its own name has made no log.
func TestOnlyTheLogItself(t *testing.T) {
	t.Parallel()
	w, imposter := newWorld(t), newWorld(t)
	w.add(3, "a")
	imposter.add(3, "a")
	log, err := audit.OpenReader(imposter.path, 2)
	must(t, err)
	defer log.Close()
	line, err := log.Next()
	must(t, err)
	found := Found{Line: string(line.Text)}
	found.Record, err = line.Record()
	must(t, err)
	forged, _, err := imposter.trust().Receipt(tree.DirOf(imposter.path), found)
	must(t, err)
	w.key, err = tree.VerifierKey("main.example", w.private.Public())
	must(t, err)
	both := Trust{Log: w.trust().Log, Witnesses: imposter.trust().Log}
	if _, _, err := both.Verify(forged); err == nil || !strings.Contains(err.Error(), "whose key was not given") {
		t.Errorf("it is %v", err)
	}
}

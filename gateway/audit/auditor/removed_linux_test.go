package auditor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// shortened is a log of 700 records and a bit, whose beginning retention has removed: up to the record cut, which is
// not the last of a tile. The last tile of the tree is a part.
func shortened(t *testing.T, before int) (w *world, cut int64) {
	t.Helper()
	w = newWorld(t)
	w.log = audit.Options{SegmentSize: 16 << 10, Uncompressed: true}
	w.add(before, "a")
	cut = w.cut()
	if cut%width == 0 || cut >= int64(before) {
		t.Fatalf("the cut is at %d of %d", cut, before)
	}
	w.log = audit.Options{}
	w.add(5, "b")
	return w, cut
}

// TestVerifyTreeBehindACut: it may lie in a full tile, in the last one, or behind the only one.
func TestVerifyTreeBehindACut(t *testing.T) {
	t.Parallel()
	for _, before := range []int{100, 200, 400, 700} {
		w, cut := shortened(t, before)
		if r := w.verify(); !r.Good() || r.Size != int64(before)+5 {
			t.Errorf("cut %d of %d: %+v", cut, before, r)
		}
		for i := range 2 { // and while it grows over it
			w.add(300*i+1, "c")
			if r := w.verify(); !r.Good() {
				t.Errorf("cut %d of %d: %+v", cut, before, r)
			}
		}
		change(t, w.file("tile/0/000"), "", "")
		if r := w.verify(); r.Good() {
			t.Errorf("cut %d: a changed tile is not found", cut)
		}
	}
}

// TestVerifyTreeOfNothing: every record was removed, and none has come since.
func TestVerifyTreeOfNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.log = audit.Options{SegmentSize: 16 << 10, Uncompressed: true}
	w.add(100, "a")
	lines := strings.SplitAfter(string(read(t, w.path)), "\n")
	must(t, os.WriteFile(w.path, nil, 0o600))
	dir := audit.SegmentsPath(w.path)
	must(t, os.MkdirAll(dir, 0o700))
	first := int64(100 - len(lines) + 2)
	name := filepath.Join(dir, segmentName(first, 100))
	must(t, os.WriteFile(name, []byte(strings.Join(lines, "")), 0o600))
	if cut := w.cut(); cut != 100 {
		t.Fatal(cut)
	}
	if r := w.verify(); !r.Good() || r.Size != 100 {
		t.Errorf("%+v", r)
	}
}

func segmentName(first, last int64) string {
	return fmt.Sprintf("%020d-%020d.log", first, last)
}

// TestVerifyTreeOfAPart: what cannot be read is a finding, and no failure.
func TestVerifyTreeOfAPart(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(w *world){
		"the first segment is gone": func(w *world) {
			names, err := filepath.Glob(filepath.Join(audit.SegmentsPath(w.path), "*.log"))
			must(t, err)
			slices.Sort(names)
			must(t, os.Remove(names[0]))
		},
		"the cut is changed": func(w *world) {
			w.cut()
			change(t, audit.CutPath(w.path), "", "")
		},
	} {
		w := newWorld(t)
		w.log = audit.Options{SegmentSize: 16 << 10, Uncompressed: true}
		w.add(300, "a")
		do(w)
		r := w.verify()
		if !slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Kind == Damaged }) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestVerifyTreeWithAnOldKey: that the key is another one is one finding, and nothing is compared with what it cannot
// vouch for.
func TestVerifyTreeWithAnOldKey(t *testing.T) {
	t.Parallel()
	w, _ := shortened(t, 300)
	r, err := VerifyTree(w.path, newWorld(t).trust(), nil)
	must(t, err)
	if r.Count() != 1 || r.Problems[0].Kind != BadCheckpoint || !strings.Contains(r.Problems[0].Detail, "not signed by a key that is known") {
		t.Errorf("%+v", r)
	}
}

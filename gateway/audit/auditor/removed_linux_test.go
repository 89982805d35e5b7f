package auditor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

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

// TestMonitorBehindACut: by files and over HTTP, what was removed before it was read is an alarm that names it, and
// From goes on behind it.
func TestMonitorBehindACut(t *testing.T) {
	t.Parallel()
	for _, before := range []int{200, 700} {
		w := newWorld(t)
		w.log = audit.Options{SegmentSize: 16 << 10, Uncompressed: true}
		w.add(5, "a")
		folder, err := Open(w.path)
		must(t, err)
		early := w.monitor(folder)
		_, err = early.Look(t.Context())
		must(t, err)
		w.add(before-5, "b")
		cut := w.cut()
		w.add(3, "c")
		for name, from := range map[string]Source{"folder": folder, "remote": w.remote()} {
			fresh, seen := w.monitor(from), w.monitor(from)
			must(t, os.WriteFile(seen.StatePath, read(t, early.StatePath), 0o600))
			for what, m := range map[string]*Monitor{"at the first look": fresh, "with a state": seen} {
				var alarm *Alarm
				if _, err := m.Look(t.Context()); !errors.As(err, &alarm) || alarm.Kind != AlarmRemoved || cut < width && !strings.Contains(alarm.Detail, fmt.Sprintf("to %d were removed", cut)) {
					t.Errorf("%s, cut %d, %s: %v", name, cut, what, err)
				}
				m.From = cut
				if _, err := m.Look(t.Context()); !errors.As(err, &alarm) || !strings.Contains(alarm.Detail, fmt.Sprintf("records %d to %d were removed", cut, cut)) {
					t.Errorf("%s, cut %d, %s: %v", name, cut, what, err)
				}
				m.From = cut + 1
				if got, err := m.Look(t.Context()); err != nil || got.Checked != int64(before)+3 {
					t.Errorf("%s, cut %d, %s: %+v, %v", name, cut, what, got, err)
				}
			}
		}
	}
}

// TestMonitorHiddenRecord: a record between others that is left out was not removed by retention.
func TestMonitorHiddenRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(10, "a")
	m := w.monitor(altered{w.remote(), func(t tlog.Tile, data []byte) []byte {
		if t.L >= 0 {
			return data
		}
		n := int(data[0])<<8 + int(data[1]) + 2
		next := int(data[n])<<8 + int(data[n+1]) + 2
		return slices.Concat(data[:n], []byte{0, 0}, data[n+next:])
	}})
	var alarm *Alarm
	if _, err := m.Look(t.Context()); !errors.As(err, &alarm) || alarm.Kind != AlarmRecord || !strings.Contains(alarm.Detail, "record 2:") {
		t.Error(err)
	}
}

package query

import (
	"bytes"
	"errors"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// work is pieces of work that are watched: how many were begun, how many are in hand, and who uses which slot.
type work struct {
	t            *testing.T
	begun, given atomic.Int64
	running      atomic.Int64
	slots        [ahead]atomic.Bool
	full         chan struct{} // closed when as many pieces are in hand as there may be
}

func (w *work) pieces(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

func (w *work) do(slot, piece int) int {
	if !w.slots[slot].CompareAndSwap(false, true) {
		w.t.Errorf("two pieces use slot %d", slot)
	}
	if w.running.Add(1); w.begun.Add(1) == ahead {
		close(w.full)
	}
	<-w.full // nobody gets on before that many are in hand
	for range 1000 {
		runtime.Gosched() // others end before, if nobody waits for this one
	}
	w.running.Add(-1)
	w.slots[slot].Store(false)
	return piece * piece
}

// TestInOrder: as many pieces as are allowed are made at once, never more, and what they give is in their order. When the answer is no longer
// wanted, all that was begun has ended.
func TestInOrder(t *testing.T) {
	for _, stop := range []int{1, 2, ahead, ahead + 1, 20, 50, 99} {
		w := &work{t: t, full: make(chan struct{})}
		var got []int
		for r := range inOrder(w.pieces(50), w.do) {
			if most := w.given.Add(1) + ahead - 1; w.begun.Load() > most {
				t.Errorf("%d were begun when %d were given", w.begun.Load(), w.given.Load())
			}
			if got = append(got, r); len(got) == stop {
				break
			}
		}
		if n := w.running.Load(); n != 0 {
			t.Errorf("stopped after %d: %d are still in hand", stop, n)
		}
		if len(got) != min(stop, 50) {
			t.Errorf("stopped after %d: %d were given", stop, len(got))
		}
		for i, r := range got {
			if r != i*i {
				t.Fatalf("%v", got)
			}
		}
	}
	for range inOrder((&work{}).pieces(0), func(int, int) int { return 0 }) {
		t.Error("there was nothing to do")
	}
}

// TestTamperedAhead: a record that was changed in the log is an error when its turn comes, and not before, though it was read ahead: what
// comes before it is answered, and an answer that ends before it is whole.
func TestTamperedAhead(t *testing.T) {
	path, _ := logOf(t, 40*small, 31)
	dir, whole := t.TempDir(), read(t, path)
	lines := strings.SplitAfter(string(whole), "\n")
	openSmall(t, path, dir)
	all := Question{}
	for _, newest := range []bool{true, false} {
		for _, block := range []uint64{1, 2, ahead, ahead + 1, 2 * ahead, 30} { // how many blocks of the answer come before it
			bad := block*small + 9
			if newest {
				bad = (39-block)*small + 9
			}
			changed := slices.Clone(lines)
			changed[bad-1] = strings.Replace(changed[bad-1], "request-", "request+", 1)
			put(t, path, []byte(strings.Join(changed, "")))
			var got []uint64
			var err error
			for f, failed := range openSmall(t, path, dir).Find(all, newest) {
				if err = failed; err == nil {
					got = append(got, f.Record.Seq)
				}
			}
			if !errors.Is(err, ErrUntrue) || uint64(len(got)) < block*small || uint64(len(got)) >= (block+1)*small || slices.Contains(got, bad) {
				t.Errorf("newest %v, record %d: %d records, %v", newest, bad, len(got), err)
			}
			limit := int(block*small) - 1 // one more is looked for
			if found, more, untrue, err := openSmall(t, path, dir).First(all, newest, limit); err != nil || untrue || !more || len(found) != limit {
				t.Errorf("newest %v, record %d, limit %d: %d records, untrue %v, %v", newest, bad, limit, len(found), untrue, err)
			}
			_, _, untrue, err := openSmall(t, path, dir).First(all, newest, limit+small+1)
			if !untrue || !errors.Is(err, audit.ErrDamaged) { // the index cannot be made anew of it
				t.Errorf("newest %v, record %d: untrue %v, %v", newest, bad, untrue, err)
			}
			put(t, path, whole)
			openSmall(t, path, dir)
		}
	}
	if !bytes.Equal(read(t, path), whole) {
		t.Error("the log is not what it was")
	}
}

// TestMendedAhead: blocks whose files are damaged are made anew while those behind them are asked.
func TestMendedAhead(t *testing.T) {
	path, _ := logOf(t, 30*small, 32)
	dir := t.TempDir()
	openSmall(t, path, dir)
	everything := expected(whole(t, path), Question{})
	files := blocksIn(t, dir)
	good := read(t, files[0])
	for _, every := range []int{1, 2, ahead, ahead + 1} {
		x := openSmall(t, path, dir)
		for i := 0; i < len(files); i += every { // after it was opened: the heads are known
			put(t, files[i], read(t, files[i])[:headSize+9])
		}
		asked(t, x, path, Question{Key: "*"}, expected(whole(t, path), Question{Key: "*"}))
		asked(t, x, path, Question{}, everything)
		if !bytes.Equal(read(t, files[0]), good) {
			t.Errorf("every %d: the first file is not what it was", every)
		}
	}
}

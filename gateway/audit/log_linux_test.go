package audit

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func open(t testing.TB, path string, o Options) *Log {
	t.Helper()
	if o.SegmentAge == 0 {
		o.SegmentAge = -1 // the records of samples are old
	}
	l, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func add(t testing.TB, l *Log, from, n int) []Receipt {
	t.Helper()
	var got []Receipt
	for i := from; i < from+n; i++ {
		r, err := l.Append(context.Background(), sample(i))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	return got
}

// lines checks that the file is exactly the chain of the given receipts.
func checkFile(t testing.TB, path string, want []Receipt) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := new(walker).walk(bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(b, []byte("\n"))
	if len(lines) != len(want)+1 {
		t.Fatalf("%d records in the file, want %d", len(lines)-1, len(want))
	}
	for i, r := range want {
		if got := (Receipt{uint64(i + 1), hashOf(lines[i]).String()}); got != r {
			t.Fatalf("record %d: %v, receipt %v", i+1, got, r)
		}
	}
}

func TestAppendAndReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, path, Options{})
	want := add(t, l, 0, 10)
	if l.Head() != want[9] {
		t.Fatal(l.Head(), want[9])
	}
	if err := l.Ready(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if h, err := ReadHead(path); err != nil || h != want[9] {
		t.Fatal(h, err)
	}
	l = open(t, path, Options{})
	want = append(want, add(t, l, 10, 5)...)
	checkFile(t, path, want)
	for _, name := range []string{path, HeadPath(path)} {
		if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o600 {
			t.Fatal(name, st.Mode(), err)
		}
	}
}

// A log can be verified while it is being written.
func TestVerifyUnderLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, path, Options{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for l.Head().Seq < 500 {
				if _, err := l.Append(context.Background(), sample(1)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for before := l.Head(); before.Seq < 500; before = l.Head() {
		var receipts []Receipt
		if before.Seq > 0 {
			receipts = append(receipts, before)
		}
		if r, err := VerifyFile(path, VerifyOptions{Receipts: receipts}); err != nil || !r.Intact() || r.Receipts != len(receipts) {
			t.Fatalf("%+v %v", r, err)
		}
	}
	wg.Wait()
}

func TestManyCallersShareBatches(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, path, Options{})
	const callers, each = 32, 50
	want := make([]Receipt, callers*each)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				r, err := l.Append(context.Background(), sample(c*each+i))
				if err != nil {
					t.Error(err)
					return
				}
				want[r.Seq-1] = r
			}
		})
	}
	wg.Wait()
	checkFile(t, path, want)
	if s := l.Stats(); s.Appended != callers*each || s.Batches >= s.Appended {
		t.Fatalf("%+v", s)
	}
}

package audit

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"
)

func read(t testing.TB, r *Reader) (got []Receipt) {
	t.Helper()
	for {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		if record, err := line.Record(); err != nil || record.Seq != line.Seq {
			t.Fatal(record.Seq, err)
		}
		got = append(got, Receipt{line.Seq, hash(line.Hash).String()})
	}
}

func reader(t testing.TB, path string, from uint64) *Reader {
	t.Helper()
	r, err := OpenReader(path, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func TestReaderBeginsAnywhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if _, err := OpenReader(path, 1); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	lines, receipts := chain(300)
	if err := os.WriteFile(path, append(join(lines), `{"seq":301,"pr`...), 0o600); err != nil {
		t.Fatal(err)
	}
	for from := uint64(0); from <= 301; from++ {
		if got := read(t, reader(t, path, from)); !slices.Equal(got, receipts[max(from, 1)-1:]) {
			t.Fatalf("from %d: %d records", from, len(got))
		}
	}
}

func TestReaderGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, path, Options{})
	r := reader(t, path, 1)
	want := add(t, l, 0, 5)
	if got := read(t, r); !slices.Equal(got, want) {
		t.Fatal(got)
	}
	more := add(t, l, 5, 7)
	if got := read(t, r); !slices.Equal(got, more) {
		t.Fatal(got)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(path+".copy", b, 0o600), os.Rename(path+".copy", path)); err != nil {
		t.Fatal(err)
	}
	for l.Ready() != nil {
		time.Sleep(10 * time.Millisecond)
	}
	more = add(t, l, 12, 3)
	if got := append(read(t, r), read(t, r)...); !slices.Equal(got, more) {
		t.Fatal("after another file took the log's place:", got)
	}
}

func TestReaderFindsABrokenChain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	lines, _ := chain(20)
	lines[7][len(lines[7])-3] ^= 1
	if err := os.WriteFile(path, join(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	r := reader(t, path, 3)
	for seq := uint64(3); ; seq++ {
		line, err := r.Next()
		if err != nil {
			if !errors.Is(err, ErrDamaged) || seq != 9 {
				t.Fatal(seq, err)
			}
			return
		}
		if line.Seq != seq {
			t.Fatal(line.Seq, seq)
		}
	}
}

func TestFollowGivesEachDurableRecordOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	fail := false
	l := open(t, path, Options{Retry: time.Millisecond, fault: func(s step) failure {
		if fail = s == stepSync && rand.IntN(4) == 0; fail {
			return failure{err: errors.New("a test's"), part: 1}
		}
		return failure{}
	}})
	const total = 3000
	got := make(chan []Receipt)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		var all []Receipt
		err := l.Follow(ctx, 0, func(batch []Line) error {
			for _, line := range batch {
				all = append(all, Receipt{line.Seq, hash(line.Hash).String()})
			}
			if len(all) >= total {
				cancel()
			}
			return nil
		})
		if err != nil {
			t.Error(err)
			cancel()
		}
		got <- all
	}()
	var want []Receipt
	for i := 0; len(want) < total; i++ {
		if r, err := l.Append(t.Context(), sample(i)); err == nil {
			want = append(want, r)
		}
	}
	if all := <-got; !slices.Equal(all, want) {
		t.Fatalf("%d records followed, %d appended", len(all), len(want))
	}
}

// TestBatchesShareMemory: who follows a long log reads all of it in the memory of its first batches.
func TestBatchesShareMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, path, Options{})
	const batches, warm = 8, 2
	for i := range batches {
		records := make([]*Record, followRecords)
		for n := range records {
			records[n] = sample(i*followRecords + n)
		}
		if _, err := l.AppendAll(t.Context(), records); err != nil {
			t.Fatal(err)
		}
	}
	r := reader(t, path, 1)
	var before, after runtime.MemStats
	for i := range batches {
		if i == warm {
			runtime.ReadMemStats(&before)
		}
		lines, err := r.batch(batches * followRecords)
		if err != nil || len(lines) != followRecords || lines[0].Seq != uint64(i*followRecords+1) {
			t.Fatal(len(lines), err)
		}
		for _, line := range lines {
			if line.Hash != hashOf(line.Text) {
				t.Fatalf("the text of record %d is another one", line.Seq)
			}
		}
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 256<<10 { // a batch has more text than that
		t.Errorf("%d batches took %d bytes of memory", batches-warm, used)
	}
}

func TestFollowEndsWithTheLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := open(t, path, Options{})
	done := make(chan error)
	seen := 0
	go func() {
		done <- l.Follow(t.Context(), 0, func(batch []Line) error { seen += len(batch); return nil })
	}()
	add(t, l, 0, 20)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || seen != 20 {
		t.Fatal(seen, err)
	}
}

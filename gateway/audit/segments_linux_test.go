package audit

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// segmented writes a log of the lines, cut into closed segments behind the given records, the odd ones compressed.
func segmented(t testing.TB, lines [][]byte, cuts ...int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.log")
	must(t, os.Mkdir(SegmentsPath(path), 0o700))
	from := 0
	for i, end := range cuts {
		name := filepath.Join(SegmentsPath(path), segmentName(uint64(from+1), uint64(end)))
		b, name := join(lines[from:end]), name+plainSuffix
		if i%2 == 1 {
			var err error
			b, err = packed(b, uint64(from+1), uint64(end))
			must(t, err)
			name = name[:len(name)-len(plainSuffix)] + packedSuffix
		}
		must(t, os.WriteFile(name, b, 0o600))
		from = end
	}
	must(t, os.WriteFile(path, join(lines[from:]), 0o600))
	return path
}

func packed(lines []byte, first, last uint64) ([]byte, error) {
	var b bytes.Buffer
	_, err := pack(bytes.NewReader(lines), first, last, &b)
	return b.Bytes(), err
}

// TestReaderMoves to and fro, within a compressed segment of several frames and to other files, and reads on from there.
func TestReaderMoves(t *testing.T) {
	const last = frameLines + 300
	lines, receipts := chain(last)
	path := segmented(t, lines, 10, frameLines+200, frameLines+250, frameLines+280)
	r, rnd := reader(t, path, 1), rand.New(rand.NewPCG(1, 4))
	for range 300 {
		seq := []uint64{1 + rnd.Uint64N(last), frameLines - 50 + rnd.Uint64N(200), last - rnd.Uint64N(110)}[rnd.IntN(3)]
		if err := r.Move(seq); err != nil {
			t.Fatal(seq, err)
		}
		for n := seq; n <= min(seq+rnd.Uint64N(60), last); n++ {
			if line, err := r.Next(); err != nil || line.Seq != n || hash(line.Hash).String() != receipts[n-1].Hash {
				t.Fatalf("moved to %d: %d in place of %d, %v", seq, line.Seq, n, err)
			}
		}
	}
	must(t, os.Remove(filepath.Join(SegmentsPath(path), segmentName(frameLines+201, frameLines+250)+plainSuffix)))
	if err := r.Move(frameLines + 210); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
}

func TestReaderOverSegments(t *testing.T) {
	lines, receipts := chain(300)
	path := segmented(t, lines, 1, 80, 81, 200, 290)
	for from := uint64(0); from <= 301; from++ {
		if got := read(t, reader(t, path, from)); !slices.Equal(got, receipts[max(from, 1)-1:]) {
			t.Fatalf("from %d: %d records", from, len(got))
		}
	}
	must(t, os.Remove(filepath.Join(SegmentsPath(path), segmentName(81, 81)+plainSuffix)))
	if _, err := OpenReader(path, 81); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
	if got := read(t, reader(t, path, 82)); !slices.Equal(got, receipts[81:]) {
		t.Fatal(len(got))
	}
	r := reader(t, path, 79)
	for range 2 {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if line, err := r.Next(); !errors.Is(err, ErrDamaged) {
		t.Fatal(line, err)
	}
}

// A compressed segment of several frames: any record can be begun with, and zstd's own tool reads it.
func TestCompressedSegment(t *testing.T) {
	lines, receipts := chain(6000)
	text := join(lines)
	b, err := packed(text, 1, 6000)
	must(t, err)
	path := filepath.Join(t.TempDir(), "audit.log")
	name := filepath.Join(SegmentsPath(path), segmentName(1, 6000)+packedSuffix)
	must(t, os.Mkdir(SegmentsPath(path), 0o700))
	must(t, os.WriteFile(name, b, 0o600))
	must(t, os.WriteFile(path, nil, 0o600))
	f, err := os.Open(name)
	must(t, err)
	u, err := newUnpacker(f)
	must(t, err)
	t.Cleanup(func() { _ = u.close() })
	if len(u.index.frames) < 2 {
		t.Fatalf("%d frames", len(u.index.frames))
	}
	for _, f := range u.index.frames {
		for _, from := range []uint64{f.first, f.first + 1, u.index.last.seq} {
			if got := read(t, reader(t, path, from)); !slices.Equal(got, receipts[from-1:]) {
				t.Fatalf("from %d: %d records", from, len(got))
			}
		}
	}
	out, err := exec.Command("zstd", "-dc", name).Output()
	if err != nil || string(out) != string(text) {
		t.Fatalf("zstd gives %d bytes of %d: %v", len(out), len(text), err)
	}
}

func TestReaderBehindACut(t *testing.T) {
	lines, receipts := chain(300)
	path := segmented(t, lines, 100, 200)
	cut := Cut{Last: receipts[99], Signed: []byte("signed\ntext\n")}
	must(t, os.WriteFile(CutPath(path), cut.encode(), 0o600))
	if got, err := ReadCut(path); err != nil || got.Last != cut.Last || string(got.Signed) != string(cut.Signed) {
		t.Fatal(got, err)
	}
	for _, from := range []uint64{0, 101} { // the segment that is still there does not count
		if got := read(t, reader(t, path, from)); !slices.Equal(got, receipts[100:]) {
			t.Fatal(len(got))
		}
	}
	for _, from := range []uint64{1, 100} {
		if _, err := OpenReader(path, from); !errors.Is(err, ErrRemoved) {
			t.Fatal(err)
		}
	}
	cut.Last.Hash = receipts[98].Hash
	must(t, os.WriteFile(CutPath(path), cut.encode(), 0o600))
	if _, err := reader(t, path, 0).Next(); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
}

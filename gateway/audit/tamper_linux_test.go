package audit

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const tampered = 1000 // records

// tamperLog makes a log of 1,000 records in closed segments, about half of them compressed, and one that was being written.
func tamperLog(t testing.TB) (path string, receipts []Receipt) {
	t.Helper()
	path, receipts = filepath.Join(t.TempDir(), "audit.log"), make([]Receipt, tampered)
	o := Options{SegmentSize: 4 << 10, SegmentAge: -1}
	var n atomic.Int64
	for range 4 { // in every other run the closed segments stay as they are, up to the next one
		o.Uncompressed = !o.Uncompressed
		l := open(t, path, o)
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				for range tampered/20 - 1 {
					i := n.Add(1)
					r := &Record{Time: sample(int(i)).Time, Operation: "Sign", Principal: "user:ci", KeyID: "4f0c", Outcome: "allowed", LatencyMicros: i}
					receipt, err := l.Append(context.Background(), r)
					if err != nil {
						t.Error(err)
						return
					}
					receipts[receipt.Seq-1] = receipt
				}
			})
		}
		wg.Wait()
		if !o.Uncompressed {
			until(t, "compression", func() bool { return compressedAll(t, path) })
		}
		must(t, l.Close())
	}
	l := open(t, path, Options{SegmentSize: -1})
	copy(receipts[n.Load():], add(t, l, int(n.Load()), tampered-int(n.Load())))
	must(t, l.Close())
	// What the last run has compressed of the run before is plain again: half of the segments.
	for i, s := range segmentsOf(t, path) {
		if s.Compressed && i%2 == 0 {
			b := linesOf(t, s)
			must(t, os.WriteFile(strings.TrimSuffix(s.File, ".zst"), b, 0o600))
			must(t, os.Remove(s.File))
		}
	}
	checkLog(t, path, receipts)
	return path, receipts
}

func segmentsOf(t testing.TB, path string) []Segment {
	t.Helper()
	s, err := Segments(path)
	must(t, err)
	return s
}

func compressedAll(t testing.TB, path string) bool {
	return !slices.ContainsFunc(segmentsOf(t, path), func(s Segment) bool { return !s.Active && !s.Compressed })
}

// linesOf gives the lines of a segment, whatever its form.
func linesOf(t testing.TB, s Segment) []byte {
	t.Helper()
	f, err := os.Open(s.File)
	must(t, err)
	if !s.Compressed {
		b, err := io.ReadAll(f)
		must(t, both(err, f.Close()))
		return b
	}
	u, err := newUnpacker(f)
	must(t, err)
	b, err := io.ReadAll(u)
	must(t, both(err, u.close()))
	return b
}

func TestALogIsTamperedWith(t *testing.T) {
	path, receipts := tamperLog(t)
	t.Run("every byte", func(t *testing.T) { changeEveryByte(t, path, receipts) })
	t.Run("some bytes, and the whole log verified", func(t *testing.T) { changeSomeBytes(t, path, receipts) })
	t.Run("records and files", func(t *testing.T) { changeRecordsAndFiles(t, path, receipts) })
}

// Every byte of every file of a log is changed in turn. For each the segment is verified with the one behind it, from the
// last record of the one before it on: what is found does not depend on more. A compressed one is verified by VerifyFile
// in a small log of its own, the lines of another by the same judge in memory.
func changeEveryByte(t *testing.T, path string, receipts []Receipt) {
	segments := segmentsOf(t, path)
	jobs := make(chan int)
	var all, plain atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range jobs {
				n, err := flipEach(t, t.TempDir(), segments, i, receipts)
				if err != nil {
					t.Error(err)
				}
				if all.Add(int64(n)); !segments[i].Compressed {
					plain.Add(int64(n))
				}
			}
		})
	}
	for i := range segments {
		jobs <- i
	}
	close(jobs)
	wg.Wait()
	t.Logf("%d files, %d bytes changed, %d of them not compressed", len(segments), all.Load(), plain.Load())
}

// flipEach changes each byte of the segment i.
func flipEach(t testing.TB, dir string, segments []Segment, i int, receipts []Receipt) (int, error) {
	s := segments[i]
	whole, err := os.ReadFile(s.File)
	must(t, err)
	last, after := s.Last, []byte(nil)
	if !s.Active {
		last, after = segments[i+1].Last, linesOf(t, segments[i+1])
	}
	o := VerifyOptions{Head: &receipts[last-1]}
	cut := Receipt{Hash: hash{}.String()}
	if s.First > 1 {
		cut = receipts[s.First-2]
	}
	judge := func(b []byte) (Report, error) { return judged(o, cut, b, after) }
	if s.Compressed {
		path := filepath.Join(dir, "audit.log")
		must(t, os.Mkdir(SegmentsPath(path), 0o700))
		must(t, os.WriteFile(path, after, 0o600))
		if cut.Seq > 0 {
			must(t, os.WriteFile(CutPath(path), Cut{Last: cut}.encode(), 0o600))
		}
		file := filepath.Join(SegmentsPath(path), filepath.Base(s.File))
		judge = func(b []byte) (Report, error) {
			must(t, os.WriteFile(file, b, 0o600))
			return VerifyFile(path, o)
		}
	}
	if r, err := judge(whole); err != nil || len(r.Problems) > 0 {
		return 0, fmt.Errorf("before anything is changed: %+v %w", r, err)
	}
	seq, changed := s.First, 0
	for at, b := range whole {
		if (raceEnabled || testing.Short()) && at%32 != 0 && b != '\n' {
			continue
		}
		whole[at] ^= 1 << (at % 8)
		r, err := judge(whole)
		whole[at] = b
		if err != nil || r.Intact() || r.Problems[0].Seq < s.First || r.Problems[0].Seq > s.Last || !s.Compressed && r.Problems[0].Seq != seq {
			return changed, fmt.Errorf("byte %d of %s, record %d: %v %w", at, s.File, seq, r.Problems, err)
		}
		if changed++; b == '\n' && !s.Compressed {
			seq++
		}
	}
	return changed, nil
}

// judged verifies files behind the record cut.
func judged(o VerifyOptions, cut Receipt, files ...[]byte) (Report, error) {
	v, err := newVerifier(o)
	if err == nil {
		err = v.behind(cut)
	}
	if err != nil {
		return Report{}, err
	}
	return v.judge(&window{more: func() (*part, error) {
		if len(files) == 0 {
			return nil, nil
		}
		b := files[0]
		files = files[1:]
		return &part{lines: newLineReader(bytes.NewReader(b)), active: len(files) == 0}, nil
	}})
}

// The same in the whole log, for some bytes of each file.
func changeSomeBytes(t *testing.T, path string, receipts []Receipt) {
	o := VerifyOptions{Head: &receipts[tampered-1]}
	for i, s := range segmentsOf(t, path) {
		if i%3 != 0 && !s.Active {
			continue
		}
		whole, err := os.ReadFile(s.File)
		must(t, err)
		for _, at := range []int{0, len(whole) / 3, len(whole) - 100, len(whole) - 1} {
			b := bytes.Clone(whole)
			b[at] ^= 4
			must(t, os.WriteFile(s.File, b, 0o600))
			r, err := VerifyFile(path, o)
			if err != nil || r.Intact() || r.Problems[0].Seq < s.First || r.Problems[0].Seq > s.Last || r.Problems[0].File != s.File {
				t.Fatalf("byte %d of %s: %v %v", at, s.File, r.Problems, err)
			}
			if r.Records < tampered-(s.Last-s.First+1) {
				t.Fatalf("byte %d of %s: more than its records is lost: %d", at, s.File, r.Records)
			}
		}
		must(t, os.WriteFile(s.File, whole, 0o600))
	}
	checkLog(t, path, receipts)
}

// Every byte of the file that says what retention has removed.
func TestEveryByteOfTheCutIsChanged(t *testing.T) {
	lines, receipts := chain(30)
	path := segmented(t, lines, 10, 20)
	b := Cut{Last: receipts[9], Signed: []byte("a tree\n\n— key signature\n")}.encode()
	must(t, os.Remove(filepath.Join(SegmentsPath(path), segmentName(1, 10)+plainSuffix)))
	o := VerifyOptions{Head: &receipts[29]}
	for at := range b {
		changed := bytes.Clone(b)
		changed[at] ^= 1 << (at % 8)
		must(t, os.WriteFile(CutPath(path), changed, 0o600))
		r, err := VerifyFile(path, o)
		if err != nil {
			t.Fatal(err)
		}
		found(t, r, "malformed 11-11")
		if _, err := Open(path, Options{}); err == nil {
			t.Fatal("it is opened")
		}
	}
	must(t, os.WriteFile(CutPath(path), b, 0o600))
	r, err := VerifyFile(path, o)
	must(t, err)
	found(t, r)
	r, err = VerifyFile(path, VerifyOptions{Head: &receipts[29], Receipts: []Receipt{receipts[3], receipts[9], receipts[20]}})
	must(t, err)
	if found(t, r, "removed 4"); r.Receipts != 2 || r.Cut == nil || r.Segments[0].First != 11 {
		t.Fatalf("%+v", r)
	}
	must(t, os.Remove(CutPath(path)))
	r, err = VerifyFile(path, o)
	must(t, err)
	found(t, r, "dropped 1-10")
}

// tamperings of a log whose lines and files are given; each says what is to be found, the first by its number.
func changeRecordsAndFiles(t *testing.T, path string, receipts []Receipt) {
	all := segmentsOf(t, path)
	closed := all[:len(all)-1]
	active := all[len(all)-1]
	for i, s := range closed[1:] {
		if i%5 != 0 { // of both forms, since every other one is compressed
			continue
		}
		before, after := closed[i], all[i+2]
		text := linesOf(t, s)
		lines := bytes.SplitAfter(text, []byte("\n"))
		lines = lines[:len(lines)-1]
		n := len(lines)
		middle := s.First + uint64(n/2)
		for name, c := range map[string]struct {
			files map[string][]byte // nil: it is removed
			want  []string
		}{
			"removed":          {map[string][]byte{s.File: nil}, []string{fmt.Sprintf("dropped %d-%d", s.First, s.Last)}},
			"first dropped":    {map[string][]byte{s.File: form(t, s, slices.Delete(slices.Clone(lines), 0, 1))}, []string{fmt.Sprintf("dropped %d", s.First)}},
			"last dropped":     {map[string][]byte{s.File: form(t, s, lines[:n-1])}, []string{fmt.Sprintf("dropped %d", s.Last)}},
			"middle dropped":   {map[string][]byte{s.File: form(t, s, slices.Delete(slices.Clone(lines), n/2, n/2+1))}, []string{fmt.Sprintf("dropped %d", middle)}},
			"truncated":        {map[string][]byte{s.File: form(t, s, lines[:n/2])}, []string{fmt.Sprintf("dropped %d-%d", middle, s.Last)}},
			"duplicated":       {map[string][]byte{s.File: form(t, s, slices.Insert(slices.Clone(lines), 1, lines[0]))}, []string{fmt.Sprintf("duplicated %d", s.First)}},
			"swapped records":  {map[string][]byte{s.File: form(t, s, swapped(lines, 0, n-1))}, []string{fmt.Sprintf("swapped %d-%d", s.First, s.Last)}},
			"emptied":          {map[string][]byte{s.File: {}}, []string{fmt.Sprintf("dropped %d-%d", s.First, s.Last)}},
			"another's chain":  {map[string][]byte{s.File: form(t, s, forged(lines, s.First, receipts[s.First-2]))}, nil},
			"segments swapped": {map[string][]byte{s.File: form(t, s, after.lines(t)), after.File: form(t, after, lines)}, nil},
			"an older one":     {map[string][]byte{s.File: form(t, s, before.lines(t))}, nil},
		} {
			was := map[string][]byte{}
			for file, b := range c.files {
				var err error
				was[file], err = os.ReadFile(file)
				must(t, err)
				if b == nil {
					must(t, os.Remove(file))
				} else {
					must(t, os.WriteFile(file, b, 0o600))
				}
			}
			r, err := VerifyFile(path, VerifyOptions{})
			must(t, err)
			switch {
			case c.want != nil:
				found(t, r, c.want...)
			case name == "an older one": // its records are there twice, and those that it stands for are not
				if !slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Kind == Dropped && p.Seq == s.First && p.LastSeq == s.Last }) {
					t.Fatalf("%s: %v", s.File, r.Problems)
				}
			case r.Intact() || r.Problems[0].Seq < s.First-1 || r.Problems[0].Seq > s.Last:
				t.Fatalf("%s, %s: %v", s.File, name, r.Problems)
			}
			for file, b := range was {
				must(t, os.WriteFile(file, b, 0o600))
			}
		}
	}
	// The end: an older copy of the file that is written, of everything with a saved head, and nothing at all.
	b := linesOf(t, active)
	must(t, os.WriteFile(active.File, b[:bytes.IndexByte(b, '\n')+1], 0o600))
	r, err := VerifyFile(path, VerifyOptions{})
	must(t, err)
	found(t, r, fmt.Sprintf("truncated %d-%d", active.First+1, tampered))
	must(t, os.Remove(active.File))
	r, err = VerifyFile(path, VerifyOptions{})
	must(t, err)
	found(t, r, fmt.Sprintf("truncated %d-%d", active.First, tampered))
	last := closed[len(closed)-1]
	must(t, os.Remove(last.File))
	must(t, os.WriteFile(path, nil, 0o600))
	must(t, replaceHead(path, receipts[last.First-2]))
	r, err = VerifyFile(path, VerifyOptions{})
	must(t, err)
	found(t, r) // the head went back with it
	r, err = VerifyFile(path, VerifyOptions{Head: &receipts[tampered-1]})
	must(t, err)
	found(t, r, fmt.Sprintf("truncated %d-%d", last.First, tampered))
}

func (s Segment) lines(t testing.TB) [][]byte {
	lines := bytes.SplitAfter(linesOf(t, s), []byte("\n"))
	return lines[:len(lines)-1]
}

func swapped(lines [][]byte, i, j int) [][]byte {
	lines = slices.Clone(lines)
	lines[i], lines[j] = lines[j], lines[i]
	return lines
}

// forged makes other records with the same numbers, chained to the one before.
func forged(lines [][]byte, first uint64, before Receipt) (out [][]byte) {
	sum, _ := before.sum()
	for i := range lines {
		line := appendLine(nil, first+uint64(i), sum, appendBody(nil, &Record{Time: time.Unix(9e8, 0), Operation: "Sign"}))
		sum = hashOf(line)
		out = append(out, append(line, '\n'))
	}
	return out
}

// form gives the file of a segment with other lines, compressed if it is.
func form(t testing.TB, s Segment, lines [][]byte) []byte {
	t.Helper()
	if !s.Compressed {
		return bytes.Join(lines, nil)
	}
	var out bytes.Buffer
	p := newPacker(&out)
	for i, line := range lines {
		l, _ := parseLine(line)
		if i == 0 {
			p.index.first = mark{l.seq, l.prev, l.time}
		}
		p.index.last = mark{max(l.seq, p.index.first.seq), hashOf(line[:len(line)-1]), l.time}
		must(t, p.add(p.index.first.seq+uint64(i), line[:len(line)-1]))
	}
	must(t, p.flush())
	out.Write(p.index.encode())
	must(t, p.zstd.Close())
	return out.Bytes()
}

package audit

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"testing"
)

// chain makes the lines of a log of n records, and its receipts.
func chain(n int) (lines [][]byte, receipts []Receipt) {
	var sum hash
	for i := range n {
		record := &Record{Time: sample(i).Time, Operation: "Sign", Outcome: "allowed", LatencyMicros: int64(i)}
		if i%10 == 4 { // some long ones
			record = sample(i)
		}
		line := appendLine(nil, uint64(i+1), sum, appendBody(nil, record))
		sum = hashOf(line)
		lines = append(lines, line)
		receipts = append(receipts, Receipt{uint64(i + 1), sum.String()})
	}
	return lines, receipts
}

func join(lines [][]byte) []byte {
	var b []byte
	for _, l := range lines {
		b = append(append(b, l...), '\n')
	}
	return b
}

func verify(t testing.TB, b []byte, o VerifyOptions) Report {
	t.Helper()
	r, err := Verify(bytes.NewReader(b), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// found checks that the report's problems are exactly the given ones, each as "kind seq" or "kind seq-lastSeq".
func found(t testing.TB, r Report, want ...string) {
	t.Helper()
	var got []string
	for _, p := range r.Problems {
		s := fmt.Sprintf("%s %d", p.Kind, p.Seq)
		if p.LastSeq != 0 {
			s += fmt.Sprintf("-%d", p.LastSeq)
		}
		got = append(got, s)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("found %q, want %q\n%v", got, want, r.Problems)
	}
}

const records = 50

func TestVerifyWholeLog(t *testing.T) {
	lines, receipts := chain(records)
	head := receipts[records-1]
	r := verify(t, join(lines), VerifyOptions{Head: &head, Receipts: receipts})
	if !r.Intact() || len(r.Problems) != 0 || r.Records != records || r.Receipts != records || r.End != head {
		t.Fatalf("%+v", r)
	}
	if !r.First.Equal(sample(0).Time) || !r.Last.Equal(sample(records-1).Time) {
		t.Fatal(r.First, r.Last)
	}
	found(t, verify(t, nil, VerifyOptions{Head: &Receipt{Hash: hash{}.String()}}))
	found(t, verify(t, nil, VerifyOptions{Head: &receipts[0]}), "truncated 1")
}

// Every byte is changed: the record with the byte is named, and no record before it. In the first, the last and
// one more record every bit of every byte is changed, in the others one bit of each byte in turn.
func TestVerifyFindsEveryChangedByte(t *testing.T) {
	lines, receipts := chain(records)
	whole := join(lines)
	head := receipts[records-1]
	seq := uint64(1)
	for at := range whole {
		newline := whole[at] == '\n'
		for bit := range 9 {
			if every := seq == 1 || seq == 25 || seq == records; (!every || raceEnabled) && bit != at%9 {
				continue
			}
			flip := byte(1 << bit)
			if bit == 8 {
				flip = 0xff
			}
			b := bytes.Clone(whole)
			b[at] ^= flip
			r := verify(t, b, VerifyOptions{Head: &head})
			if r.Intact() || r.Problems[0].Seq != seq {
				t.Fatalf("byte %d of record %d changed from %q to %q: %v", at, seq, whole[at], b[at], r.Problems)
			}
			if !newline && b[at] != '\n' && len(r.Problems) != 1 {
				t.Fatalf("byte %d of record %d changed from %q to %q: more than that is named: %v", at, seq, whole[at], b[at], r.Problems)
			}
		}
		if newline {
			seq++
		}
	}
}

func TestVerifyFindsEveryDroppedLine(t *testing.T) {
	lines, receipts := chain(records)
	head := receipts[records-1]
	for i := range lines {
		b := join(slices.Delete(slices.Clone(lines), i, i+1))
		want := fmt.Sprintf("dropped %d", i+1)
		if i == records-1 {
			want = fmt.Sprintf("truncated %d", i+1)
		}
		found(t, verify(t, b, VerifyOptions{Head: &head}), want)
		if i < records-1 {
			found(t, verify(t, b, VerifyOptions{}), want)
		}
	}
	b := join(slices.Delete(slices.Clone(lines), 9, 20))
	found(t, verify(t, b, VerifyOptions{Head: &head}), "dropped 10-20")
}

func TestVerifyFindsEverySwappedPair(t *testing.T) {
	lines, receipts := chain(records)
	head := receipts[records-1]
	for i := range lines {
		for j := i + 1; j < len(lines); j++ {
			b := slices.Clone(lines)
			b[i], b[j] = b[j], b[i]
			found(t, verify(t, join(b), VerifyOptions{Head: &head}), fmt.Sprintf("swapped %d-%d", i+1, j+1))
		}
	}
}

func TestVerifyFindsEveryMovedAndRepeatedLine(t *testing.T) {
	lines, receipts := chain(records)
	head := receipts[records-1]
	for i := range lines {
		for j := range lines {
			twice := slices.Insert(slices.Clone(lines), j, lines[i])
			found(t, verify(t, join(twice), VerifyOptions{Head: &head}), fmt.Sprintf("duplicated %d", i+1))
			over := slices.Clone(lines)
			over[j] = lines[i]
			if i != j {
				r := verify(t, join(over), VerifyOptions{Head: &head})
				if !slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Seq == uint64(j+1) && (p.Kind == Dropped || p.Kind == Truncated) }) {
					t.Fatalf("record %d over record %d: %v", i+1, j+1, r.Problems)
				}
			}
		}
	}
}

func TestVerifyFindsEveryTruncation(t *testing.T) {
	lines, receipts := chain(records)
	whole := join(lines)
	head := receipts[records-1]
	seq, start := uint64(1), 0
	for cut := range whole {
		if raceEnabled && cut%7 != 0 && cut > start && whole[cut] != '\n' {
			continue
		}
		last := fmt.Sprintf("truncated %d-%d", seq, records)
		if seq == records {
			last = fmt.Sprintf("truncated %d", seq)
		}
		want := []string{last}
		if cut > start {
			want = []string{fmt.Sprintf("torn %d", seq), last}
		}
		r := verify(t, whole[:cut], VerifyOptions{Head: &head})
		found(t, r, want...)
		if r.Intact() {
			t.Fatal("intact")
		}
		if whole[cut] == '\n' {
			seq, start = seq+1, cut+1
		}
	}
}

// growing is a file whose last line is being written while it is read: each Read gives one piece.
type growing struct{ pieces [][]byte }

func (g *growing) Read(b []byte) (int, error) {
	if len(g.pieces) == 0 {
		return 0, io.EOF
	}
	p := g.pieces[0]
	g.pieces = g.pieces[1:]
	if p == nil {
		return 0, io.EOF
	}
	return copy(b, p), nil
}

func TestVerifyWhileTheLogGrows(t *testing.T) {
	lines, receipts := chain(3)
	b := join(lines)
	for cut := len(lines[0]) + 1; cut < len(b)-len(lines[2])-1; cut++ {
		r, err := Verify(&growing{[][]byte{b[:cut], nil, b[cut:]}}, VerifyOptions{Head: &receipts[0]})
		if err != nil || !r.Intact() || r.Records != 1 {
			t.Fatalf("%+v %v", r, err)
		}
	}
}

func TestVerifyTellsATornEndFromTampering(t *testing.T) {
	lines, receipts := chain(records)
	head := receipts[records-2]
	b := join(lines)
	r := verify(t, b[:len(b)-1], VerifyOptions{Head: &head})
	found(t, r, "torn 50")
	if !r.Intact() {
		t.Fatal("a line that nobody was told about counts as damage")
	}
}

func TestVerifyFindsForgedLines(t *testing.T) {
	lines, receipts := chain(records)
	head := receipts[records-1]
	for i := range lines {
		prev := hash{}
		if i > 0 {
			prev = hashOf(lines[i-1])
		}
		forged := appendLine(nil, uint64(i+1), prev, appendBody(nil, sample(1000)))
		insert := slices.Insert(slices.Clone(lines), i, forged)
		found(t, verify(t, join(insert), VerifyOptions{Head: &head}), fmt.Sprintf("inserted %d", i+1))
		garbage := slices.Insert(slices.Clone(lines), i, []byte("hello"))
		found(t, verify(t, join(garbage), VerifyOptions{Head: &head}), fmt.Sprintf("inserted %d", i+1))
		lost := slices.Clone(lines)
		lost[i] = []byte("hello")
		found(t, verify(t, join(lost), VerifyOptions{Head: &head}), fmt.Sprintf("malformed %d", i+1))
		replace := slices.Clone(lines)
		replace[i] = forged
		found(t, verify(t, join(replace), VerifyOptions{Head: &head}), fmt.Sprintf("changed %d", i+1))
	}
}

// A log rewritten from some record on, with a chain of its own, is found by a head or a receipt kept elsewhere.
func TestVerifyFindsARewrittenLog(t *testing.T) {
	lines, receipts := chain(records)
	rewritten := slices.Clone(lines[:20])
	sum := hashOf(lines[19])
	for i := 20; i < records+5; i++ {
		line := appendLine(nil, uint64(i+1), sum, appendBody(nil, sample(i+1000)))
		sum = hashOf(line)
		rewritten = append(rewritten, line)
	}
	found(t, verify(t, join(rewritten), VerifyOptions{}))
	found(t, verify(t, join(rewritten), VerifyOptions{Head: &receipts[records-1]}), "changed 50")
	r := verify(t, join(rewritten), VerifyOptions{Receipts: []Receipt{receipts[9], receipts[30]}})
	found(t, r, "changed 31")
	if r.Receipts != 1 {
		t.Fatal(r.Receipts)
	}
	found(t, verify(t, join(lines[:40]), VerifyOptions{Receipts: receipts[38:42]}), "truncated 41", "truncated 42")
}

func TestVerifyBoundsItsReport(t *testing.T) {
	lines, receipts := chain(records)
	for i := range lines {
		lines[i] = bytes.Replace(lines[i], []byte("allowed"), []byte("allOwed"), 1)
	}
	r := verify(t, join(lines), VerifyOptions{Head: &receipts[records-1], MaxProblems: 10})
	if len(r.Problems) != 10 || r.Omitted != records-10 || r.Intact() {
		t.Fatal(len(r.Problems), r.Omitted)
	}
	long := append(bytes.Repeat([]byte("x"), 3*maxLine), '\n')
	found(t, verify(t, append(long, join(lines[:1])...), VerifyOptions{}), "inserted 1")
}

package audit

import (
	"encoding/hex"
	"fmt"
)

// verifier judges one line after the other. Of the log it keeps where it stands in the chain, and what it has
// found to be missing or out of place, until the end shows which of these belong together.
type verifier struct {
	max      int
	head     Receipt
	headSum  hash
	hasHead  bool
	receipts map[uint64]hash

	start  uint64 // the last record that retention has removed
	next   uint64 // number of the record that should come now
	sum    hash   // of the one before it
	known  bool   // sum is known: the record before was there
	blamed uint64 // the last record that was reported; a link that breaks behind it is explained
	run    uint64 // lines before this one that are no records at all
	runAt  Place
	before Place // of the last record that was accepted
	gaps   []gap
	strays []stray
	spots  []spot

	scratch []byte
	report  Report
}

// gap is a run of numbers that did not come where they should have.
type gap struct {
	first, last uint64
	at          Place // before which they should stand
	atEnd       bool
}

// stray is a record that stood where another should have stood.
type stray struct {
	seq uint64
	at  uint64 // the one that should have stood there
	Place
	forged bool // its number is another record's, its content is not
	again  bool // it is the very line of the record beside it
}

// spot is a part of a file of which something is wrong besides its lines.
type spot struct {
	first, last uint64 // the records that it holds
	kind        Kind
	detail      string
	Place
}

func newVerifier(o VerifyOptions) (*verifier, error) {
	v := &verifier{max: o.MaxProblems, next: 1, known: true, receipts: make(map[uint64]hash, len(o.Receipts))}
	if v.max <= 0 {
		v.max = 1000
	}
	v.report.End.Hash = hash{}.String()
	if o.Head != nil {
		sum, err := o.Head.sum()
		if err != nil {
			return nil, fmt.Errorf("the head: %w", err)
		}
		v.head, v.headSum, v.hasHead, v.report.Head = *o.Head, sum, true, o.Head
	}
	for _, r := range o.Receipts {
		sum, err := r.sum()
		if err != nil {
			return nil, fmt.Errorf("a receipt: %w", err)
		}
		if other, ok := v.receipts[r.Seq]; ok && other != sum || r.Seq == 0 {
			return nil, fmt.Errorf("a receipt: two name record %d with different hashes, or its number is 0", r.Seq)
		}
		v.receipts[r.Seq] = sum
	}
	return v, nil
}

func (v *verifier) problem(p Problem) {
	if len(v.report.Problems) >= v.max {
		v.report.Omitted++
		return
	}
	v.report.Problems = append(v.report.Problems, p)
}

// line judges cur, with the two lines after it (nil at the file's end) as witnesses.
func (v *verifier) line(cur, after, then *line) {
	if !cur.ok {
		if v.run == 0 {
			v.runAt = cur.Place
		}
		v.run++
		return
	}
	if after != nil && !after.ok {
		after = nil
	}
	if v.run > 0 {
		v.endRun(cur, after)
	}
	linked := v.known && cur.prev == v.sum
	switch {
	case linked && (after == nil || after.prev == cur.sum):
		v.accept(cur, after)
	case v.known && after != nil && after.seq == v.next && after.prev == v.sum && !v.preferred(cur, then):
		v.stray(cur, after)
	case linked || cur.seq == v.next:
		v.accept(cur, after)
	case after != nil && after.seq == v.next+1: // it stands in the place of the one that should be here
		v.stray(cur, after)
		v.gap(v.next, cur.Place, false)
	case cur.seq > v.next && (after == nil || after.seq == cur.seq+1 || after.prev == cur.sum):
		v.gap(cur.seq-1, cur.Place, false)
		v.accept(cur, after)
	default:
		v.stray(cur, after)
	}
}

// preferred says that cur, and not the line after it, which claims the same place, is the true one.
func (v *verifier) preferred(cur, then *line) bool {
	if cur.seq != v.next || cur.prev != v.sum {
		return false
	}
	return then != nil && then.ok && then.prev == cur.sum || v.hasHead && v.head.Seq == cur.seq && v.headSum == cur.sum
}

// accept takes cur for the record v.next and says what is wrong with it, or with the one before it.
func (v *verifier) accept(cur, after *line) {
	seq := v.next
	switch {
	case cur.seq != seq:
		v.blame(seq, Changed, cur.Place, fmt.Sprintf("its number says %d", cur.seq))
	case !cur.whole:
		v.blame(seq, Malformed, cur.Place, "the line is not a whole record")
	}
	if v.known && cur.prev != v.sum && v.blamed != seq-1 {
		v.brokenLink(cur, after)
	}
	v.compare(cur, after)
	v.sum, v.known, v.next, v.before = cur.sum, true, seq+1, cur.Place
	if v.report.Records == 0 {
		v.report.First = cur.time
	}
	v.report.Records++
	v.report.Last, v.report.End = cur.time, Receipt{Seq: seq}
}

func (v *verifier) blame(seq uint64, k Kind, at Place, detail string) {
	if seq == v.blamed {
		return
	}
	v.blamed = max(v.blamed, seq)
	v.problem(Problem{Seq: seq, Kind: k, Place: at, Detail: detail})
}

// brokenLink decides who was changed if cur does not name the record before it: that one, or cur's own prev.
// If cur with the right prev would have the hash that its witnesses know, nothing but prev was changed.
func (v *verifier) brokenLink(cur, after *line) {
	seq := v.next
	want, ok := v.witness(seq, after)
	v.scratch = append(v.scratch[:0], cur.text...)
	hex.Encode(v.scratch[cur.prevAt:], v.sum[:])
	if seq == v.start+1 || ok && hashOf(v.scratch) == want {
		v.blame(seq, Changed, cur.Place, "its prev is not the hash of the record before")
		return
	}
	v.blame(seq-1, Changed, v.before, fmt.Sprintf("its hash is not the one that record %d names", seq))
}

// witness gives the hash that record seq should have by the line after it, the head or a receipt.
func (v *verifier) witness(seq uint64, after *line) (hash, bool) {
	if after != nil && after.seq == seq+1 {
		return after.prev, true
	}
	if v.hasHead && v.head.Seq == seq {
		return v.headSum, true
	}
	sum, ok := v.receipts[seq]
	return sum, ok
}

// compare holds cur against the head and the receipts.
func (v *verifier) compare(cur, after *line) {
	seq := v.next
	if v.hasHead && v.head.Seq == seq && v.headSum != cur.sum {
		detail := "its hash is not the one that the head names"
		if after != nil && after.prev == cur.sum {
			detail += ", though the next record names it: the log was rewritten, or the head is another log's"
		}
		v.blame(seq, Changed, cur.Place, detail)
	}
	if sum, ok := v.receipts[seq]; ok {
		if sum == cur.sum {
			v.report.Receipts++
		} else {
			v.blame(seq, Changed, cur.Place, "its hash is not the one that the receipt names")
		}
		delete(v.receipts, seq)
	}
}

// gap notes that the records from v.next to last are not where they should be.
func (v *verifier) gap(last uint64, at Place, atEnd bool) {
	if len(v.gaps) < v.max {
		v.gaps = append(v.gaps, gap{v.next, last, at, atEnd})
	} else {
		v.report.Omitted++
	}
	v.next, v.known = last+1, false
}

func (v *verifier) stray(cur, after *line) {
	s := stray{seq: cur.seq, at: v.next, Place: cur.Place}
	switch {
	case cur.seq == v.next && after != nil && after.seq == v.next:
		s.again = cur.sum == after.sum
		s.forged = !s.again
	case cur.seq == v.next-1 && v.known:
		s.again = cur.sum == v.sum
		s.forged = !s.again
	}
	if len(v.strays) < v.max {
		v.strays = append(v.strays, s)
	} else {
		v.report.Omitted++
	}
}

// endRun decides, at the next good line, what the lines were that could not be read: damaged records, if their
// numbers are missing, or lines too much.
func (v *verifier) endRun(cur, after *line) {
	switch {
	case cur.seq == v.next || v.known && cur.prev == v.sum:
		v.inserted()
	case cur.seq > v.next && cur.seq <= v.next+v.run:
		v.damaged(cur.seq - 1)
	case cur.seq > v.next && (after == nil || after.seq == cur.seq+1 || after.prev == cur.sum):
		v.damaged(v.next + v.run - 1)
	default: // cur is a stray; the run goes on
		return
	}
	v.run = 0
}

func (v *verifier) inserted() {
	detail := "a line that is not a record stands before it"
	if v.run > 1 {
		detail = fmt.Sprintf("%d lines that are not records stand before it", v.run)
	}
	v.problem(Problem{Seq: v.next, Kind: Inserted, Place: v.runAt, Detail: detail})
}

func (v *verifier) damaged(last uint64) {
	p := Problem{Seq: v.next, Kind: Malformed, Place: v.runAt, Detail: "the line is not a record"}
	if last > v.next {
		p.LastSeq, p.Detail = last, fmt.Sprintf("the lines of records %d to %d are not records", v.next, last)
	}
	v.problem(p)
	v.blamed, v.next, v.known = last, last+1, false
}

func (v *verifier) torn(cur *line) {
	v.problem(Problem{Seq: v.next + v.run, Kind: Torn, Place: cur.Place,
		Detail: fmt.Sprintf("the last line has no end (%d bytes): a process died while it wrote it, before anybody was told; the log cuts it off when it is opened", len(cur.text))})
}

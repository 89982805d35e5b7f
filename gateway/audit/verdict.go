package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// finish judges the end of the log, brings together what is missing and what stood elsewhere, and closes the report.
func (v *verifier) finish(lines int64, end Place) Report {
	if v.run > 0 {
		v.endOfRun()
	}
	if v.report.End.Seq > 0 {
		v.report.End.Hash = v.sum.String()
	}
	if v.hasHead && v.head.Seq >= v.next {
		v.gap(v.head.Seq, end, true)
	}
	for _, seq := range slices.Sorted(maps.Keys(v.receipts)) {
		if seq >= v.next { // a lower one was reported as missing or damaged
			v.problem(Problem{Seq: seq, Kind: Truncated, Place: end, Detail: "a receipt names it and the log ends before it"})
		}
	}
	found := make(map[uint64]stray, len(v.strays))
	for _, s := range v.strays {
		if v.missing(s.seq) && !s.forged {
			found[s.seq] = s
			continue
		}
		v.excess(s)
	}
	for _, g := range v.gaps {
		v.settle(g, found)
	}
	for _, s := range v.spots {
		v.settleSpot(s)
	}
	slices.SortStableFunc(v.report.Problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	v.report.Lines = lines
	return v.report
}

// endOfRun judges unreadable lines at the end: damaged records as far as the head says that there were some.
func (v *verifier) endOfRun() {
	if v.hasHead && v.head.Seq >= v.next {
		n := min(v.run, v.head.Seq-v.next+1)
		v.damaged(v.next + n - 1)
		v.runAt.Line += int64(n)
		v.run -= n
	}
	if v.run > 0 {
		v.problem(Problem{Seq: v.next, Kind: Malformed, Place: v.runAt, Detail: fmt.Sprintf("the log ends with %d lines that are not records", v.run)})
	}
}

func (v *verifier) missing(seq uint64) bool {
	return slices.ContainsFunc(v.gaps, func(g gap) bool { return g.first <= seq && seq <= g.last })
}

// excess reports a stray record that is not missing anywhere.
func (v *verifier) excess(s stray) {
	p := Problem{Seq: s.at, Place: s.Place, Kind: Inserted, Detail: fmt.Sprintf("a line with the number %d that is not part of the chain stands before it", s.seq)}
	if s.seq < v.next && !s.forged {
		p.Seq, p.Kind, p.Detail = s.seq, Duplicated, fmt.Sprintf("its number is there a second time, before record %d", s.at)
		if s.again {
			p.Detail = "its line is there twice"
		}
	}
	v.problem(p)
}

// settle reports the records of a gap: those that stood elsewhere, and the rest as missing.
func (v *verifier) settle(g gap, found map[uint64]stray) {
	var here []stray
	for seq, s := range found {
		if g.first <= seq && seq <= g.last {
			here = append(here, s)
		}
	}
	slices.SortFunc(here, func(a, b stray) int { return cmp.Compare(a.seq, b.seq) })
	from := g.first
	for _, s := range here {
		v.lost(from, s.seq, g)
		from = s.seq + 1
		v.displaced(s, found)
	}
	v.lost(from, g.last+1, g)
}

// settleSpot reports a spot whose records are as they should be: otherwise they have been reported.
func (v *verifier) settleSpot(s spot) {
	for _, p := range v.report.Problems {
		if p.Seq <= s.last && max(p.Seq, p.LastSeq) >= s.first {
			return
		}
	}
	v.problem(Problem{Seq: s.first, LastSeq: s.last, Kind: s.kind, Place: s.Place, Detail: s.detail})
}

// lost reports the records from first up to, not including, end.
func (v *verifier) lost(first, end uint64, g gap) {
	if first >= end {
		return
	}
	p := Problem{Seq: first, Place: g.at, Kind: Dropped, Detail: "it is missing"}
	if end-1 > first {
		p.LastSeq, p.Detail = end-1, fmt.Sprintf("records %d to %d are missing", first, end-1)
	}
	if g.atEnd {
		p.Kind = Truncated
		p.Detail += fmt.Sprintf(": the log ends before the record %d that the head names", v.head.Seq)
	}
	v.problem(p)
}

func (v *verifier) displaced(s stray, found map[uint64]stray) {
	other, both := found[s.at]
	switch {
	case both && other.at == s.seq && s.at < s.seq: // reported with the lower number
	case both && other.at == s.seq:
		v.problem(Problem{Seq: s.seq, LastSeq: s.at, Place: s.Place, Kind: Swapped, Detail: fmt.Sprintf("records %d and %d have changed places", s.seq, s.at)})
	case s.at+1 == s.seq: // neighbours: the other one is in the chain
		v.problem(Problem{Seq: s.at, LastSeq: s.seq, Place: s.Place, Kind: Swapped, Detail: fmt.Sprintf("records %d and %d have changed places", s.at, s.seq)})
	default:
		v.problem(Problem{Seq: s.seq, Place: s.Place, Kind: Moved, Detail: fmt.Sprintf("it stands where record %d should", s.at)})
	}
}

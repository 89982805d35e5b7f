package audit

import (
	"bytes"
	"slices"
)

// minRecent is how many bytes of lines are kept in memory at least; there are twice as many at most.
const minRecent = 1 << 20

// recent keeps the last durable records in memory, so that whoever follows closely neither reads nor decodes them again.
type recent struct {
	lines []Line // without gaps
	bytes int
}

// add takes in the records of a batch, which are not changed any more. What was kept and is not followed by them is
// forgotten.
func (r *recent) add(batch []placed) {
	if n := len(r.lines); n > 0 && r.lines[n-1].Hash != batch[0].line.Prev {
		*r = recent{}
	}
	for _, p := range batch {
		r.bytes += len(p.line.Text)
		r.lines = append(r.lines, p.line)
	}
	if r.bytes < 2*minRecent {
		return
	}
	n := 0
	for ; r.bytes > minRecent; n++ {
		r.bytes -= len(r.lines[n].Text)
	}
	r.lines = slices.Delete(r.lines, 0, n)
}

// after gives a copy of the lines after the record with the number seq, at most a batch of Follow; none where they are
// not all here.
func (r *recent) after(seq uint64) []Line {
	if len(r.lines) == 0 || seq+1 < r.lines[0].Seq || seq >= r.lines[len(r.lines)-1].Seq {
		return nil
	}
	lines := r.lines[seq+1-r.lines[0].Seq:]
	size, n := 0, 0
	for n < min(len(lines), followRecords) && size < followBytes {
		size += len(lines[n].Text)
		n++
	}
	return slices.Clone(lines[:n])
}

// asWritten is a copy of r that Line.Record may give for the line with that body; nil where decoding the line would
// give another one, because a text was cut or was no UTF-8.
func asWritten(r *Record, body []byte) *Record {
	if !writable(r.Time) || bytes.Contains(body, []byte(cutMark)) || bytes.Contains(body, []byte(`\ufffd`)) {
		return nil
	}
	kept := *r
	kept.Time = kept.Time.Round(0).UTC() // without the monotonic clock
	return &kept
}

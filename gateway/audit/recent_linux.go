package audit

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
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
	own(&kept)
	return &kept
}

// texts are the places of the members that are texts.
var texts = func() (at []int) {
	for i := range reflect.TypeFor[Record]().NumField() {
		if reflect.TypeFor[Record]().Field(i).Type.Kind() == reflect.String {
			at = append(at, i)
		}
	}
	return at
}()

// own gives what a record refers to memory of its own: the texts of a caller may be parts of a whole request.
func own(r *Record) {
	members, size := reflect.ValueOf(r).Elem(), 0
	for _, i := range texts {
		size += members.Field(i).Len()
	}
	var all strings.Builder
	all.Grow(size)
	for _, i := range texts {
		all.WriteString(members.Field(i).String())
	}
	rest := all.String()
	for _, i := range texts {
		m := members.Field(i)
		n := m.Len()
		m.SetString(rest[:n])
		rest = rest[n:]
	}
	for _, m := range []*map[string]string{&r.EncryptionContext, &r.SourceContext, &r.SigningContext} {
		*m = ownPairs(*m)
	}
}

func ownPairs(pairs map[string]string) map[string]string {
	if len(pairs) == 0 {
		return nil
	}
	kept := make(map[string]string, len(pairs))
	for k, v := range pairs {
		kept[strings.Clone(k)] = strings.Clone(v)
	}
	return kept
}

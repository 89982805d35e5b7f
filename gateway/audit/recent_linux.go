package audit

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"unsafe"
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

// texts are the places of the members that are texts, in bytes from the beginning of a record.
var texts = func() (at []uintptr) {
	for i := range reflect.TypeFor[Record]().NumField() {
		if f := reflect.TypeFor[Record]().Field(i); f.Type.Kind() == reflect.String {
			at = append(at, f.Offset)
		}
	}
	return at
}()

// text is the member at a place. Reflection does the same in six times the time, for every record.
func (r *Record) text(at uintptr) *string {
	return (*string)(unsafe.Add(unsafe.Pointer(r), at)) //nolint:gosec // texts has the places of strings alone
}

// own gives what a record refers to memory of its own: the texts of a caller may be parts of a whole request.
func own(r *Record) {
	size := 0
	for _, at := range texts {
		size += len(*r.text(at))
	}
	var all strings.Builder
	all.Grow(size)
	for _, at := range texts {
		all.WriteString(*r.text(at))
	}
	rest := all.String()
	for _, at := range texts {
		t := r.text(at)
		n := len(*t)
		*t, rest = rest[:n], rest[n:]
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

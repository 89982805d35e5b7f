package audit

import (
	"errors"
	"io"
	"os"
)

// VerifyOptions of Verify.
type VerifyOptions struct {
	// Head is the last record that the log must hold, from ReadHead or from a place where someone kept it. Without
	// one, records missing at the end and a change of the last record cannot be seen.
	Head *Receipt
	// Receipts must be in the log, with these hashes.
	Receipts []Receipt
	// MaxProblems bounds Report.Problems. Default 1000.
	MaxProblems int
}

// VerifyFile verifies the log at path against its head file. It needs no daemon and changes nothing; a log that
// is being written can be verified too. o.Head, if set, is checked instead of the head file. A missing head
// file is an error, fs.ErrNotExist.
func VerifyFile(path string, o VerifyOptions) (Report, error) {
	if o.Head == nil {
		head, err := ReadHead(path) // before the log, which may be growing
		if err != nil {
			return Report{}, err
		}
		o.Head = &head
	}
	f, err := os.Open(path)
	if err != nil {
		return Report{}, err
	}
	defer func() { _ = f.Close() }() // read only
	return Verify(f, o)
}

// Verify reads a log and reports every record that is changed, missing, out of its place or too much. It holds a
// few lines in memory, whatever the log's length. The error is about reading r or about o, never about the log.
func Verify(r io.Reader, o VerifyOptions) (Report, error) {
	v, err := newVerifier(o)
	if err != nil {
		return Report{}, err
	}
	in := window{lines: newLineReader(r)}
	if err := in.fill(); err != nil {
		return Report{}, err
	}
	for in.n > 0 {
		if !in.at(0).ended {
			v.torn(in.at(0))
		} else {
			v.line(in.at(0), in.at(1), in.at(2))
		}
		if err := in.advance(); err != nil {
			return Report{}, err
		}
	}
	return v.finish(in.count), nil
}

// line is a line of the file and what could be read of it.
type line struct {
	number int64
	text   []byte
	ended  bool // it has its newline
	parsed
	ok  bool // the beginning of it could be parsed
	sum hash
}

// window is the line that is being judged and the two after it.
type window struct {
	lines lineReader
	ring  [3]line
	first int
	n     int
	count int64
	ended bool
}

// at gives the i-th line of the window, or nil behind the end of the file.
func (w *window) at(i int) *line {
	if i >= w.n {
		return nil
	}
	return &w.ring[(w.first+i)%len(w.ring)]
}

func (w *window) advance() error {
	w.first, w.n = (w.first+1)%len(w.ring), w.n-1
	return w.fill()
}

func (w *window) fill() error {
	for w.n < len(w.ring) && !w.ended {
		l := &w.ring[(w.first+w.n)%len(w.ring)]
		text, ended, err := w.lines.next(l.text[:0])
		if errors.Is(err, io.EOF) {
			w.ended = true
			return nil
		}
		if err != nil {
			return err
		}
		w.ended = !ended // what a writer adds to it meanwhile is not another line
		w.count++
		w.n++
		*l = line{number: w.count, text: text, ended: ended, sum: hashOf(text)}
		l.parsed, l.ok = parseLine(text)
		l.ok = l.ok && ended
	}
	return nil
}

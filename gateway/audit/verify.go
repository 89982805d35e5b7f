package audit

import (
	"errors"
	"io"
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

// Verify reads the lines of a log from record 1 and reports every record that is changed, missing, out of its place or
// too much. It holds a few lines in memory, whatever the log's length. The error is about reading r or about o, never
// about the log.
func Verify(r io.Reader, o VerifyOptions) (Report, error) {
	v, err := newVerifier(o)
	if err != nil {
		return Report{}, err
	}
	given := false
	return v.judge(&window{more: func() (*part, error) {
		if given {
			return nil, nil
		}
		given = true
		return &part{lines: newLineReader(r), active: true}, nil
	}})
}

// judge judges every line of the window.
func (v *verifier) judge(in *window) (Report, error) {
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
	end := in.place
	end.Line++
	return v.finish(in.count, end), nil
}

// line is a line of the log and what could be read of it.
type line struct {
	Place
	text  []byte
	ended bool // it has its newline, or should have it
	parsed
	ok  bool // the beginning of it could be parsed
	sum hash
}

// part is one file of the log.
type part struct {
	file   string
	lines  lineReader
	active bool // the last one, which may be growing
}

// window is the line that is being judged and the two after it.
type window struct {
	more  func() (*part, error) // opens the next file; nil behind the last one
	part  *part
	place Place // of the last line that was read
	ring  [3]line
	first int
	n     int
	count int64
	ended bool
}

// at gives the i-th line of the window, or nil behind the end of the log.
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
		err := w.read(&w.ring[(w.first+w.n)%len(w.ring)])
		if errors.Is(err, io.EOF) {
			err = w.turn()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// turn goes on to the next file.
func (w *window) turn() (err error) {
	if w.part, err = w.more(); err != nil || w.part == nil {
		w.ended = true
		return err
	}
	w.place = Place{File: w.part.file}
	return nil
}

// read reads a line. Only at the very end of the log is one without an end one that is being written.
func (w *window) read(l *line) error {
	if w.part == nil {
		return io.EOF
	}
	text, whole, err := w.part.lines.next(l.text[:0])
	if err != nil {
		return err
	}
	w.ended = !whole && w.part.active // what a writer adds to it meanwhile is not another line
	w.place.Line++
	w.count++
	w.n++
	*l = line{Place: w.place, text: text, ended: !w.ended, sum: hashOf(text)}
	l.parsed, l.ok = parseLine(text)
	l.ok = l.ok && whole
	return nil
}

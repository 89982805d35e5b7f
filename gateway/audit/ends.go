package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// Segments lists the files of the log at path in the order of their records, the one that is being written at the end.
// Of a file whose ends cannot be read it leaves out the times; VerifyFile says what is wrong with it.
func Segments(path string) ([]Segment, error) {
	l, err := readLayout(path)
	if err != nil {
		return nil, err
	}
	for i := range l.closed {
		_ = l.closed[i].readEnds()
	}
	info, err := os.Stat(path)
	if err != nil {
		return l.closed, err
	}
	active := Segment{File: path, First: l.last() + 1, Size: info.Size(), Active: true}
	if first, last, err := endsOf(active); err == nil {
		active.First, active.Last, active.From, active.To = first.seq, last.seq, first.time, last.time
	}
	return append(l.closed, active), nil
}

// readEnds reads the first and the last record, and holds them against the segment's name.
func (s *Segment) readEnds() error {
	first, last, err := endsOf(*s)
	switch {
	case err != nil:
		return err
	case first.seq != s.First:
		return fmt.Errorf("%s begins with record %d", s.File, first.seq)
	case last.seq != s.Last:
		return fmt.Errorf("%s ends with record %d", s.File, last.seq)
	}
	s.From, s.To, s.prev, s.sum = first.time, last.time, first.sum, last.sum
	return nil
}

func endsOf(s Segment) (first, last mark, err error) {
	f, err := os.Open(s.File)
	if err != nil {
		return first, last, err
	}
	defer func() { _ = f.Close() }() // read only
	if s.Compressed {
		p, err := readPackIndex(f, s.Size)
		if err != nil {
			err = fmt.Errorf("%s: %w", s.File, err)
		}
		return p.first, p.last, err
	}
	first, last, err = plainEnds(f, s.Size)
	if err != nil {
		err = fmt.Errorf("%s: %w", s.File, err)
	}
	return first, last, err
}

// plainEnds reads the first and the last line of a file of size bytes. Both marks are empty if it holds no whole line.
func plainEnds(f io.ReaderAt, size int64) (first, last mark, err error) {
	line, whole, err := newLineReader(io.NewSectionReader(f, 0, size)).next(nil)
	if err != nil || !whole {
		return first, last, ignore(err, io.EOF)
	}
	p, ok := parseLine(line)
	if !ok {
		return first, last, errNoRecord
	}
	first = mark{p.seq, p.prev, p.time}
	b := make([]byte, min(size, 2*maxLine))
	if _, err := f.ReadAt(b, size-int64(len(b))); err != nil {
		return first, last, err
	}
	b = b[:bytes.LastIndexByte(b, '\n')+1] // a line that is being written
	if len(b) > 0 {
		b = b[bytes.LastIndexByte(b[:len(b)-1], '\n')+1 : len(b)-1]
	}
	if p, ok = parseLine(b); !ok {
		return first, last, errNoRecord
	}
	return first, mark{p.seq, hashOf(b), p.time}, nil
}

var errNoRecord = errors.New("its first or last line is not a record")

// closedEnd is the place in the chain behind the closed segments. The error, ErrDamaged, says which of them is
// missing, cut or another's.
func (l layout) closedEnd(path string) (walker, error) {
	const advice = "put it back from a copy; run hsmgate audit verify to see what is missing"
	sum, err := l.cut.sum()
	end := walker{seq: l.cut.Seq, sum: sum}
	if err != nil {
		return end, err
	}
	if first, last, some := l.missing(); some {
		return end, &Error{Kind: ErrDamaged, Detail: fmt.Sprintf("%s: no segment holds records %d to %d, or two hold the same", SegmentsPath(path), first, last), Advice: advice}
	}
	for i := range l.closed {
		s := &l.closed[i]
		if err := s.readEnds(); err != nil {
			return end, &Error{Kind: ErrDamaged, Detail: "a closed segment is not whole", Cause: err, Advice: advice}
		}
		if s.prev != end.sum {
			return end, &Error{Kind: ErrDamaged, Detail: fmt.Sprintf("%s does not continue record %d", s.File, end.seq), Advice: advice}
		}
		end = walker{seq: s.Last, sum: s.sum}
	}
	return end, nil
}

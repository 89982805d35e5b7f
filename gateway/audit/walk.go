package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// walker is a place in the chain: the last record that was passed.
type walker struct {
	seq  uint64
	sum  hash
	open bool // the next record may call prev what it likes: nothing is known of the one before
}

// walkFrom begins with the record first, whatever it calls prev; nothing comes before record 1.
func walkFrom(first uint64) walker { return walker{seq: first - 1, open: first > 1} }

// take passes the next line, or says that it does not continue the chain.
func (w *walker) take(line []byte, whole bool) (parsed, error) {
	p, ok := parseLine(line)
	switch {
	case !whole:
		return p, fmt.Errorf("the line after record %d has no end", w.seq)
	case !ok || !p.whole || p.seq != w.seq+1 || !w.open && p.prev != w.sum:
		return p, fmt.Errorf("the line after record %d does not continue the chain", w.seq)
	}
	*w = walker{seq: p.seq, sum: hashOf(line)}
	return p, nil
}

// walk follows the chain to the end of r, and stops at the first line that breaks it.
func (w *walker) walk(r io.Reader) error {
	var buf []byte
	for lines := newLineReader(r); ; {
		line, whole, err := lines.next(buf[:0])
		buf = line
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			_, err = w.take(line, whole)
		}
		if err != nil {
			return err
		}
	}
}

// lineReader reads lines of bounded length in constant memory.
type lineReader struct{ r *bufio.Reader }

func newLineReader(r io.Reader) lineReader { return lineReader{bufio.NewReaderSize(r, 64<<10)} }

// next appends the next line, without its newline, to b. whole is false if the file ends without a newline.
// Of a line that is longer than any record, only the beginning is kept. At the end of the file it answers io.EOF.
func (l lineReader) next(b []byte) (line []byte, whole bool, err error) {
	read := false
	for {
		part, err := l.r.ReadSlice('\n')
		read = read || len(part) > 0
		if err == nil {
			part = part[:len(part)-1]
		}
		b = append(b, part[:min(len(part), maxLine+1-len(b))]...)
		switch {
		case err == nil:
			return b, true, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case err == io.EOF && read:
			return b, false, nil
		default:
			return b, false, err
		}
	}
}

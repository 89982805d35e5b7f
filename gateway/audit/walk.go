package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// walk follows the chain from record 1 to the end of r, and stops at the first line that breaks it.
func walk(r io.Reader) (seq uint64, sum hash, err error) {
	lines := newLineReader(r)
	for {
		line, whole, err := lines.next(nil)
		if errors.Is(err, io.EOF) {
			return seq, sum, nil
		}
		p, ok := parseLine(line)
		switch {
		case err != nil:
			return seq, sum, err
		case !whole:
			return seq, sum, fmt.Errorf("the line after record %d has no end", seq)
		case !ok || !p.whole || p.seq != seq+1 || p.prev != sum:
			return seq, sum, fmt.Errorf("the line after record %d does not continue the chain", seq)
		}
		seq, sum = p.seq, hashOf(line)
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

package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// source is the file that a Reader is in.
type source struct {
	f     *os.File
	pack  *unpacker // of a compressed one
	lines lineReader
	at    int64  // offset of the next line
	last  uint64 // the last record of a closed segment; 0 for the file that is being written
}

// openSource opens the file that holds the record seq, at its line; for one that is in no closed segment that is the
// file that is being written.
func openSource(path string, l layout, seq uint64) (*source, error) {
	s, closed := l.holding(seq)
	switch {
	case closed && s.Compressed:
		return openPacked(s, seq)
	case closed:
		path = s.File
	case seq <= l.last():
		return nil, &Error{Kind: ErrDamaged, Detail: fmt.Sprintf("%s: no segment holds record %d", SegmentsPath(path), seq), Advice: "run hsmgate audit verify"}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	at, err := seek(f, seq)
	if err == nil {
		_, err = f.Seek(at, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &source{f: f, lines: newLineReader(f), at: at, last: s.Last}, nil
}

// openPacked begins at the line of the record seq.
func openPacked(s Segment, seq uint64) (*source, error) {
	f, err := os.Open(s.File)
	if err != nil {
		return nil, err
	}
	u, err := newUnpacker(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	src := &source{f: f, pack: u, lines: newLineReader(u), last: s.Last}
	if err := src.unpackAt(seq); err != nil {
		return nil, errors.Join(err, src.close())
	}
	return src, nil
}

// unpackAt goes to the frame that holds the record seq and passes over the lines before it.
func (s *source) unpackAt(seq uint64) error {
	u := s.pack
	u.at, u.rest = u.index.holding(seq), nil
	s.lines.r.Reset(u)
	for n := seq - u.index.frames[u.at].first; n > 0; n-- {
		if _, _, err := s.lines.next(nil); err != nil {
			return err
		}
	}
	return nil
}

// holds says that the record seq is in the file, which is a compressed segment.
func (s *source) holds(seq uint64) bool {
	return s.pack != nil && s.pack.index.first.seq <= seq && seq <= s.last
}

// left says that the file is no longer the one that is being written at path.
func (s *source) left(path string) (bool, error) {
	there, err := os.Stat(path)
	here, hereErr := s.f.Stat()
	if err = both(err, hereErr); err != nil {
		return false, ignore(err, fs.ErrNotExist)
	}
	return !os.SameFile(here, there), nil
}

// forget throws away what was read ahead of a file that is being written: what stands there may be cut off again and be
// another thing later.
func (s *source) forget() error {
	if s.last > 0 {
		return nil
	}
	s.lines = newLineReader(s.f)
	_, err := s.f.Seek(s.at, io.SeekStart)
	return err
}

func (s *source) close() error {
	if s.pack != nil {
		return s.pack.close()
	}
	return s.f.Close()
}

func ignore(err, kind error) error {
	if errors.Is(err, kind) {
		return nil
	}
	return err
}

// seek gives the offset of the line of the record seq, by halving: numbers only grow. For the record after the last
// one it is the end of the last whole line.
func seek(f *os.File, seq uint64) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	low, high := int64(0), info.Size() // low is where a line begins
	for low < high {
		middle := low + (high-low)/2
		found, end, err := lineAfter(f, middle, info.Size())
		switch {
		case err != nil:
			return 0, err
		case end == 0 || found >= seq: // the line begins before the middle, or is this very one
			high = middle
		default:
			low = end
		}
	}
	return low, nil
}

// seekBytes is what is read at a time to find a line: two lines of the usual length.
const seekBytes = 4 << 10

// lineAfter reads the first whole line that begins at or after at: its number, and where the next one begins. Both are
// 0 if there is none.
func lineAfter(f *os.File, at, size int64) (seq uint64, end int64, err error) {
	start := max(at-1, 0)
	lines := lineReader{bufio.NewReaderSize(io.NewSectionReader(f, start, size-start), seekBytes)}
	if at > 0 { // up to the newline before the line
		skipped, whole, err := lines.next(nil)
		if err != nil || !whole {
			return 0, 0, ignore(err, io.EOF)
		}
		start += int64(len(skipped)) + 1
	}
	line, whole, err := lines.next(nil)
	if err != nil || !whole {
		return 0, 0, ignore(err, io.EOF)
	}
	p, ok := parseLine(line)
	if !ok {
		return 0, 0, &Error{Kind: ErrDamaged, Detail: fmt.Sprintf("the line at byte %d is not a record", start), Advice: "run hsmgate audit verify"}
	}
	return p.seq, start + int64(len(line)) + 1, nil
}

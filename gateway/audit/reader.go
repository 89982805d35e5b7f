package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Line is one record as it stands in the log.
type Line struct {
	Seq  uint64
	Hash [32]byte // SHA-256 of Text: what the next line calls prev
	Prev [32]byte
	Text []byte // without the newline
}

// Record decodes the line. Members that are not known here are passed over: a newer version may have written it.
func (l Line) Record() (Record, error) {
	var r Record
	err := json.Unmarshal(l.Text, &r)
	return r, err
}

// Reader reads the records of a log in their order, each once, along the chain. It changes nothing, and may read a
// log that is being written; then it may meet lines that are not durable yet, so whoever acts on what he reads stops
// at the head (ReadHead, Log.Head), or uses Log.Follow, which does.
type Reader struct {
	path  string
	f     *os.File
	lines lineReader
	at    int64  // offset of the next line
	next  uint64 // its number
	sum   hash   // of the line before it
	known bool   // there was one
	text  []byte
}

// OpenReader begins with the record from; 0 is 1. The error is fs.ErrNotExist where there is no log, ErrDamaged
// where the log does not hold the record before it (a record that is not written yet is none).
func OpenReader(path string, from uint64) (*Reader, error) {
	r := &Reader{path: path, next: max(from, 1)}
	return r, r.open()
}

// open seeks the line of the record r.next, or the end if there is none yet.
func (r *Reader) open() error {
	f, err := os.Open(r.path)
	if err != nil {
		return err
	}
	at, err := seek(f, r.next)
	if err == nil {
		_, err = f.Seek(at, io.SeekStart)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r.f, r.at, r.lines = f, at, newLineReader(f)
	return nil
}

// Next gives the next record; its Text is good until the next call. It answers io.EOF where no further whole line is
// there, and may be called again when there is one. ErrDamaged says that the next line does not continue the chain.
func (r *Reader) Next() (Line, error) {
	line, whole, err := r.lines.next(r.text[:0])
	r.text = line
	if err != nil && !errors.Is(err, io.EOF) {
		return Line{}, err
	}
	if err != nil || !whole {
		return Line{}, r.again()
	}
	p, ok := parseStart(line)
	if !ok || p.seq != r.next || r.known && p.prev != r.sum {
		return Line{}, &Error{Kind: ErrDamaged, Detail: fmt.Sprintf("%s: the line at byte %d is not record %d, or does not continue the chain", r.path, r.at, r.next), Advice: "run hsmgate audit verify"}
	}
	r.at += int64(len(line)) + 1
	r.next, r.sum, r.known = p.seq+1, hashOf(line), true
	return Line{Seq: p.seq, Hash: r.sum, Prev: p.prev, Text: line}, nil
}

// again makes Next look anew, at the end of what there is: in another file, if one was put in the log's place.
func (r *Reader) again() error {
	there, err := os.Stat(r.path)
	here, hereErr := r.f.Stat()
	if err = both(err, hereErr); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && !os.SameFile(here, there) {
		old := r.f
		if err := r.open(); err != nil {
			return err
		}
		_ = old.Close() // read only
		return io.EOF
	}
	if err := r.forget(); err != nil {
		return err
	}
	return io.EOF
}

// forget throws away what was read ahead: what stands there may be cut off again and be another thing later.
func (r *Reader) forget() error {
	r.lines = newLineReader(r.f)
	_, err := r.f.Seek(r.at, io.SeekStart)
	return err
}

// Close frees the file.
func (r *Reader) Close() error { return r.f.Close() }

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

// lineAfter reads the first whole line that begins at or after at: its number, and where the next one begins. Both are
// 0 if there is none.
func lineAfter(f *os.File, at, size int64) (seq uint64, end int64, err error) {
	start := max(at-1, 0)
	lines := newLineReader(io.NewSectionReader(f, start, size-start))
	if at > 0 { // up to the newline before the line
		skipped, whole, err := lines.next(nil)
		if err != nil || !whole {
			return 0, 0, ignoreEOF(err)
		}
		start += int64(len(skipped)) + 1
	}
	line, whole, err := lines.next(nil)
	if err != nil || !whole {
		return 0, 0, ignoreEOF(err)
	}
	p, ok := parseStart(line)
	if !ok {
		return 0, 0, &Error{Kind: ErrDamaged, Detail: fmt.Sprintf("the line at byte %d is not a record", start), Advice: "run hsmgate audit verify"}
	}
	return p.seq, start + int64(len(line)) + 1, nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

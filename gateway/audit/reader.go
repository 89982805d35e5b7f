package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Line is one record as it stands in the log.
type Line struct {
	Seq  uint64
	Hash [32]byte // SHA-256 of Text: what the next line calls prev
	Prev [32]byte
	Text []byte // without the newline

	record *Record // what Text says, but for seq and prev, if it is in memory
}

// Record decodes the line. Members that are not known here are passed over: a newer version may have written it.
func (l Line) Record() (r Record, err error) {
	err = l.Decode(&r)
	return r, err
}

// Decode is Record for who uses the same memory for one record after the other.
func (l Line) Decode(r *Record) error {
	if l.record != nil {
		*r = *l.record
		r.Seq, r.Prev = l.Seq, hash(l.Prev).String()
		return nil
	}
	*r = Record{}
	return json.Unmarshal(l.Text, r)
}

// Reader reads the records of a log in their order, each once, along the chain, over its closed segments and the one
// that is being written. It changes nothing, and may read a log that is being written; then it may meet lines that are
// not durable yet, so whoever acts on what he reads stops at the head (ReadHead, Log.Head), or uses Log.Follow, which
// does. A segment may be closed, compressed or removed while it is read.
type Reader struct {
	path string
	src  *source
	next uint64 // number of the next record
	sum  hash   // of the line before it
	// known says that sum is: a Reader that began in the middle does not know it for its first record.
	known bool
	text  []byte

	lines    []Line // of the last batch (follow_linux.go)
	lineText []byte
}

// OpenReader begins with the record from, or with the first one that is there if from is 0. The error is
// fs.ErrNotExist where there is no log, ErrRemoved where retention has removed the record, ErrDamaged where the log
// does not hold the record before it (a record that is not written yet is none).
func OpenReader(path string, from uint64) (*Reader, error) {
	r := &Reader{path: path, next: from}
	return r, r.open()
}

// Move goes on with the record seq, wherever it is, with the errors of OpenReader. A compressed segment that holds it is not opened again.
// After an error it can only be closed.
func (r *Reader) Move(seq uint64) error {
	old := r.src
	if r.next, r.known = seq, false; old.holds(seq) {
		return old.unpackAt(seq)
	}
	err := r.open()
	if err != nil {
		r.src = old
		return err
	}
	_ = old.close() // read only
	return nil
}

// Next gives the next record; its Text is good until the next call. It answers io.EOF where no further whole line is
// there, and may be called again when there is one. ErrDamaged says that the next line does not continue the chain.
func (r *Reader) Next() (Line, error) {
	for {
		line, whole, err := r.src.lines.next(r.text[:0])
		r.text = line
		if err != nil && !errors.Is(err, io.EOF) {
			return Line{}, err
		}
		if err == nil && whole {
			return r.take(line)
		}
		moved, err := r.onward()
		if err != nil {
			return Line{}, err
		}
		if !moved {
			return Line{}, io.EOF
		}
	}
}

func (r *Reader) take(line []byte) (Line, error) {
	p, ok := parseStart(line)
	if !ok || p.seq != r.next || r.known && p.prev != r.sum {
		return Line{}, &Error{Kind: ErrDamaged, Detail: fmt.Sprintf("%s: the line that should be record %d is not, or does not continue the chain", r.src.f.Name(), r.next), Advice: "run hsmgate audit verify"}
	}
	r.src.at += int64(len(line)) + 1
	r.next, r.sum, r.known = p.seq+1, hashOf(line), true
	return Line{Seq: p.seq, Hash: r.sum, Prev: p.prev, Text: line}, nil
}

// onward goes on behind the end of a file, in the file that holds the next record: the next segment, or another file,
// if one was put in the log's place. It answers false where there is none.
func (r *Reader) onward() (moved bool, err error) {
	if r.src.last == 0 {
		if moved, err = r.src.left(r.path); err != nil || !moved {
			return false, both(err, r.src.forget())
		}
	} else if r.next <= r.src.last {
		return false, &Error{Kind: ErrDamaged, Detail: fmt.Sprintf("%s ends before record %d", r.src.f.Name(), r.next), Advice: "run hsmgate audit verify"}
	}
	old := r.src
	if err := r.open(); err != nil {
		r.src = old
		return false, err
	}
	_ = old.close() // read only
	return true, nil
}

// open opens the file that holds the record r.next, or would hold it if it were there.
func (r *Reader) open() (err error) {
	for range 10 { // a file of the list may be gone when it is opened: it was compressed, or is closed just now
		var l layout
		if l, err = readLayout(r.path); err != nil {
			return err
		}
		if r.next == 0 {
			r.next = l.cut.Seq + 1
		}
		if r.next <= l.cut.Seq {
			return &Error{Kind: ErrRemoved, Detail: fmt.Sprintf("%s begins with record %d, and record %d was asked for", r.path, l.cut.Seq+1, r.next), Advice: "begin with a later one, or read a copy of the older segments"}
		}
		if r.next == l.cut.Seq+1 && !r.known {
			if r.sum, err = l.cut.sum(); err != nil {
				return err
			}
			r.known = true
		}
		r.src, err = openSource(r.path, l, r.next)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if now, listErr := readLayout(r.path); listErr != nil || now.last() == l.last() && err == nil {
			return both(err, listErr)
		}
		if err == nil {
			_ = r.src.close() // what was opened is not what was listed
		}
	}
	return err
}

// Close frees the file.
func (r *Reader) Close() error { return r.src.close() }

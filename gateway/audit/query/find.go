package query

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"iter"
	"slices"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// Found is a record of an answer.
type Found struct {
	Receipt audit.Receipt
	Text    []byte // its line in the log, without the newline
	Record  audit.Record
}

// ErrUntrue: the index does not agree with the log. It is thrown away; what was answered so far may lack records.
var ErrUntrue = errors.New("the index does not agree with the log")

// First gives the first records that match, the newest or the oldest ones, at most limit of them, and whether there are more. An index
// that does not agree with the log is made anew and asked again; untrue says that this was so.
func (x *Index) First(q Question, newest bool, limit int) (found []Found, more, untrue bool, err error) {
	if found, more, err = first(x.Find(q, newest), limit); !errors.Is(err, ErrUntrue) {
		return found, more, false, err
	}
	if err := x.discard(); err != nil {
		return nil, false, true, err
	}
	found, more, err = first(x.Find(q, newest), limit)
	return found, more, true, err
}

func first(all iter.Seq2[Found, error], limit int) (found []Found, more bool, err error) {
	for f, err := range all {
		if err != nil || len(found) == limit {
			return found, err == nil, err
		}
		found = append(found, f)
	}
	return found, false, nil
}

// Find gives all records that match, from the newest or from the oldest one on, and ends with the first error.
func (x *Index) Find(q Question, newest bool) iter.Seq2[Found, error] {
	c := q.compile()
	return func(yield func(Found, error) bool) {
		for first := range blocks(x.log, x.o.size, newest) {
			for found, err := range x.inBlock(first, &c, newest) {
				if !yield(found, err) || err != nil {
					return
				}
			}
		}
	}
}

// blocks gives the first records of the blocks that a log reaches into.
func blocks(l *log, size uint64, newest bool) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		if l.end == 0 {
			return
		}
		from, to := (l.first-1)/size, (l.end-1)/size
		for i := range to - from + 1 {
			n := from + i
			if newest {
				n = to - i
			}
			if !yield(n*size + 1) {
				return
			}
		}
	}
}

// candidate is a record that may match by its block.
type candidate struct {
	seq  uint64
	mark [8]byte // beginning of the hash of its line
}

// chunk is how many candidates are read of the log at a time: forwards, whatever the order of the answer.
const chunk = 64

func (x *Index) inBlock(first uint64, c *compiled, newest bool) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		all, kept, err := x.candidates(first, c)
		for len(all) > 0 && err == nil {
			part := all[:min(chunk, len(all))]
			if newest {
				part = all[max(0, len(all)-chunk):]
				all = all[:len(all)-len(part)]
			} else {
				all = all[len(part):]
			}
			var found []Found
			if found, err = x.read(part, c, kept); newest {
				slices.Reverse(found)
			}
			for _, f := range found {
				if !yield(f, nil) {
					return
				}
			}
		}
		if err != nil {
			yield(Found{}, err)
		}
	}
}

// read reads candidates of the log, and gives those that match. kept says that they are of a file, which may lie.
func (x *Index) read(part []candidate, c *compiled, kept bool) (found []Found, err error) {
	for _, one := range part {
		line, err := x.log.line(one.seq)
		if errors.Is(err, io.EOF) {
			err = x.log.damaged("it ends before record %d", one.seq)
		}
		if err != nil {
			return found, err
		}
		r, err := x.log.record(line)
		if err != nil {
			return found, err
		}
		switch same := bytes.Equal(one.mark[:], line.Hash[:len(one.mark)]); {
		case kept && (!same || !c.maybe(&r)):
			return found, ErrUntrue
		case !same:
			return found, x.log.damaged("record %d has changed", one.seq)
		case c.match(&r):
			found = append(found, foundAt(line, r))
		}
	}
	return found, nil
}

// foundAt is what an answer has of a line.
func foundAt(line audit.Line, r audit.Record) Found {
	return Found{Receipt: audit.Receipt{Seq: line.Seq, Hash: hex.EncodeToString(line.Hash[:])}, Text: bytes.Clone(line.Text), Record: r}
}

// candidates asks a block. One whose file is damaged is made anew; if that is damaged, too, or a part of the block is gone from the log, what
// the log has is asked.
func (x *Index) candidates(first uint64, c *compiled) (all []candidate, kept bool, err error) {
	for again := range 3 {
		if all, kept, err = x.once(first, c); !kept || !errors.Is(err, errBroken) {
			return all, kept, err
		}
		if delete(x.heads, first); again == 0 && first >= x.log.first {
			if err := x.index(first); err != nil {
				return nil, false, err
			}
		}
	}
	return all, kept, err
}

func (x *Index) once(first uint64, c *compiled) ([]candidate, bool, error) {
	s, kept, err := x.block(first)
	if err != nil {
		return nil, kept, err
	}
	defer s.close()
	all, err := s.list(c, x.log.first)
	return all, kept, err
}

// list gives the candidates of a block from the record from on.
func (s *sealed) list(c *compiled, from uint64) (all []candidate, err error) {
	mask, none, err := s.candidates(c)
	if err != nil || none || !slices.Contains(mask, true) {
		return nil, err
	}
	marks, err := s.rows(marksPart, len(candidate{}.mark))
	if err != nil {
		return nil, err
	}
	for i, may := range mask {
		if seq := s.first + uint64(i); may && seq >= from {
			one := candidate{seq: seq}
			copy(one.mark[:], marks[len(one.mark)*i:])
			all = append(all, one)
		}
	}
	return all, nil
}

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
		for a := range inOrder(x.chunks(&c, newest), func(slot int, part chunk) answer { return part.read(&x.readers[slot], &c, newest) }) {
			for _, f := range a.found {
				if !yield(f, nil) {
					return
				}
			}
			if a.err != nil {
				yield(Found{}, a.err)
				return
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

// chunkSize is how many candidates are read of the log at a time: forwards, whatever the order of the answer.
const chunkSize = 64

// chunk is candidates of one block, or why there are no more.
type chunk struct {
	part []candidate
	kept bool // they are of a file, which may lie
	err  error
}

// chunks gives the candidates of all blocks.
func (x *Index) chunks(c *compiled, newest bool) iter.Seq[chunk] {
	return func(yield func(chunk) bool) {
		for of := range inOrder(x.places(newest), func(slot int, p place) listed { return x.askers[slot].ask(p, c) }) {
			of = x.mended(of, c)
			for all := of.all; len(all) > 0; {
				part := all[:min(chunkSize, len(all))]
				if newest {
					part = all[max(0, len(all)-chunkSize):]
					all = all[:len(all)-len(part)]
				} else {
					all = all[len(part):]
				}
				if !yield(chunk{part: part, kept: of.kept}) {
					return
				}
			}
			if of.err != nil {
				yield(chunk{err: of.err})
				return
			}
		}
	}
}

// answer is the records of a chunk that match, in the order of the whole answer, and the error after them.
type answer struct {
	found []Found
	err   error
}

func (k chunk) read(from *log, c *compiled, newest bool) answer {
	if k.err != nil {
		return answer{err: k.err}
	}
	found, err := k.matching(from, c)
	if newest {
		slices.Reverse(found)
	}
	return answer{found, err}
}

// matching reads the candidates of the log, and gives those that match.
func (k chunk) matching(from *log, c *compiled) (found []Found, err error) {
	for _, one := range k.part {
		line, err := from.line(one.seq)
		if errors.Is(err, io.EOF) {
			err = from.damaged("it ends before record %d", one.seq)
		}
		if err != nil {
			return found, err
		}
		r, err := from.record(line)
		if err != nil {
			return found, err
		}
		switch same := bytes.Equal(one.mark[:], line.Hash[:len(one.mark)]); {
		case k.kept && (!same || !c.maybe(&r)):
			return found, ErrUntrue
		case !same:
			return found, from.damaged("record %d has changed", one.seq)
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

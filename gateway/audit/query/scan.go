package query

import (
	"errors"
	"io"
	"iter"
	"slices"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// Scan answers a question without an index: it reads the whole log, and compares each record. progress may be nil.
func Scan(path string, q Question, newest bool, progress func(done, total uint64)) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		l, err := openLog(path)
		if err != nil {
			yield(Found{}, err)
			return
		}
		defer func() { _ = l.close() }() // read only
		c := q.compile()
		s := scan{log: l, c: &c}
		for first := range blocks(l, blockSize, newest) {
			if progress != nil {
				progress(s.done, l.end-l.first+1)
			}
			found, err := s.block(max(first, l.first), min(first+blockSize-1, l.end))
			if newest {
				slices.Reverse(found)
			}
			for _, f := range found {
				if !yield(f, nil) {
					return
				}
			}
			if err != nil {
				yield(Found{}, err)
				return
			}
		}
	}
}

// scan reads a log in pieces, which have to follow each other along the chain, in whatever order they are read.
type scan struct {
	log           *log
	c             *compiled
	done          uint64
	before, after link // the record before the piece that was read last, and the last one of it
}

// link is a record and its hash.
type link struct {
	seq uint64
	sum [32]byte
}

func (s *scan) block(first, last uint64) (found []Found, err error) {
	var line audit.Line
	var before link
	for seq := first; seq <= last; seq++ {
		if line, err = s.log.line(seq); errors.Is(err, io.EOF) {
			err = s.log.damaged("it ends before record %d", seq)
		}
		if err != nil {
			return found, err
		}
		if seq == first {
			before = link{seq - 1, line.Prev}
		}
		r, err := s.log.record(line)
		if err != nil {
			return found, err
		}
		if s.c.match(&r) {
			found = append(found, foundAt(line, r))
		}
	}
	after := link{last, line.Hash}
	s.done += last - first + 1
	if s.after.seq == before.seq && s.after.sum != before.sum || s.before.seq == after.seq && s.before.sum != after.sum {
		return found, s.log.damaged("the records around record %d do not continue the chain", first)
	}
	s.before, s.after = before, after
	return found, nil
}

package query

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// errBroken: the file of a block is not as it was written.
var errBroken = errors.New("a file of the index is damaged")

// sealed reads a block from its file, part by part.
type sealed struct {
	head
	from io.ReaderAt
	*room
}

// room is memory that blocks use one after another.
type room struct {
	bytes      []byte
	hits       [1 << 16]bool // by the codes of a column
	mask, some []bool        // by records
}

// readHead reads and checks the head of a file of size bytes.
func readHead(from io.ReaderAt, size int64) (h head, err error) {
	var b [headSize]byte
	if _, err := from.ReadAt(b[:], 0); errors.Is(err, io.EOF) {
		return h, errBroken
	} else if err != nil {
		return h, err
	}
	if string(b[:len(magic)]) != magic || crc32.Checksum(b[:headSize-4], castagnoli) != binary.BigEndian.Uint32(b[headSize-4:]) {
		return h, errBroken
	}
	rest := b[len(magic):]
	h.first, h.count = binary.BigEndian.Uint64(rest), uint64(binary.BigEndian.Uint32(rest[8:]))
	copy(h.prev[:], rest[12:])
	copy(h.last[:], rest[44:])
	h.min, h.max = int64(binary.BigEndian.Uint64(rest[76:])), int64(binary.BigEndian.Uint64(rest[84:]))
	at := uint32(headSize)
	for i := range h.parts {
		p := b[fixedHead+8*i:]
		h.parts[i] = part{at, binary.BigEndian.Uint32(p), binary.BigEndian.Uint32(p[4:])}
		at += h.parts[i].size
	}
	if int64(at) != size || h.count == 0 || h.count > 1<<16 {
		return h, errBroken
	}
	return h, nil
}

// part reads a part. The bytes are good until the next one is read.
func (s *sealed) part(i int) ([]byte, error) {
	p := s.parts[i]
	if cap(s.bytes) < int(p.size) {
		s.bytes = make([]byte, p.size)
	}
	b := s.bytes[:p.size]
	if _, err := s.from.ReadAt(b, int64(p.at)); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if crc32.Checksum(b, castagnoli) != p.check {
		return nil, errBroken
	}
	return b, nil
}

// rows reads a part that has width bytes for each record.
func (s *sealed) rows(i, width int) ([]byte, error) {
	b, err := s.part(i)
	if err == nil && len(b) != width*int(s.count) {
		err = errBroken
	}
	return b, err
}

// candidates marks the records that may be what is asked for; none says that there is none.
func (s *sealed) candidates(c *compiled) (mask []bool, none bool, err error) {
	s.mask, s.some = resized(s.mask, s.count), resized(s.some, s.count)
	fill(s.mask, true)
	if none, err := s.during(c); none || err != nil {
		return nil, none, err
	}
	for _, condition := range c.conditions {
		fill(s.some, false)
		found := false
		for _, t := range condition {
			any, err := s.term(t)
			if err != nil {
				return nil, false, err
			}
			found = found || any
		}
		if !found {
			return nil, true, nil
		}
		for i := range s.mask {
			s.mask[i] = s.mask[i] && s.some[i]
		}
	}
	return s.mask, false, nil
}

func resized(b []bool, n uint64) []bool {
	if uint64(cap(b)) < n {
		return make([]bool, n)
	}
	return b[:n]
}

func fill(b []bool, v bool) {
	for i := range b {
		b[i] = v
	}
}

// during takes those out of the mask that are not of the time that is asked for.
func (s *sealed) during(c *compiled) (none bool, err error) {
	inside := func(at int64) bool {
		return (c.since.IsZero() || at >= nanos(c.since)) && (c.until.IsZero() || at <= nanos(c.until))
	}
	switch {
	case inside(s.min) && inside(s.max):
		return false, nil
	case !c.since.IsZero() && s.max < nanos(c.since), !c.until.IsZero() && s.min > nanos(c.until):
		return true, nil
	}
	b, err := s.rows(timesPart, 8)
	if err != nil {
		return false, err
	}
	for i := range s.mask {
		s.mask[i] = inside(int64(binary.BigEndian.Uint64(b[8*i:])))
	}
	return false, nil
}

// term adds to s.some the records for which a term may hold.
func (s *sealed) term(t term) (any bool, err error) {
	if columns[t.column].hashed {
		return s.hashes(t)
	}
	texts, any, err := s.texts(t)
	if err != nil || !any {
		return false, err
	}
	width := widthOf(texts)
	b, err := s.rows(codesPart(t.column), width)
	if err != nil {
		return false, err
	}
	switch width {
	case 0:
		fill(s.some, true)
	case 1:
		for i, c := range b {
			s.some[i] = s.some[i] || s.hits[c]
		}
	case 2:
		for i := range s.some {
			s.some[i] = s.some[i] || s.hits[binary.BigEndian.Uint16(b[2*i:])]
		}
	}
	return true, nil
}

// texts reads the list of a column into s.hits: for which codes the term may hold, and whether there is one.
func (s *sealed) texts(t term) (count int, any bool, err error) {
	b, err := s.part(listPart(t.column))
	if err != nil {
		return 0, false, err
	}
	if len(b) < 4 {
		return 0, false, errBroken
	}
	n := binary.BigEndian.Uint32(b)
	if b = b[4:]; uint64(n) > s.count {
		return 0, false, errBroken
	}
	for code := range n {
		if len(b) < 4 {
			return 0, false, errBroken
		}
		whole := binary.BigEndian.Uint32(b)
		size := min(whole, maxName)
		if b = b[4:]; uint32(len(b)) < size {
			return 0, false, errBroken
		}
		s.hits[code] = whole > maxName || t.holds(string(b[:size]))
		any = any || s.hits[code]
		b = b[size:]
	}
	return int(n), any, nil
}

func (s *sealed) hashes(t term) (any bool, err error) {
	b, err := s.rows(codesPart(t.column), 4)
	if err != nil {
		return false, err
	}
	for _, sum := range t.sums {
		for i := range s.some {
			if binary.BigEndian.Uint32(b[4*i:]) == sum {
				s.some[i], any = true, true
			}
		}
	}
	return any, nil
}

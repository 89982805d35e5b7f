package query

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"iter"
	"slices"
)

// place is a block that is to be asked: its first record, and its head if it has a file.
type place struct {
	first uint64
	head  head
	kept  bool // it has a file
}

func (x *Index) place(first uint64) place {
	h, kept := x.heads[first]
	return place{first, h, kept}
}

// places gives all blocks.
func (x *Index) places(newest bool) iter.Seq[place] {
	return func(yield func(place) bool) {
		for first := range blocks(x.log, x.o.size, newest) {
			if !yield(x.place(first)) {
				return
			}
		}
	}
}

// listed is what a block says of a question.
type listed struct {
	place
	by  *asker
	all []candidate
	err error
}

// asker asks one block after another. Several do so at once, so each has what it needs for itself.
type asker struct {
	log    log
	folder folder
	size   uint64 // of a block
	room   room
}

func (a *asker) ask(p place, c *compiled) listed {
	l := listed{place: p, by: a}
	s, err := a.open(p)
	if err != nil {
		l.err = err
		return l
	}
	defer s.close()
	l.all, l.err = s.list(c, a.log.first)
	return l
}

// mended asks a block again whose file is damaged: it is made anew, and if that is damaged, too, or a part of the block is gone from the log,
// what the log has is asked.
func (x *Index) mended(l listed, c *compiled) listed {
	for made := false; l.kept && errors.Is(l.err, errBroken); made = true {
		if delete(x.heads, l.first); !made && l.first >= x.log.first {
			if err := x.index(l.first); err != nil {
				return listed{err: err}
			}
		}
		l = l.by.ask(x.place(l.first), c)
	}
	return l
}

// open gives a block: of its file, or, where it has none, of the log.
func (a *asker) open(p place) (*sealed, error) {
	if !p.kept {
		b, err := a.log.block(max(p.first, a.log.first), min(p.first+a.size-1, a.log.end))
		if err != nil {
			return nil, err
		}
		return &sealed{head: b.head, from: bytes.NewReader(b.encode()), room: &a.room}, nil
	}
	file, size, err := a.folder.open(p.first)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errBroken
	}
	if err != nil {
		return nil, err
	}
	now, err := readHead(file, size)
	if err == nil && now != p.head { // another process has put another one in its place
		err = errBroken
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &sealed{head: p.head, from: file, room: &a.room}, nil
}

// close frees the file of a block.
func (s *sealed) close() {
	if c, ok := s.from.(io.Closer); ok {
		_ = c.Close() // read only
	}
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

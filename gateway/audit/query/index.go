package query

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// blockSize is how many records a block has. It bounds the memory, and what is read of the log without an index.
const blockSize = 1 << 14

// Options of Open.
type Options struct {
	// Dir is the folder of the index, of this log alone. Default: that of Folder.
	Dir string
	// Progress is told, while the index is built, how many records of the log it has.
	Progress func(done, total uint64)

	size uint64 // of a block, in tests
}

// Index answers questions about a log. It is for one goroutine.
type Index struct {
	o      Options
	log    *log
	folder folder
	heads  map[uint64]head // of the blocks that have a file, by their first records
	room   room

	unkept error // why it cannot be written
}

// Open brings the index of the log at path to the log's head, and makes what is missing in it. The error is fs.ErrNotExist
// where there is no log, audit.ErrDamaged where the log is not whole. An index that cannot be written is no error: see Unkept.
func Open(path string, o Options) (*Index, error) {
	if o.Dir == "" {
		dir, err := Folder(path)
		if err != nil {
			return nil, err
		}
		o.Dir = dir
	}
	if o.size == 0 {
		o.size = blockSize
	}
	l, err := openLog(path)
	if err != nil {
		return nil, err
	}
	x := &Index{o: o, log: l, folder: folder(o.Dir), heads: map[uint64]head{}}
	if err := x.update(); err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return x, nil
}

// Close frees the log.
func (x *Index) Close() error { return x.log.close() }

// Records are the first and the last record that are asked; 0 and 0 of an empty log.
func (x *Index) Records() (first, last uint64) { return x.log.first, x.log.end }

// Headless says that the log has no head, so that what was cut off its end cannot be seen.
func (x *Index) Headless() bool { return x.log.headless }

// Unkept says why the index could not be read or written. Answers are right all the same, but read the whole log.
func (x *Index) Unkept() error { return x.unkept }

// update finds the blocks that are good, and makes the others.
func (x *Index) update() error {
	missing, err := x.bind()
	if err != nil || len(missing) == 0 || x.unkept != nil {
		return err
	}
	if err := x.folder.make(); err != nil {
		x.unkept = err
		return nil
	}
	if x.log.first > x.o.size {
		x.unkept = x.folder.remove(x.log.first - x.o.size + 1)
	}
	for i := len(missing) - 1; i >= 0 && x.unkept == nil; i-- {
		if x.o.Progress != nil {
			x.o.Progress(missing[i]-1, x.log.end)
		}
		if err := x.index(missing[i]); err != nil {
			return err
		}
	}
	return nil
}

// bind looks at each full block, from the newest to the oldest: whether its last record is the one that the log has there, which the
// block behind it says, too. It gives the first records of those that are missing, or are of another log.
func (x *Index) bind() (missing []uint64, err error) {
	var last [32]byte
	known := false
	for n := x.log.end / x.o.size; n > 0 && n*x.o.size >= x.log.first && x.log.end > 0; n-- {
		first := (n-1)*x.o.size + 1
		if !known {
			line, err := x.log.line(n * x.o.size)
			if err != nil {
				return nil, err
			}
			last = line.Hash
		}
		h, ok, err := x.folder.head(first)
		if err != nil {
			x.unkept = err
		}
		if known = ok && h.first == first && h.count == x.o.size && h.last == last; known {
			x.heads[first], last = h, h.prev
		} else if first >= x.log.first { // else a part of it was removed from the log
			missing = append(missing, first)
		}
	}
	return missing, nil
}

// index makes a full block of the log, and keeps it.
func (x *Index) index(first uint64) error {
	b, err := x.log.block(first, first+x.o.size-1)
	if err != nil {
		return err
	}
	if before, ok := x.heads[first-x.o.size]; ok && before.last != b.head.prev {
		return x.log.damaged("record %d does not continue the chain", first)
	}
	if behind, ok := x.heads[first+x.o.size]; ok && behind.prev != b.head.last {
		return x.log.damaged("record %d does not continue the chain", first+x.o.size)
	}
	x.unkept = x.folder.write(first, b.encode())
	if delete(x.heads, first); x.unkept == nil {
		x.heads[first] = b.head
	}
	return nil
}

// block gives a block: of its file, or, where it has none, of the log. kept tells them apart.
func (x *Index) block(first uint64) (s *sealed, kept bool, err error) {
	h, kept := x.heads[first]
	if !kept {
		b, err := x.log.block(max(first, x.log.first), min(first+x.o.size-1, x.log.end))
		if err != nil {
			return nil, false, err
		}
		return &sealed{head: b.head, from: bytes.NewReader(b.encode()), room: &x.room}, false, nil
	}
	file, size, err := x.folder.open(first)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, true, errBroken
	}
	if err != nil {
		return nil, true, err
	}
	now, err := readHead(file, size)
	if err == nil && now != h { // another process has put another one in its place
		err = errBroken
	}
	if err != nil {
		return nil, true, errors.Join(err, file.Close())
	}
	return &sealed{head: h, from: file, room: &x.room}, true, nil
}

// close frees the file of a block.
func (s *sealed) close() {
	if c, ok := s.from.(io.Closer); ok {
		_ = c.Close() // read only
	}
}

// discard throws away what is there, and makes all of it anew.
func (x *Index) discard() error {
	if err := x.folder.remove(0); err != nil {
		return fmt.Errorf("the index does not agree with the log; remove its folder %s: %w", x.folder, err)
	}
	clear(x.heads)
	return x.update()
}

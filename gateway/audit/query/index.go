package query

import (
	"errors"
	"fmt"
	"iter"
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

// Index answers questions about a log. It is for one goroutine, one question at a time.
type Index struct {
	o       Options
	log     *log
	folder  folder
	heads   map[uint64]head // of the blocks that have a file, by their first records
	askers  [ahead]asker
	readers [ahead]log

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
	for i := range ahead {
		x.askers[i], x.readers[i] = asker{log: l.again(), folder: x.folder, size: o.size}, l.again()
	}
	if err := x.update(); err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return x, nil
}

// Close frees the log.
func (x *Index) Close() error {
	err := x.log.close()
	for i := range ahead {
		err = errors.Join(err, x.askers[i].log.close(), x.readers[i].close())
	}
	return err
}

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
		return nil //nolint:nilerr // questions are answered without the folder
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

// filed is what the file of a block begins with, if it has one.
type filed struct {
	first uint64
	head  head
	ok    bool
	err   error
}

func (x *Index) filed(_ int, first uint64) filed {
	h, ok, err := x.folder.head(first)
	return filed{first, h, ok && h.first == first && h.count == x.o.size, err}
}

// full gives the first records of the full blocks, from the newest to the oldest.
func (x *Index) full() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for first := range blocks(x.log, x.o.size, true) {
			if first+x.o.size-1 <= x.log.end && !yield(first) {
				return
			}
		}
	}
}

// bind looks at each full block, from the newest to the oldest: whether its last record is the one that the log has there, which the
// block behind it says, too. It gives the first records of those that are missing, or are of another log.
func (x *Index) bind() (missing []uint64, err error) {
	var last [32]byte
	known := false
	for f := range inOrder(x.full(), x.filed) {
		if !known {
			line, err := x.log.line(f.first + x.o.size - 1)
			if err != nil {
				return nil, err
			}
			last = line.Hash
		}
		if f.err != nil {
			x.unkept = f.err
		}
		if known = f.ok && f.head.last == last; known {
			x.heads[f.first], last = f.head, f.head.prev
		} else if f.first >= x.log.first { // else a part of it was removed from the log
			missing = append(missing, f.first)
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

// discard throws away what is there, and makes all of it anew.
func (x *Index) discard() error {
	if err := x.folder.remove(0); err != nil {
		return fmt.Errorf("the index does not agree with the log; remove its folder %s: %w", x.folder, err)
	}
	clear(x.heads)
	return x.update()
}

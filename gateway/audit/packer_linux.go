package audit

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// packer compresses the lines of a segment, frame by frame.
type packer struct {
	out    io.Writer
	zstd   *zstd.Encoder
	index  packIndex
	lines  []byte // of the frame that is being filled
	count  int
	first  uint64 // of its records
	offset int64
	buf    []byte
	all    interface { // SHA-256
		io.Writer
		Sum([]byte) []byte
	} // of every line with its newline
}

func newPacker(out io.Writer) *packer {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(frameBytes))
	if err != nil {
		panic(err) // only for options that there are not
	}
	return &packer{out: out, zstd: encoder, all: sha256.New()}
}

// pack compresses the lines of in, which is the segment with the given records, and gives the SHA-256 of what it has
// read. It follows the chain through them, so that what is not a segment is never taken for one.
func pack(in io.Reader, first, last uint64, out io.Writer) (hash, error) {
	p := newPacker(out)
	err := both(p.run(in, first, last), p.zstd.Close())
	return hash(p.all.Sum(nil)), err
}

func (p *packer) run(in io.Reader, first, last uint64) error {
	w := walkFrom(first)
	for lines := newLineReader(in); ; {
		line, whole, err := lines.next(p.buf[:0])
		p.buf = line
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		l, err := w.take(line, whole)
		if err != nil {
			return err
		}
		if p.index.last = (mark{l.seq, w.sum, l.time}); l.seq == first {
			p.index.first = mark{l.seq, l.prev, l.time}
		}
		if err := p.add(l.seq, line); err != nil {
			return err
		}
	}
	if w.seq != last {
		return fmt.Errorf("it ends with record %d and its name says %d", w.seq, last)
	}
	if err := p.flush(); err != nil {
		return err
	}
	_, err := p.out.Write(p.index.encode())
	return err
}

func (p *packer) add(seq uint64, line []byte) error {
	if p.count == 0 {
		p.first = seq
	}
	p.lines = append(append(p.lines, line...), '\n')
	if p.count++; p.count < frameLines && len(p.lines) < frameBytes {
		return nil
	}
	return p.flush()
}

func (p *packer) flush() error {
	if p.count == 0 {
		return nil
	}
	frame := p.zstd.EncodeAll(p.lines, nil)
	_, _ = p.all.Write(p.lines) // a hash takes all
	p.index.frames = append(p.index.frames, packFrame{p.first, p.offset, int64(len(frame)), hashOf(frame)})
	p.offset += int64(len(frame))
	p.lines, p.count = p.lines[:0], 0
	_, err := p.out.Write(frame)
	return err
}

package audit

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
)

// unpacker reads the lines of a compressed segment, one frame after the other.
type unpacker struct {
	f     *os.File
	index packIndex
	at    int // the next frame
	rest  []byte
	plain []byte
	raw   []byte
	zstd  *zstd.Decoder
	// bad, if set, is told of a frame that is not as it was written. If its lines can be read all the same they are, and if
	// not, empty lines stand for its records. If it is nil, such a frame is an error.
	bad func(frame int)
}

func newUnpacker(f *os.File) (*unpacker, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	index, err := readPackIndex(f, info.Size())
	if err != nil {
		return nil, &Error{Kind: ErrDamaged, Detail: f.Name(), Cause: err, Advice: "run hsmgate audit verify"}
	}
	u := &unpacker{f: f, index: index}
	u.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxFrame))
	return u, err
}

// Read gives the text of the frames.
func (u *unpacker) Read(b []byte) (int, error) {
	for len(u.rest) == 0 {
		if u.at == len(u.index.frames) {
			return 0, io.EOF
		}
		if err := u.frame(u.at); err != nil {
			return 0, err
		}
		u.at++
	}
	n := copy(b, u.rest)
	u.rest = u.rest[n:]
	return n, nil
}

// frame reads one frame into rest.
func (u *unpacker) frame(i int) error {
	f := u.index.frames[i]
	u.raw = append(u.raw[:0], make([]byte, f.size)...)
	if _, err := u.f.ReadAt(u.raw, f.offset); err != nil {
		return err
	}
	intact := hashOf(u.raw) == f.sum
	plain, err := u.zstd.DecodeAll(u.raw, u.plain[:0])
	if intact && err == nil {
		u.plain, u.rest = plain, plain
		return nil
	}
	if u.bad == nil {
		return &Error{Kind: ErrDamaged, Detail: fmt.Sprintf("%s: the frame with records %d to %d is not as it was written", u.f.Name(), f.first, u.index.lastOf(i)),
			Cause: err, Advice: "run hsmgate audit verify"}
	}
	u.bad(i)
	if err != nil {
		plain = bytes.Repeat([]byte("\n"), int(u.index.lastOf(i)-f.first)+1) //nolint:gosec // at most frameLines
	}
	u.plain, u.rest = plain, plain
	return nil
}

func (u *unpacker) close() error {
	if u.zstd != nil {
		u.zstd.Close()
	}
	return u.f.Close()
}

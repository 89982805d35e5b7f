package audit

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// A compressed segment is a row of zstd frames, each made of whole lines and readable alone, and behind them an index
// in a skippable frame, which other tools pass over (RFC 8878, 3.1.2), so `zstdcat` gives the lines. The index is text:
//
//	hsmgate-audit-segment 1
//	first SEQ PREV TIME      the first record, what it calls prev, and when it was made
//	last SEQ HASH TIME       the last one and its hash
//	frame SEQ SIZE SHA256    for each frame: its first record, its size and the hash of its compressed bytes
//	end LENGTH CHECK         length of the index, and the SHA-256 of it up to here
//
// The hashes of the compressed bytes find the change of a bit that zstd does not look at.
const (
	packMagic   = "hsmgate-audit-segment 1\n"
	packSkip    = 0x184D2A5A
	packEnd     = len("end 0123456789 ") + 2*len(hash{}) + 1
	frameBytes  = 1 << 20                  // a frame is closed at these bounds
	frameLines  = 1 << 14                  // so that what a damaged one held is bounded too
	maxFrame    = frameBytes + 2*(maxLine) // no frame is larger, compressed or not
	maxPackText = 64 << 20
)

// mark is an end of a segment: a record, a hash and a time.
type mark struct {
	seq  uint64
	sum  hash // of the first record: what it calls prev
	time time.Time
}

type packFrame struct {
	first  uint64
	offset int64
	size   int64
	sum    hash
}

// packIndex is what the end of a compressed segment says of it.
type packIndex struct {
	first, last mark
	frames      []packFrame
}

// lastOf gives the number of the last record of a frame.
func (p packIndex) lastOf(frame int) uint64 {
	if frame+1 < len(p.frames) {
		return p.frames[frame+1].first - 1
	}
	return p.last.seq
}

// holding gives the frame that holds the record seq.
func (p packIndex) holding(seq uint64) int {
	i := 0
	for i+1 < len(p.frames) && p.frames[i+1].first <= seq {
		i++
	}
	return i
}

// encode gives the skippable frame.
func (p packIndex) encode() []byte {
	b := []byte(packMagic)
	b = fmt.Appendf(b, "first %d %s %s\n", p.first.seq, p.first.sum, p.first.time.UTC().Format(time.RFC3339Nano))
	b = fmt.Appendf(b, "last %d %s %s\n", p.last.seq, p.last.sum, p.last.time.UTC().Format(time.RFC3339Nano))
	for _, f := range p.frames {
		b = fmt.Appendf(b, "frame %d %d %s\n", f.first, f.size, f.sum)
	}
	b = fmt.Appendf(b, "end %010d ", len(b)+packEnd)
	b = fmt.Appendf(b, "%s\n", hashOf(b))
	head := binary.LittleEndian.AppendUint32(nil, packSkip)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(b))) //nolint:gosec // bounded by the size of a segment
	return append(head, b...)
}

var errPack = errors.New("its index cannot be read")

// readPackIndex reads the index of a compressed segment of size bytes.
func readPackIndex(f io.ReaderAt, size int64) (packIndex, error) {
	end := make([]byte, packEnd)
	if size < int64(packEnd) {
		return packIndex{}, errPack
	}
	if _, err := f.ReadAt(end, size-int64(packEnd)); err != nil {
		return packIndex{}, err
	}
	if !bytes.HasPrefix(end, []byte("end ")) {
		return packIndex{}, errPack
	}
	length, err := strconv.ParseUint(string(end[4:14]), 10, 32)
	if err != nil || int64(length)+8 > size || length < uint64(packEnd) || length > maxPackText {
		return packIndex{}, errPack
	}
	b := make([]byte, length+8)
	start := size - int64(len(b))
	if _, err := f.ReadAt(b, start); err != nil {
		return packIndex{}, err
	}
	p, ok := parsePackIndex(b[8:])
	if !ok || !bytes.Equal(p.encode(), b) || p.end() != start {
		return packIndex{}, errPack
	}
	return p, nil
}

func (p packIndex) end() int64 {
	last := p.frames[len(p.frames)-1]
	return last.offset + last.size
}

// parsePackIndex reads the text. Whether it is as encode writes it, the caller sees.
func parsePackIndex(b []byte) (p packIndex, ok bool) {
	lines := bytes.Split(b, []byte("\n"))
	if len(lines) < 6 {
		return p, false
	}
	if p.first, ok = parseMark(lines[1]); !ok {
		return p, false
	}
	if p.last, ok = parseMark(lines[2]); !ok || p.last.seq < p.first.seq {
		return p, false
	}
	next, offset := p.first.seq, int64(0)
	for _, line := range lines[3 : len(lines)-2] {
		parts := bytes.Fields(line)
		if len(parts) != 4 {
			return p, false
		}
		f := packFrame{offset: offset}
		var err1, err2 error
		f.first, err1 = strconv.ParseUint(string(parts[1]), 10, 64)
		f.size, err2 = strconv.ParseInt(string(parts[2]), 10, 64)
		if _, err := hex.Decode(f.sum[:], parts[3][:min(len(parts[3]), 2*len(f.sum))]); err != nil || err1 != nil || err2 != nil {
			return p, false
		}
		if n := len(p.frames); f.size <= 0 || f.size > maxFrame || n == 0 && f.first != next || n > 0 && (f.first < next || f.first-next >= frameLines) {
			return p, false
		}
		offset += f.size
		next = f.first + 1
		p.frames = append(p.frames, f)
	}
	return p, p.last.seq-p.frames[len(p.frames)-1].first < frameLines
}

func parseMark(line []byte) (m mark, ok bool) {
	parts := bytes.Fields(line)
	if len(parts) != 4 || len(parts[2]) != 2*len(m.sum) {
		return m, false
	}
	var err1, err2 error
	m.seq, err1 = strconv.ParseUint(string(parts[1]), 10, 64)
	m.time, err2 = time.Parse(time.RFC3339Nano, string(parts[3]))
	_, err3 := hex.Decode(m.sum[:], parts[2])
	return m, m.seq > 0 && both(both(err1, err2), err3) == nil
}

package query

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// The file of a block: its head, then its parts one after another, each with its length and checksum in the head.
// Numbers are big-endian.
//
//	head   magic, number of the first record, count of records, the hash before the first one and that of the last one,
//	       the earliest and the latest time, length and CRC-32C of each part; CRC-32C of all that
//	parts  of each column that is not hashed, the list of its texts: count; of each text its length and its first 255 bytes
//	       of each column, a code into that list for each record (0, 1 or 2 bytes, as few as do), or a hash (4 bytes)
//	       the time of each record (8 bytes), and the beginning of the hash of its line (8 bytes)
const (
	magic     = "hsmgate audit index 2\n"
	timesPart = 2 * columnCount
	marksPart = timesPart + 1
	partCount = marksPart + 1
	fixedHead = len(magic) + 8 + 4 + 32 + 32 + 8 + 8
	headSize  = fixedHead + 8*partCount + 4
)

func listPart(column int) int  { return column }
func codesPart(column int) int { return columnCount + column }

// builder gathers the records of a block.
type builder struct {
	head  head
	lists [columnCount]list
	codes [columnCount][]uint32 // hashes, of columns that are hashed
	times []byte
	marks []byte
}

// head is what the file of a block begins with.
type head struct {
	first, count uint64
	prev, last   [32]byte
	min, max     int64 // nanoseconds since 1970
	parts        [partCount]part
}

type part struct{ at, size, check uint32 }

// list is the texts of a column, in the order in which they came.
type list struct {
	codes map[string]uint32
	bytes []byte
}

func (l *list) code(text []byte) uint32 {
	code, ok := l.codes[string(text)]
	if ok {
		return code
	}
	if l.codes == nil {
		l.codes = make(map[string]uint32)
	}
	code = uint32(len(l.codes))
	l.codes[string(text)] = code
	l.bytes = binary.BigEndian.AppendUint32(l.bytes, uint32(len(text)))
	l.bytes = append(l.bytes, text[:min(len(text), maxName)]...)
	return code
}

func newBuilder(records uint64) *builder {
	b := &builder{times: make([]byte, 0, 8*records), marks: make([]byte, 0, 8*records)}
	for i := range b.codes {
		b.codes[i] = make([]uint32, 0, records)
	}
	return b
}

// add takes the next record.
func (b *builder) add(line audit.Line, r *row) {
	at := r.at
	if b.head.count == 0 {
		b.head.first, b.head.prev, b.head.min, b.head.max = line.Seq, line.Prev, at, at
	}
	b.head.count++
	b.head.last, b.head.min, b.head.max = line.Hash, min(b.head.min, at), max(b.head.max, at)
	for i := range columns {
		text := r.texts[i]
		if columns[i].hashed {
			b.codes[i] = append(b.codes[i], sumOf(text))
		} else {
			b.codes[i] = append(b.codes[i], b.lists[i].code(text))
		}
	}
	b.times = binary.BigEndian.AppendUint64(b.times, uint64(at))
	b.marks = append(b.marks, line.Hash[:8]...)
}

// nanos is the time in nanoseconds, or the nearest that there is for years that are far away.
func nanos(t time.Time) int64 {
	switch {
	case t.Year() < 1678:
		return math.MinInt64
	case t.Year() > 2261:
		return math.MaxInt64
	}
	return t.UnixNano()
}

// encode gives the file of the block.
func (b *builder) encode() []byte {
	body := make([]byte, headSize, headSize+int(b.head.count)*64)
	end := func(p int, from int) {
		b.head.parts[p] = part{uint32(from), uint32(len(body) - from), crc32.Checksum(body[from:], castagnoli)}
	}
	for i := range columns {
		from := len(body)
		if !columns[i].hashed {
			body = binary.BigEndian.AppendUint32(body, uint32(len(b.lists[i].codes)))
			body = append(body, b.lists[i].bytes...)
		}
		end(listPart(i), from)
	}
	for i := range columns {
		from := len(body)
		body = appendCodes(body, b.codes[i], b.width(i))
		end(codesPart(i), from)
	}
	from := len(body)
	body = append(body, b.times...)
	end(timesPart, from)
	from = len(body)
	body = append(body, b.marks...)
	end(marksPart, from)
	b.head.put(body[:0])
	return body
}

// width is how many bytes a record takes in a column.
func (b *builder) width(i int) int {
	if columns[i].hashed {
		return 4
	}
	return widthOf(len(b.lists[i].codes))
}

func widthOf(texts int) int {
	switch {
	case texts <= 1:
		return 0
	case texts <= 1<<8:
		return 1
	}
	return 2 // a block has at most 1<<16 records
}

func appendCodes(to []byte, codes []uint32, width int) []byte {
	for _, c := range codes {
		switch width {
		case 1:
			to = append(to, byte(c))
		case 2:
			to = binary.BigEndian.AppendUint16(to, uint16(c))
		case 4:
			to = binary.BigEndian.AppendUint32(to, c)
		}
	}
	return to
}

// put appends the head.
func (h *head) put(to []byte) {
	to = append(to, magic...)
	to = binary.BigEndian.AppendUint64(to, h.first)
	to = binary.BigEndian.AppendUint32(to, uint32(h.count))
	to = append(to, h.prev[:]...)
	to = append(to, h.last[:]...)
	to = binary.BigEndian.AppendUint64(to, uint64(h.min))
	to = binary.BigEndian.AppendUint64(to, uint64(h.max))
	for _, p := range h.parts {
		to = binary.BigEndian.AppendUint32(to, p.size)
		to = binary.BigEndian.AppendUint32(to, p.check)
	}
	binary.BigEndian.AppendUint32(to, crc32.Checksum(to, castagnoli))
}

package format

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"

	"github.com/sassoftware/go-rpmutils"
)

// The headers of an RPM package: one of signatures, one of what is in it. The limits are those of rpm (lib/header.c).
const (
	rpmLead       = 96
	rpmMaxEntries = 0xffff
	rpmMaxHeader  = 256 << 20 // in bytes
)

type rpmIntro struct{ Magic, Reserved, Entries, Size uint32 }

type rpmEntry struct{ Tag, Kind, Offset, Count int32 }

// rpmSizes are those of one value, in bytes. Kinds that are not here are texts that end with a zero.
var rpmSizes = map[int32]int64{
	rpmutils.RPM_NULL_TYPE: 0, rpmutils.RPM_CHAR_TYPE: 1, rpmutils.RPM_INT8_TYPE: 1, rpmutils.RPM_INT16_TYPE: 2,
	rpmutils.RPM_INT32_TYPE: 4, rpmutils.RPM_INT64_TYPE: 8, rpmutils.RPM_BIN_TYPE: 1,
}

// checkRPM refuses sizes and places in the headers that cannot be, since the library makes room of these sizes and looks
// at these places.
func checkRPM(in *os.File) error {
	size, err := sizeOf(in)
	if err != nil {
		return err
	}
	end, err := checkRPMHeader(in, rpmLead, size)
	if err != nil {
		return err
	}
	_, err = checkRPMHeader(in, (end+7)/8*8, size)
	return err
}

// checkRPMHeader checks the header at this place and gives the end of it.
func checkRPMHeader(in io.ReaderAt, at, size int64) (int64, error) {
	var intro rpmIntro
	r := io.NewSectionReader(in, at, max(size-at, 0))
	if err := binary.Read(r, binary.BigEndian, &intro); err != nil {
		return 0, broken("it is no RPM package: it has no header at %d", at)
	}
	end := at + int64(binary.Size(intro)) + 16*int64(intro.Entries) + int64(intro.Size)
	if intro.Entries > rpmMaxEntries || intro.Size > rpmMaxHeader || end > size {
		return 0, broken("the header at %d of the package states %d entries and %d bytes, which cannot be", at, intro.Entries, intro.Size)
	}
	entries, data := make([]rpmEntry, intro.Entries), make([]byte, intro.Size)
	if err := binary.Read(r, binary.BigEndian, entries); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(r, data); err != nil {
		return 0, err
	}
	left := int64(len(data)) // entries do not share their bytes, so that they are read once
	for _, e := range entries {
		n, ok := e.length(data)
		if left -= n; !ok || left < 0 {
			return 0, broken("the entry %d in the header at %d of the package is not inside it", e.Tag, at)
		}
	}
	return end, nil
}

// length is how many bytes the values of an entry take, if they are inside the data.
func (e rpmEntry) length(data []byte) (int64, bool) {
	if e.Offset < 0 || e.Count < 0 || int64(e.Offset) > int64(len(data)) {
		return 0, false
	}
	data = data[e.Offset:]
	if one, ok := rpmSizes[e.Kind]; ok {
		n := one * int64(e.Count)
		return n, n <= int64(len(data))
	}
	n := 0
	for range e.Count {
		next := bytes.IndexByte(data[n:], 0)
		if next < 0 {
			return 0, false
		}
		n += next + 1
	}
	return int64(n), true
}

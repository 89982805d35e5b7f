package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// Bundle reads the records of a tile of level -1 from the log at path, in the form of c2sp.org/tlog-tiles: each line
// after its length in two bytes. Those that retention has removed have the length 0; where that is all of them, the
// error is audit.ErrRemoved.
func Bundle(path string, t tlog.Tile) ([]byte, error) {
	next := uint64(t.N)*width + 1
	end := next + uint64(t.W)
	r, err := audit.OpenReader(path, next)
	var removed error
	if errors.Is(err, audit.ErrRemoved) {
		removed = err
		r, err = audit.OpenReader(path, 0)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // read only
	var b []byte
	for next < end {
		line, err := r.Next()
		switch {
		case removed != nil && (errors.Is(err, io.EOF) && len(b) == 0 || err == nil && line.Seq >= end):
			return nil, removed
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("%s ends before record %d", path, next)
		case err != nil:
			return nil, err
		case len(line.Text) > audit.MaxLine:
			return nil, fmt.Errorf("record %d has %d bytes, and a bundle holds records of at most %d", line.Seq, len(line.Text), audit.MaxLine)
		}
		b = append(b, make([]byte, 2*(line.Seq-next))...)
		b = binary.BigEndian.AppendUint16(b, uint16(len(line.Text)))
		b = append(b, line.Text...)
		next = line.Seq + 1
	}
	return b, nil
}

// ParseBundle gives the lines of a bundle; that of a record which was removed is empty.
func ParseBundle(b []byte) ([][]byte, error) {
	var lines [][]byte
	for len(b) > 0 {
		if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
			return nil, fmt.Errorf("the bundle ends within record %d of it", len(lines)+1)
		}
		n := 2 + int(binary.BigEndian.Uint16(b))
		lines, b = append(lines, b[2:n]), b[n:]
	}
	return lines, nil
}

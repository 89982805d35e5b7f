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
// after its length in two bytes.
func Bundle(path string, t tlog.Tile) ([]byte, error) {
	first := uint64(t.N)*width + 1
	r, err := audit.OpenReader(path, first)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var b []byte
	for i := range t.W {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s ends before record %d", path, first+uint64(i))
		}
		if err != nil {
			return nil, err
		}
		if len(line.Text) > audit.MaxLine {
			return nil, fmt.Errorf("record %d has %d bytes, and a bundle holds records of at most %d", line.Seq, len(line.Text), audit.MaxLine)
		}
		b = binary.BigEndian.AppendUint16(b, uint16(len(line.Text)))
		b = append(b, line.Text...)
	}
	return b, nil
}

// ParseBundle gives the lines of a bundle.
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

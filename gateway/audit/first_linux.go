package audit

import (
	"errors"
	"io"
)

// First is the number of the first record that is still there; of a log without records, that of the next one.
func (l *Log) First() (uint64, error) {
	r, err := OpenReader(l.path, 0)
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Close() }() // read only
	line, err := r.Next()
	if errors.Is(err, io.EOF) {
		return l.Head().Seq + 1, nil
	}
	return line.Seq, err
}

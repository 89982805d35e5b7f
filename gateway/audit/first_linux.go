package audit

import (
	"errors"
	"io"
)

// First is the number of the first record that is still there; of a log without records, that of the next one.
func (l *Log) First() (uint64, error) {
	head := l.Head() // before it is read: a record that is added meanwhile must not be passed over
	r, err := OpenReader(l.path, 0)
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Close() }() // read only
	line, err := r.Next()
	if errors.Is(err, io.EOF) {
		return head.Seq + 1, nil
	}
	return line.Seq, err
}

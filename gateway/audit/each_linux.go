package audit

import (
	"errors"
	"io"
)

// Each gives visit the durable records from a number on, in order, until it answers false. Records whose Append has
// returned are among them, also one that was refused and stayed.
func (l *Log) Each(from uint64, visit func(Line) bool) error {
	if err := l.Ready(); err != nil { // after what is being written
		return err
	}
	head := l.Head()
	if from > head.Seq {
		return nil
	}
	r, err := OpenReader(l.path, from)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // read only
	for {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if line.Seq > head.Seq || !visit(line) || line.Seq == head.Seq {
			return nil
		}
	}
}

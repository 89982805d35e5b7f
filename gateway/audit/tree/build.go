package tree

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// Build makes the edge of the tree over the first size records of the log at path, from the records alone: what the
// root of a checkpoint of that size has to be. each, if set, is given every tile that has become full, and may end the
// work with an error.
func Build(path string, size int64, each func(t tlog.Tile, data []byte) error) (*Edge, error) {
	e := &Edge{}
	if size == 0 {
		return e, nil
	}
	r, err := audit.OpenReader(path, 1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for e.size < size {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s ends after %d of %d records", path, e.size, size)
		}
		if err != nil {
			return nil, err
		}
		var failed error
		e.Add(line.Text, func(t tlog.Tile, data []byte) {
			if each != nil && failed == nil {
				failed = each(t, data)
			}
		})
		if failed != nil {
			return nil, failed
		}
	}
	return e, nil
}

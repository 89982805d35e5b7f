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
	if err := e.Grow(path, size, each); err != nil {
		return nil, err
	}
	return e, nil
}

// Grow adds the records of the log at path, up to that number, which are not in the tree yet; each is that of Build.
func (e *Edge) Grow(path string, size int64, each func(t tlog.Tile, data []byte) error) error {
	if size <= e.size {
		return nil
	}
	r, err := audit.OpenReader(path, uint64(e.size)+1)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // read only
	for e.size < size {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%s ends after %d of %d records", path, e.size, size)
		}
		if err != nil {
			return err
		}
		var failed error
		e.Add(line.Text, func(t tlog.Tile, data []byte) {
			if each != nil && failed == nil {
				failed = each(t, data)
			}
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}

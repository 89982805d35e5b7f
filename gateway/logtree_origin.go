package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// LogOrigin is the name of the log, whatever name the daemon has by now: that of the tree that is there; without one, that
// under which a daemon that wrote the log has signed it. begun is false where there is neither: then it is the name of
// the settings.
func LogOrigin(t Tree, s *store.Store) (origin string, begun bool, err error) {
	keys, err := tree.DirOf(t.Path).Keys()
	switch {
	case err == nil:
		origin = keys[0].Name()
	case !errors.Is(err, fs.ErrNotExist):
		return "", false, err
	default:
		if origin, err = writtenOrigin(t.Path, s.AllLogKeys()); err != nil {
			return "", false, fmt.Errorf("the log tells nothing of its name: %w", err)
		}
	}
	switch {
	case origin == "":
		return t.Origin, false, nil
	case t.OriginIsSet && origin != t.Origin:
		return "", true, fmt.Errorf("%s is the log %q, and audit.origin is %q: a log keeps its name", t.Path, origin, t.Origin)
	}
	return origin, true, nil
}

// writtenOrigin is the name for which the first one of the log's writers with a key has made its last one, "" if there is none.
// Records say who wrote them, and whoever puts an older log in place leaves that as it was.
func writtenOrigin(path string, keys []*store.LogKey) (string, error) {
	slices.SortFunc(keys, func(a, b *store.LogKey) int { return cmp.Compare(a.CreatedAt.UnixMicro(), b.CreatedAt.UnixMicro()) })
	made := make(map[string]string)
	for _, k := range keys {
		made[k.Instance] = k.Origin
	}
	if len(made) == 0 {
		return "", nil
	}
	r, err := audit.OpenReader(path, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = r.Close() }() // read only
	for {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		record, err := line.Record()
		if err != nil {
			return "", err
		}
		if origin := made[record.Origin]; origin != "" {
			return origin, nil
		}
	}
}

package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

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
		var written bool
		keys := s.AllLogKeys()
		if origin, written, err = writtenOrigin(t.Path, keys); err != nil {
			return "", false, fmt.Errorf("the log tells nothing of its name: %w", err)
		}
		// Where nobody else is on the database, its logs are this daemon's.
		if origin == "" && written && !t.OriginIsSet && !s.Shared() {
			return "", false, fmt.Errorf("%s was written by daemons that have no key of a log, and the log of the database is %q: put the folder %s back from a copy, or set audit.origin to the log's name, or to a new one for a new history",
				t.Path, keys[len(keys)-1].Origin, tree.DirOf(t.Path))
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

// ownLog is the name of the log and its keys, the newest first, where the daemon of that name may sign it.
func ownLog(t Tree, s *store.Store, instance string) (origin string, keys []*store.LogKey, err error) {
	origin, begun, err := LogOrigin(t, s)
	if err != nil {
		return "", nil, err
	}
	keys = s.LogKeys(origin)
	switch {
	case begun && len(keys) == 0:
		return "", nil, fmt.Errorf("%s is the tree of the log %q, whose key is not in this database: put the right database back, or stop hsmgated and move the folder away to begin a new tree with a new key", tree.DirOf(t.Path), origin)
	case !begun && len(keys) > 0 && keys[0].Instance != instance:
		return "", nil, fmt.Errorf("the name of the log %q is that of the daemon %q, whose log is not here: set another one as audit.origin, or put the log and the folder of its tree back", origin, keys[0].Instance)
	case begun && s.Shared() && keys[0].RetiredAt.IsZero() && keys[0].Instance != instance: // on a copy, or renamed
		return "", nil, fmt.Errorf("the log %q is signed by the daemon %q, and this one is %q: if its log is a copy, move the copy away; if the daemon was renamed, set 'instance' to the old name, or run 'hsmgated audit rotate-key' and start again", origin, keys[0].Instance, instance)
	}
	return origin, keys, nil
}

// CheckTree says, before a start, what keeps the daemon of that name from signing the log that is there, as far as the log and
// the database tell. The daemon may be running: the log's end is read after what was signed.
func CheckTree(ctx context.Context, t Tree, s *store.Store, instance string) error {
	origin, _, err := ownLog(t, s, instance)
	if err != nil {
		return err
	}
	kept, err := s.LogCheckpoint(ctx, origin)
	if err != nil {
		return err
	}
	head, err := audit.ReadHead(t.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return signedTree(kept).Check(t.Path, head.Seq)
}

// signedTree is what the database knows to have been signed.
func signedTree(kept store.LogCheckpoint) tree.Signed {
	return tree.Signed{Tree: tlog.Tree{N: kept.Size, Hash: kept.Root}, At: kept.PublishedAt}
}

// writtenOrigin is the name of the log of its last writer, or else of the first of its writers that has one: the name for which it has made
// its last key; "" if there is none. The last one comes first, since another daemon may have the name of an earlier writer by
// now. Records say who wrote them, and whoever puts an older log in place leaves that as it was. written says that there are records.
func writtenOrigin(path string, keys []*store.LogKey) (origin string, written bool, err error) {
	slices.SortFunc(keys, func(a, b *store.LogKey) int { return cmp.Compare(a.CreatedAt.UnixMicro(), b.CreatedAt.UnixMicro()) })
	made := make(map[string]string)
	for _, k := range keys {
		made[k.Instance] = k.Origin
	}
	if len(made) == 0 {
		return "", false, nil
	}
	of := func(r *audit.Record) bool {
		origin, written = made[r.Origin], true
		return origin != ""
	}
	if head, err := audit.ReadHead(path); err == nil && head.Seq > 0 {
		if err := eachRecord(path, head.Seq, func(r *audit.Record) bool { of(r); return true }); err == nil && origin != "" {
			return origin, true, nil
		}
	}
	err = eachRecord(path, 0, of)
	return origin, written, err
}

// eachRecord gives the records from the one with the number on, until enough says so. A log that is not there has none.
func eachRecord(path string, from uint64, enough func(*audit.Record) bool) error {
	r, err := audit.OpenReader(path, from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
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
		record, err := line.Record()
		if err != nil {
			return err
		}
		if enough(&record) {
			return nil
		}
	}
}

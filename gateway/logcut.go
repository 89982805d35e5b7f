package gateway

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/mod/sumdb/note"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

// CheckLogCut is nil if a key of this daemon's log has signed for the records that a cut says are removed. The keys are
// those of the database: who can write the log can write the folder of its tree, too.
func (s *Service) CheckLogCut(c audit.Cut) error {
	origin, _, err := LogOrigin(s.treeConfig, s.store)
	if err != nil {
		origin = s.treeConfig.Origin
	}
	var keys []note.Verifier
	for _, k := range s.store.AllLogKeys() {
		if k.Origin != origin && k.Instance != s.name {
			continue
		}
		_, vkey, err := logVerifierKey(k)
		if err != nil {
			return err
		}
		more, err := tree.ParseKeys(vkey)
		if err != nil {
			return err
		}
		keys = append(keys, more...)
	}
	_, err = tree.CheckCut(c, keys...)
	return err
}

// checkCut refuses to go on with a log whose beginning was removed by somebody else than retention.
func (s *Service) checkCut() error {
	if s.treeConfig.Path == "" {
		return nil
	}
	c, err := audit.ReadCut(s.treeConfig.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = s.CheckLogCut(c)
	}
	if err == nil {
		return nil
	}
	return &audit.Error{Kind: audit.ErrDamaged, Cause: err,
		Detail: fmt.Sprintf("%s says that the records up to number %d were removed, and no key of this log in the database has signed for that", audit.CutPath(s.treeConfig.Path), c.Last.Seq),
		Advice: "keep a copy of what is there, find out who removed them, and put the log with its folders back from a copy; if the database is an older one, put the right one back"}
}

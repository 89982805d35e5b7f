package auditor

import (
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/note"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

// Trust is whose signatures count: the log's own, which a checkpoint needs, and those of witnesses.
type Trust struct {
	Log       []note.Verifier
	Witnesses []note.Verifier
}

func (t Trust) keys() []note.Verifier { return slices.Concat(t.Log, t.Witnesses) }

// Parse reads a checkpoint that the log has signed.
func (t Trust) Parse(signed []byte) (tree.Checkpoint, error) {
	c, err := tree.ParseCheckpoint(signed, t.keys()...)
	if err == nil {
		err = t.own(c)
	}
	return c, err
}

// own says whether it is of this log: a witness must not make itself one by a checkpoint in its own name.
func (t Trust) own(c tree.Checkpoint) error {
	if slices.ContainsFunc(t.Log, func(v note.Verifier) bool { return v.Name() == c.Origin }) {
		return nil
	}
	return fmt.Errorf("the checkpoint is of the log %q, whose key was not given", c.Origin)
}

// Verify checks a receipt.
func (t Trust) Verify(r tree.Receipt) (audit.Record, tree.Checkpoint, error) {
	record, c, err := r.Verify(t.keys()...)
	if err == nil {
		err = t.own(c)
	}
	return record, c, err
}

// Cosigned says which witness has not cosigned a checkpoint, that was parsed; nil: all have.
func (t Trust) Cosigned(c tree.Checkpoint) error {
	for _, w := range t.Witnesses {
		if !slices.ContainsFunc(c.Signed, func(s note.Signature) bool { return s.Name == w.Name() && s.Hash == w.KeyHash() }) {
			return fmt.Errorf("the checkpoint of %d records is not cosigned by %s", c.Tree.N, w.Name())
		}
	}
	return nil
}

package witness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/hsmgate/hsmgate/gateway/audit/tree"
	"github.com/hsmgate/hsmgate/gateway/audit/whole"
)

// File is a place that keeps: Path holds the newest checkpoint, and Path.history each that was pushed, one JSON object a
// line (tree.Published), thinned out once it is long (tree.Thin): where the place lets files only grow, it grows. It is of
// use where whoever rules this machine cannot write: on a mount of another one that only
// lets files grow, say.
type File struct {
	Path string
	Keys func() []note.Verifier // of the log

	maxHistory int64 // tests thin out a short one; 0: tree.MaxHistory
	grown      int64 // length at which a place that did not let the history be replaced is asked again
}

// historySuffix is added to the path.
const historySuffix = ".history"

// Name is the path.
func (f *File) Name() string { return f.Path }

// push writes a checkpoint, after it has looked whether the one that lies there is of a tree that this one continues.
func (f *File) push(_ context.Context, c tree.Checkpoint, prove Prover) (string, error) {
	there, err := os.ReadFile(f.Path)
	if err == nil {
		err = f.continues(there, c, prove)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if bytes.Equal(there, c.Text) {
		return "", nil
	}
	if err := f.remember(c); err != nil {
		return "", err
	}
	return "", whole.Write(f.Path, c.Text, 0o644)
}

// continues checks the checkpoint that is there against the new one.
func (f *File) continues(there []byte, c tree.Checkpoint, prove Prover) error {
	old, err := tree.ParseCheckpoint(there, f.Keys()...)
	if err != nil {
		return fmt.Errorf("what lies there is no checkpoint of this log, and is left alone: %w", err)
	}
	if old.Tree.N > c.Tree.N {
		return fmt.Errorf("%w: it holds the checkpoint of a tree of %d records, and this one has %d", ErrInconsistent, old.Tree.N, c.Tree.N)
	}
	proof, err := prove(c.Tree, old.Tree)
	if err != nil {
		return fmt.Errorf("the proof from %d to %d records: %w", old.Tree.N, c.Tree.N, err)
	}
	if err := tree.CheckTree(proof, c.Tree, old.Tree); err != nil {
		return fmt.Errorf("%w: the one of %d records with the root %s that it holds", ErrInconsistent, old.Tree.N, old.Tree.Hash)
	}
	return nil
}

// remember appends to the history. What a crash has left of a line is ended first, so that it spoils no other.
func (f *File) remember(c tree.Checkpoint) error {
	line, err := json.Marshal(tree.Published{Time: time.Now().UTC(), Checkpoint: string(c.Text)})
	if err != nil {
		return err
	}
	h, err := os.OpenFile(f.Path+historySuffix, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644) //nolint:gosec // G302: checkpoints are for everybody
	if err != nil {
		return err
	}
	if unended(h) {
		line = append([]byte("\n"), line...)
	}
	_, err = h.Write(append(line, '\n'))
	if err = errors.Join(err, h.Sync()); err == nil {
		f.thin(h)
	}
	return errors.Join(err, h.Close())
}

// thin bounds the history. A place that lets files only grow refuses that, and is right to: it is asked again when the
// file has grown by as much.
func (f *File) thin(h *os.File) {
	most := f.maxHistory
	if most == 0 {
		most = tree.MaxHistory
	}
	info, err := h.Stat()
	if err != nil || info.Size() <= max(most, f.grown) {
		return
	}
	if tree.Thin(h.Name(), 0o644) != nil {
		f.grown = info.Size() + most
	}
}

func unended(f *os.File) bool {
	last := make([]byte, 1)
	at, err := f.Seek(0, io.SeekEnd)
	if err != nil || at == 0 {
		return false
	}
	_, err = f.ReadAt(last, at-1)
	return err == nil && last[0] != '\n'
}

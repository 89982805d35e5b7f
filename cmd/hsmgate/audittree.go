package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/audit/auditor"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

// treeCheck is what audit verify does with the tree of the log.
type treeCheck struct {
	trust
	checkpoints []string
}

func (t *treeCheck) flags(c *cobra.Command) {
	t.trust.flags(c, " (default: the one beside the log)")
	c.Flags().StringArrayVar(&t.checkpoints, "checkpoint", nil, "file with a checkpoint that was kept, or a history of them; may be repeated")
}

// run checks the tree. A log of before there were trees has none, which is told and is no fault unless one was asked for.
func (t *treeCheck) run(path string) (*auditor.Report, error) {
	dir := tree.DirOf(path)
	_, err := os.Stat(string(dir))
	if errors.Is(err, fs.ErrNotExist) && t.logKey == "" && len(t.checkpoints) == 0 {
		hint("%s has no tree (%s): its chain alone was checked", path, dir)
		return nil, nil
	}
	by, err := t.read(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &hintedError{&usageError{err}, "name the file with the log's key with --log-key"}
	}
	if err != nil {
		return nil, err
	}
	kept, err := saved(t.checkpoints, by)
	if err != nil {
		return nil, err
	}
	r, err := auditor.VerifyTree(path, by, kept)
	return &r, err
}

func printTree(w io.Writer, r *auditor.Report) {
	if r == nil {
		return
	}
	for _, p := range r.Problems {
		fmt.Fprintln(w, p)
	}
	if r.Omitted > 0 {
		fmt.Fprintf(w, "and %d more problems\n", r.Omitted)
	}
	if !r.Good() {
		return
	}
	fmt.Fprintf(w, "the tree of %s is what the records make: checkpoint of %d records, root %s\n", r.Origin, r.Size, r.Root)
	fmt.Fprintf(w, "%d published and %d saved checkpoints are consistent with it\n", r.Published, r.Saved)
}

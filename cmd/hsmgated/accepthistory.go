package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
	"github.com/hsmgate/hsmgate/gateway/store"
)

func newAuditAcceptHistory() *cobra.Command {
	var path, state string
	var yes bool
	c := &cobra.Command{
		Use:   "accept-history --yes --config FILE | --state DIR",
		Short: "Go on with an audit log that is older than what was signed, or another one",
		Long: `The database keeps the last checkpoint of the audit log, and the daemon signs none that does not continue it:
a log that was put back from an older copy, or rewritten, gets no checkpoints. Put the newest copy back if there
is one. Otherwise this takes the history that is there: it writes the record AcceptHistory, with what was signed
and what it goes on from, into the log, and the next start signs from there. Whoever has a checkpoint of before
(a witness, a checkpoint file, a monitor) goes on to say that the log is another one. The daemon is stopped.`,
		Example: "  cp -a var/audit var/audit.found\n  hsmgated audit accept-history --state ./var --yes",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := configOf(path, state)
			if err != nil {
				return err
			}
			if !yes {
				return &usageError{errors.New("--yes is missing: what was signed before is given up for good")}
			}
			return acceptHistory(cmd.Context(), c)
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "give up what was signed before")
	configFlags(c, &path, &state)
	return c
}

func acceptHistory(ctx context.Context, c *Config) (err error) {
	s, err := openStore(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	origin, err := c.logOrigin(s)
	if err != nil {
		return err
	}
	was, err := s.LogCheckpoint(ctx, origin)
	if err != nil {
		return err
	}
	if was.Size == 0 {
		return fmt.Errorf("the database knows no checkpoint of the log %s, so there is nothing to give up", origin)
	}
	log, err := audit.Open(c.Audit.Path, audit.Options{Timeout: c.Audit.Timeout, SegmentSize: -1, SegmentAge: -1, Uncompressed: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	return acceptLog(ctx, c, s, log, was)
}

// acceptLog records what is given up, and then has the database know the history that is there. After a crash between
// the two it is done again, with one more record.
func acceptLog(ctx context.Context, c *Config, s *store.Store, log *audit.Log, was store.LogCheckpoint) error {
	edge, err := logEdge(c.Audit.Path)
	if err == nil {
		err = grown(edge, c.Audit.Path, log)
	}
	if err != nil {
		return err
	}
	now, err := edge.Tree()
	if err != nil {
		return err
	}
	instance, err := c.instance()
	if err != nil {
		return err
	}
	what := fmt.Sprintf("from %d records with the root %s, which was signed, to %d records with the root %s", was.Size, tlog.Hash(was.Root), now.N, now.Hash)
	wait, cancel := context.WithTimeout(ctx, c.Audit.Timeout)
	defer cancel()
	at, err := log.Append(wait, &audit.Record{Origin: instance, Face: "internal", Operation: "AcceptHistory", Resource: was.Origin, Outcome: "allowed", Reason: what})
	if err == nil {
		err = grown(edge, c.Audit.Path, log)
	}
	if err != nil {
		return err
	}
	if now, err = edge.Tree(); err != nil {
		return err
	}
	if err := s.ReplaceLogCheckpoint(ctx, store.LogCheckpoint{Origin: was.Origin, Size: now.N, Root: now.Hash, PublishedAt: time.Now()}); err != nil {
		return err
	}
	fmt.Printf("the history of the log %s is accepted: %s; record %s says so\n", was.Origin, what, at)
	return nil
}

// logEdge is the tree of the last checkpoint in the log's folder, or the empty one.
func logEdge(path string) (*tree.Edge, error) {
	dir := tree.DirOf(path)
	keys, err := dir.Keys()
	if errors.Is(err, fs.ErrNotExist) {
		return &tree.Edge{}, nil
	}
	if err != nil {
		return nil, err
	}
	last, err := dir.Checkpoint(keys...)
	if errors.Is(err, fs.ErrNotExist) {
		return &tree.Edge{}, nil
	}
	if err != nil {
		return nil, err
	}
	edge, err := dir.Load(last.Tree.N)
	if err != nil {
		return nil, err
	}
	if got, err := edge.Tree(); err != nil || got != last.Tree {
		return nil, fmt.Errorf("the tiles in %s do not give the root of its last checkpoint: put them back, or move the folder away", dir)
	}
	return edge, nil
}

// grown adds the records that the last checkpoint does not cover.
func grown(edge *tree.Edge, path string, log *audit.Log) error {
	head := int64(log.Head().Seq)
	if edge.Size() > head {
		return fmt.Errorf("the log ends with record %d, and the last checkpoint in %s covers %d: move that folder away first", head, tree.DirOf(path), edge.Size())
	}
	return edge.Grow(path, head, nil)
}

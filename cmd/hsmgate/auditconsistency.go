package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/audit/auditor"
)

// consistent is the answer of audit consistency in JSON.
type consistent struct {
	Consistent bool          `json:"consistent"`
	Old        checkpointOut `json:"old"`
	New        checkpointOut `json:"new"`
	Reason     string        `json:"reason,omitempty"`
}

func newAuditConsistency(a *app) *cobra.Command {
	var t trust
	var from string
	c := &cobra.Command{
		Use: "consistency --tiles LOG --log-key KEY OLD NEW", Short: "Show that one checkpoint's tree is the beginning of another's",
		Args: exactly("the old checkpoint", "the new checkpoint"),
		Long: `Checks the signatures of two checkpoints of one log, and that the log only grew from the one
to the other: that every record that the old one vouches for is under the new one, unchanged
and in its place. The proof is made from tiles, which are not trusted: --tiles names the log
(or its folder LOG.tree, or a copy of that), or the address under which a log is served.

Exit code 1: they are not consistent, or one is not signed by the log.`,
		Example: "  hsmgate audit consistency --tiles var/audit/audit.log --log-key log.key monday.checkpoint tuesday.checkpoint\n" +
			"  hsmgate audit consistency --tiles https://gateway.example:8443/v1/log --log-key log.key monday.checkpoint tuesday.checkpoint",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(required(from, "tiles"), required(t.logKey, "log-key")); err != nil {
				return err
			}
			by, err := t.read("")
			if err != nil {
				return err
			}
			older, err := checkpoint(args[0], by)
			if err != nil {
				return err
			}
			newer, err := checkpoint(args[1], by)
			if err != nil {
				return err
			}
			source, err := a.source(from)
			if err != nil {
				return err
			}
			answer := consistent{Consistent: true, Old: outOf(older), New: outOf(newer)}
			no := auditor.Consistent(cmd.Context(), source, newer.Tree, older.Tree)
			if no != nil && !auditor.IsInconsistent(no) {
				return no
			}
			if no != nil {
				answer.Consistent, answer.Reason = false, no.Error()
			}
			if err := a.print(answer, func(w io.Writer) {
				if answer.Consistent {
					fmt.Fprintf(w, "consistent: %s grew from %d to %d records\n", answer.New.Origin, answer.Old.Size, answer.New.Size)
				}
			}); err != nil || answer.Consistent {
				return err
			}
			return &noError{no}
		},
	}
	c.Flags().StringVar(&from, "tiles", "", "the log, the folder of its tree, or the address where it is served")
	t.flags(c, "")
	t.witnessFlag(c)
	return c
}

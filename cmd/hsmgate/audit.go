package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/auditor"
)

func newAudit(a *app) *cobra.Command {
	return group("audit", "Check the audit log, ask it, prove what is in it, and write its records for other tools",
		newAuditVerify(a), newAuditSegments(a), newAuditQuery(a), newAuditExport(a),
		newAuditReceipt(a), newAuditKey(a), newAuditProve(a), newAuditConsistency(a), newAuditMonitor(a))
}

// auditReport is the answer of audit verify in JSON.
type auditReport struct {
	Intact bool `json:"intact"`
	audit.Report
	Tree *auditor.Report `json:"tree,omitempty"`
}

func newAuditVerify(a *app) *cobra.Command {
	var head string
	var receipts []string
	var merkle treeCheck
	c := &cobra.Command{
		Use: "verify LOG", Short: "Check an audit log, offline", Args: exactly("the path of a log"),
		Long: `Checks the chain of an audit log, with no gateway, and prints each record that was changed,
dropped, swapped, cut off or added, by its number: in the file that is written, in its
closed segments (LOG.d), compressed or not, and from what retention has removed (LOG.d/cut)
on; that its key has signed for what is removed is checked with the tree. The log's head file (LOG.head) tells
what its last record is; --head takes that from a copy that was kept in another place, so
that one who can write both files cannot cut the log. A receipt is what the gateway answers
each call with (Hsmgate-Audit-Record, or AuditRecords of 'hsmgate sign --output json'): with
--receipt the log has to hold that very record.

The tree in LOG.tree is made anew from the records and compared with its files, with the
published checkpoint, whose signature has to be of --log-key, and with all that were published
before. --checkpoint names one that was kept elsewhere: a log that was rewritten, or put back
from an older copy together with everything beside it, does not fit it.

A log that the gateway is writing can be checked too. Exit code 1: it is not intact.`,
		Example: "  hsmgate audit verify var/audit/audit.log\n  hsmgate audit verify --head 42:9f86d081… --receipt 17:60303ae2… audit.log\n" +
			"  hsmgate audit verify --log-key log.key --checkpoint monday.checkpoint var/audit/audit.log",
		RunE: func(_ *cobra.Command, args []string) error {
			o, err := verifyOptions(head, receipts)
			if err != nil {
				return err
			}
			if _, err := os.Stat(args[0]); errors.Is(err, fs.ErrNotExist) {
				return &usageError{err}
			} else if err != nil {
				return err
			}
			r, err := audit.VerifyFile(args[0], o)
			var path *fs.PathError
			switch {
			case errors.As(err, &path) && errors.Is(err, fs.ErrNotExist) && path.Path == audit.HeadPath(args[0]):
				return &hintedError{&noError{fmt.Errorf("%s is missing: what was cut off the log's end could not be seen", path.Path)},
					"give the head that you kept with --head seq:hash"}
			case err != nil:
				return damagedLog(err)
			}
			t, err := merkle.run(args[0])
			if err != nil {
				return err
			}
			intact := r.Intact() && (t == nil || t.Good())
			if err := a.print(auditReport{intact, r, t}, func(w io.Writer) { printReport(w, args[0], r, t != nil); printTree(w, t) }); err != nil {
				return err
			}
			if !intact {
				return &noError{fmt.Errorf("%s is not intact: %d problem(s)", args[0], len(r.Problems)+r.Omitted+t.Count())}
			}
			return nil
		},
	}
	merkle.flags(c)
	c.Flags().StringVar(&head, "head", "", "seq:hash of the last record (default: what LOG.head says)")
	c.Flags().StringArrayVar(&receipts, "receipt", nil, "seq:hash of a record that has to be in the log; may be repeated")
	return c
}

// damagedLog makes the answer no of a log that is not as it was written.
func damagedLog(err error) error {
	if errors.Is(err, audit.ErrDamaged) {
		return &noError{err}
	}
	return err
}

func verifyOptions(head string, receipts []string) (audit.VerifyOptions, error) {
	var o audit.VerifyOptions
	if head != "" {
		r, err := audit.ParseReceipt(head)
		if err != nil {
			return o, usagef("--head: %w", err)
		}
		o.Head = &r
	}
	for _, text := range receipts {
		r, err := audit.ParseReceipt(text)
		if err != nil {
			return o, usagef("--receipt: %w", err)
		}
		o.Receipts = append(o.Receipts, r)
	}
	return o, nil
}

func printReport(w io.Writer, path string, r audit.Report, sealed bool) {
	for _, p := range r.Problems {
		fmt.Fprintln(w, p)
	}
	if r.Omitted > 0 {
		fmt.Fprintf(w, "and %d more problems\n", r.Omitted)
	}
	if !r.Intact() {
		return
	}
	fmt.Fprintf(w, "%s is intact: %d records", shown(path), r.Records)
	if r.Records > 0 {
		fmt.Fprintf(w, " from %s to %s", moment(r.First), moment(r.Last))
	}
	fmt.Fprintln(w)
	if r.Cut != nil {
		fmt.Fprintf(w, "removed by retention: the records up to %d\n", r.Cut.Last.Seq)
		if !sealed {
			fmt.Fprintln(w, "whether the log's key has signed for that was not checked: it takes the tree (LOG.tree) and --log-key")
		}
	}
	if len(r.Segments) > 1 {
		printSegments(w, r.Segments)
	}
	fmt.Fprintf(w, "last record %s\n", r.End)
}

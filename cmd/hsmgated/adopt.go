package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

func newAudit() *cobra.Command {
	return group("audit", "Mend the audit log ('hsmgate audit verify' checks it)", newAuditAdopt(), newAuditRotateKey(), newAuditAcceptHistory())
}

func newAuditAdopt() *cobra.Command {
	var path, state string
	c := &cobra.Command{
		Use:   "adopt --config FILE | --state DIR",
		Short: "Go on with an audit log whose end or head file is lost",
		Long: `The daemon does not start with an audit log that ends before its head file says, or that has
no head file. Put it back from a copy if there is one. Otherwise this takes the log as it
is: records that are missing at its end are given up for lost. A log with a fault before its
end is refused, and so is one that a daemon is writing. Keep a copy of both files first.`,
		Example: "  cp -a var/audit var/audit.found\n  hsmgated audit adopt --state ./var",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := configOf(path, state)
			if err != nil {
				return err
			}
			r, err := audit.Adopt(c.Audit.Path)
			if err != nil {
				return err
			}
			fmt.Printf("%s is adopted: %d records; last record %s\n", c.Audit.Path, r.Records, r.End)
			return nil
		},
	}
	configFlags(c, &path, &state)
	return c
}

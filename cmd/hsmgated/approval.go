package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/store"
)

func newApprovalRule() *cobra.Command {
	return group("approval-rule", "Drop the approval rule of a key in an emergency", newApprovalRuleDrop())
}

func newApprovalRuleDrop() *cobra.Command {
	i := &identities{}
	c := &cobra.Command{
		Use: "drop KEY-ID", Short: "Drop a key's approval rule without its approvers", Args: exactlyOne("the id of a key"),
		Long: `Drops the approval rule of a key whose approvers cannot approve any more. The rule holds until a daemon has
recorded that in its audit log, as DropApprovalRule, which takes about a minute.`,
		Example: "  hsmgated approval-rule drop --state ./var 1234abcd-12ab-34cd-56ef-1234567890ab",
		RunE: i.with(func(ctx context.Context, args []string) error {
			err := i.store.ChangeApprovals(ctx, args[0], func(now store.Approvals) (*store.Approval, *store.ApprovalRule, error) {
				if now.Rule == nil {
					return nil, nil, store.ErrNotFound
				}
				dropped := *now.Rule
				dropped.DroppedAt = time.Now()
				return nil, &dropped, nil
			})
			if errors.Is(err, store.ErrNotFound) && strings.ContainsAny(args[0], ":/") {
				return &hintedError{fmt.Errorf("%s is no id of a key", args[0]), "it takes the id of a key, as 'hsmgate key describe " + args[0] + "' shows it"}
			}
			if errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("there is no key %s with an approval rule", args[0])
			}
			return err
		}),
	}
	configFlags(c, &i.path, &i.state)
	return c
}

package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
)

func newApprovalRule(a *app) *cobra.Command {
	return group("rule", "Say whose approval a key's signatures need", newApprovalRulePut(a), newApprovalRuleGet(a), newApprovalRuleDelete(a))
}

func newApprovalRulePut(a *app) *cobra.Command {
	var in api.PutApprovalRuleRequest
	c := &cobra.Command{
		Use: "put KEY --required N --approver ARN...", Short: "Give a key an approval rule", Args: exactly("a key"),
		Long: `Gives a key an approval rule: each signature needs the approval of so many of the approvers. Where the key
has a rule, one that demands more of the same approvers holds at once. Any other is a request to the present
approvers, whose id and hash are printed; it holds with the last approval.`,
		Example: "  hsmgate approval rule put alias/release --required 2 --approver arn:aws:iam::000000000000:user/anna \\\n" +
			"      --approver arn:aws:iam::000000000000:user/ben --approver arn:aws:iam::000000000000:user/cy",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			if err := required(strings.Join(in.Approvers, ""), "approver"); err != nil {
				return err
			}
			in.KeyTarget = target(args[0])
			out, err := c.PutApprovalRule(ctx, &in)
			if err != nil {
				return err
			}
			return a.ruleChange(args[0], out)
		}),
	}
	f := c.Flags()
	f.StringArrayVar(&in.Approvers, "approver", nil, "ARN of a user or a role that may approve; may be repeated")
	in.Required = 1
	f.Var((*countFlag)(&in.Required), "required", "how many of them have to")
	f.StringVar(&in.Reason, "reason", "", "for the approvers of the present rule")
	return c
}

// ruleChange prints what has become of a change of a rule.
func (a *app) ruleChange(key string, out *api.ApprovalRequested) error {
	if out.ApprovalId == "" {
		return a.print(out, func(io.Writer) {})
	}
	hint("nothing has changed yet: the present approvers have to 'hsmgate approval approve %s %s --hash %s'", key, out.ApprovalId, out.Hash)
	return a.print(out, line(out.ApprovalId+"  "+out.Hash))
}

func newApprovalRuleGet(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "get KEY", Short: "Print a key's approval rule", Args: exactly("a key"),
		Long:    "Prints how many approvals a signature needs, and then who may approve, one a line.",
		Example: "  hsmgate approval rule get alias/release",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			out, err := c.GetApprovalRule(ctx, &api.GetApprovalRuleRequest{KeyTarget: target(args[0])})
			if err != nil {
				return err
			}
			return a.print(out, func(w io.Writer) {
				fmt.Fprintf(w, "%d of\n", out.Required)
				for _, arn := range out.Approvers {
					fmt.Fprintln(w, arn)
				}
			})
		}),
	}
}

func newApprovalRuleDelete(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "delete KEY", Short: "Ask the approvers of a key to take its rule away", Args: exactly("a key"),
		Long:    "Asks the approvers of a key to take its rule away, and prints the id and the hash of the request. It is gone with the last approval.",
		Example: "  hsmgate approval rule delete alias/release",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			out, err := c.DeleteApprovalRule(ctx, &api.DeleteApprovalRuleRequest{KeyTarget: target(args[0])})
			if err != nil {
				return err
			}
			return a.ruleChange(args[0], out)
		}),
	}
}

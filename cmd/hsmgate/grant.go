package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

func newGrant(a *app) *cobra.Command {
	return group("grant", "Let others use a key, without a change of its policy", newGrantCreate(a), newGrantList(a), newGrantRetire(a), newGrantRevoke(a))
}

func newGrantCreate(a *app) *cobra.Command {
	var in api.CreateGrantRequest
	var operations []string
	var equals, subset contextFlag
	expires := momentFlag{ahead: true}
	var uses int
	c := &cobra.Command{
		Use: "create KEY --to ARN --operation OPERATION", Short: "Let a principal use a key", Args: exactly("a key"),
		Long: `Lets a principal use a key, and prints the id of the grant. With --name, the same command again gives the
same grant. With --expires or --uses the grant ends by itself: for a partner, or a job. A use is a call that
uses the key and that nothing else allows; DescribeKey is none. ` + aliasCosts,
		Example: "  hsmgate grant create alias/release --to arn:aws:iam::000000000000:user/ci --operation Sign --operation Verify\n" +
			"  hsmgate grant create alias/data --to arn:aws:iam::000000000000:user/ci --operation Decrypt --context-subset tenant=one\n" +
			"  hsmgate grant create alias/release --to arn:aws:iam::000000000000:user/partner --operation Sign --expires 24h --uses 5",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			if err := required(in.GranteePrincipal, "to"); err != nil {
				return err
			}
			if err := required(strings.Join(operations, ","), "operation"); err != nil {
				return err
			}
			if !policy.IsPrincipal(in.GranteePrincipal) {
				return usagef("--to is an ARN such as arn:aws:iam::000000000000:user/ci, not %q", in.GranteePrincipal)
			}
			for _, o := range operations {
				named, err := oneOf("operation", o, grantable)
				if err != nil {
					return err
				}
				in.Operations = append(in.Operations, named)
			}
			if in.ExpiresAt = expires.member(); uses != 0 {
				in.Uses = &uses
			}
			id, err := keyID(ctx, c, args[0])
			if err != nil {
				return err
			}
			in.KeyTarget = target(id)
			if len(equals.pairs)+len(subset.pairs) > 0 {
				in.Constraints = &api.GrantConstraints{EncryptionContextEquals: equals.pairs, EncryptionContextSubset: subset.pairs}
			}
			out, err := c.CreateGrant(ctx, &in)
			if err != nil {
				return err
			}
			return a.print(out, line(out.GrantId))
		}),
	}
	f := c.Flags()
	f.StringVar(&in.GranteePrincipal, "to", "", "ARN of the principal that may use the key")
	f.StringVar(&in.RetiringPrincipal, "retiring-principal", "", "ARN of a principal that may retire the grant")
	f.StringArrayVar(&operations, "operation", nil, "what the principal may do, such as Sign; may be repeated")
	f.Var(&equals, "context-equals", "pair of the encryption context that each call has to have, and no other; may be repeated")
	f.Var(&subset, "context-subset", "pair that the encryption context of each call has to contain; may be repeated")
	f.StringVar(&in.Name, "name", "", "makes the same command give the same grant")
	f.Var(&expires, "expires", "when the grant ends: "+momentAhead+"; of a date, its beginning in UTC (default: never)")
	f.Var((*countFlag)(&uses), "uses", "how many calls the grant allows (default: any number)")
	return c
}

func newGrantList(a *app) *cobra.Command {
	var retirable string
	c := &cobra.Command{
		Use: "list [KEY]", Short: "List the grants on a key, or those that somebody may retire", Args: atMostOne,
		Long:    "Lists grants, one a line: ID, GRANTEE, OPERATIONS, KEY, ENDS, CONTEXT that calls need, NAME. " + aliasCosts,
		Example: "  hsmgate grant list alias/release\n  hsmgate grant list --retirable-by arn:aws:iam::000000000000:user/ci",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			if (len(args) == 1) == (retirable != "") {
				return usagef("name a key, or a principal with --retirable-by")
			}
			page := func(marker string) (*api.ListGrantsResponse, error) {
				return c.ListRetirableGrants(ctx, &api.ListRetirableGrantsRequest{RetiringPrincipal: retirable, Marker: marker})
			}
			if len(args) == 1 {
				id, err := keyID(ctx, c, args[0])
				if err != nil {
					return err
				}
				page = func(marker string) (*api.ListGrantsResponse, error) {
					return c.ListGrants(ctx, &api.ListGrantsRequest{KeyTarget: target(id), Marker: marker})
				}
			}
			all, err := allGrants(page)
			if err != nil {
				return err
			}
			return a.print(map[string]any{"Grants": all}, func(w io.Writer) {
				for _, g := range all {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", g.GrantId, g.GranteePrincipal, joined(g.Operations), g.KeyId, ends(&g, time.Now()), needs(g.Constraints), orDash(g.Name))
				}
			})
		}),
	}
	c.Flags().StringVar(&retirable, "retirable-by", "", "ARN of a principal: list what it may retire")
	return c
}

func allGrants(page func(marker string) (*api.ListGrantsResponse, error)) ([]api.GrantListEntry, error) {
	all := []api.GrantListEntry{}
	for marker := ""; ; {
		out, err := page(marker)
		if err != nil {
			return nil, err
		}
		all = append(all, out.Grants...)
		if !out.Truncated {
			return all, nil
		}
		marker = out.NextMarker
	}
}

// needs is the encryption context that a grant asks for.
func needs(c *api.GrantConstraints) string {
	switch {
	case c != nil && len(c.EncryptionContextEquals) > 0:
		return "equals " + (&contextFlag{c.EncryptionContextEquals}).String()
	case c != nil && len(c.EncryptionContextSubset) > 0:
		return "subset " + (&contextFlag{c.EncryptionContextSubset}).String()
	}
	return "-"
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// ends says when a grant ends by itself, or that it has.
func ends(g *api.GrantListEntry, now time.Time) string {
	var all []string
	if g.ExpiresAt != nil {
		at := g.ExpiresAt.UTC().Format(time.RFC3339)
		if !now.Before(g.ExpiresAt.Time) {
			at = "ended " + at
		}
		all = append(all, at)
	}
	if g.Uses != nil && g.UsesLeft != nil {
		all = append(all, fmt.Sprintf("%d of %d uses left", *g.UsesLeft, *g.Uses))
	}
	if len(all) == 0 {
		return "-"
	}
	return strings.Join(all, ", ")
}

func joined(operations []api.GrantOperation) string {
	var all []string
	for _, o := range operations {
		all = append(all, string(o))
	}
	return strings.Join(all, ",")
}

func newGrantRetire(a *app) *cobra.Command {
	var token, grant string
	c := &cobra.Command{
		Use: "retire [KEY]", Short: "End a grant, as its grantee or retiring principal", Args: atMostOne,
		Long: "Ends a grant, named by its token, or by its key's id or ARN and its id. The caller is its retiring principal, its grantee where\nRetireGrant is among the operations, or allowed by a policy.",
		Example: "  hsmgate grant retire --token \"$TOKEN\"\n" +
			"  hsmgate grant retire 1234abcd-12ab-34cd-56ef-1234567890ab --grant 0c237476b39f8bc44e45212e08498fbe3151305030726c0590dd8d3e9f3d6a60",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			in := &api.RetireGrantRequest{GrantToken: token, GrantId: grant}
			if len(args) == 1 {
				in.KeyTarget = target(args[0])
			}
			if (token != "") == (grant != "") || (grant != "") != (len(args) == 1) {
				return usagef("name the grant with --token, or with its key and --grant")
			}
			_, err := c.RetireGrant(ctx, in)
			return err
		}),
	}
	c.Flags().StringVar(&token, "token", "", "token of the grant")
	c.Flags().StringVar(&grant, "grant", "", "id of the grant")
	return c
}

func newGrantRevoke(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "revoke KEY GRANT", Short: "End a grant, as the administrator of its key", Args: exactly("a key", "the id of a grant"),
		Long:    "Ends a grant. " + aliasCosts,
		Example: "  hsmgate grant revoke alias/release 0c237476b39f8bc44e45212e08498fbe3151305030726c0590dd8d3e9f3d6a60",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			id, err := keyID(ctx, c, args[0])
			if err != nil {
				return err
			}
			_, err = c.RevokeGrant(ctx, &api.RevokeGrantRequest{KeyTarget: target(id), GrantId: args[1]})
			return err
		}),
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

func newPolicy() *cobra.Command {
	return group("policy", "Keep identity policies, which say what principals may do", newPolicyPut(), newPolicyGet(), newPolicyList(), newPolicyDelete())
}

func newPolicyPut() *cobra.Command {
	i := &identities{}
	c := &cobra.Command{
		Use: "put NAME FILE", Short: "Make or replace an identity policy", Args: exactlyTwo("a name and a file (- for standard input)"),
		Long: `Makes an identity policy in the language of AWS IAM, or replaces it for all who have it. What is not
understood is refused, with line and column. A running daemon sees it within about a second.`,
		Example: "  hsmgated policy put --state ./var sign-releases policy.json",
		RunE: i.with(func(ctx context.Context, args []string) error {
			text, err := policyFile(args[1])
			if err != nil {
				return err
			}
			err = i.PutPolicy(ctx, args[0], text, time.Now())
			var malformed *policy.Error
			if errors.As(err, &malformed) {
				return &hintedError{fmt.Errorf("%s: %w", args[1], err), "docs/policy-language.md has all that a policy may hold"}
			}
			return err
		}),
	}
	configFlags(c, &i.path, &i.state)
	return c
}

func policyFile(name string) (string, error) {
	in := io.Reader(os.Stdin)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, policy.MaxIdentityPolicy+1)) // one byte more is refused
	return string(text), err
}

func newPolicyGet() *cobra.Command {
	i := &identities{}
	c := &cobra.Command{
		Use: "get NAME", Short: "Print an identity policy", Args: exactlyOne("a name"), Example: "  hsmgated policy get --state ./var sign-releases",
		RunE: i.with(func(_ context.Context, args []string) error {
			p, ok := i.Policy(args[0])
			if !ok {
				return noPolicy(args[0])
			}
			fmt.Println(strings.TrimSuffix(p.Document.Text, "\n"))
			return nil
		}),
	}
	configFlags(c, &i.path, &i.state)
	return c
}

func newPolicyList() *cobra.Command {
	i := &identities{}
	var format string
	c := &cobra.Command{
		Use: "list", Short: "List all identity policies, and who has them", Args: noArgs, Example: "  hsmgated policy list --state ./var",
		RunE: i.with(func(context.Context, []string) error {
			type row struct {
				Name       string
				Principals []string `json:",omitempty"`
				CreatedAt  time.Time
				UpdatedAt  time.Time
			}
			has := map[string][]string{}
			for _, p := range i.Principals() {
				for _, name := range p.Policies {
					has[name] = append(has[name], p.Name)
				}
			}
			rows := []row{}
			for _, p := range i.Policies() {
				rows = append(rows, row{p.Name, has[p.Name], p.CreatedAt, p.UpdatedAt})
			}
			return printRows(format, rows, "NAME\tPRINCIPALS\tUPDATED", func(r row) string {
				return r.Name + "\t" + strings.Join(r.Principals, ",") + "\t" + r.UpdatedAt.Format(time.RFC3339)
			})
		}),
	}
	configFlags(c, &i.path, &i.state)
	outputFlag(c, &format)
	return c
}

func newPolicyDelete() *cobra.Command {
	i := &identities{}
	c := &cobra.Command{
		Use: "delete NAME", Short: "Remove an identity policy that nobody has", Args: exactlyOne("a name"), Example: "  hsmgated policy delete --state ./var sign-releases",
		RunE: i.with(func(ctx context.Context, args []string) error {
			err := i.DeletePolicy(ctx, args[0])
			switch {
			case errors.Is(err, store.ErrNotFound):
				return noPolicy(args[0])
			case errors.Is(err, store.ErrState):
				return &hintedError{fmt.Errorf("%s is attached to principals", args[0]), "see 'hsmgated policy list', and take it from them with 'hsmgated principal detach'"}
			}
			return err
		}),
	}
	configFlags(c, &i.path, &i.state)
	return c
}

func noPolicy(name string) error {
	return &hintedError{fmt.Errorf("there is no policy %s", name), "see 'hsmgated policy list'"}
}

func exactlyTwo(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != 2 {
			return &usageError{fmt.Errorf("%q needs %s", c.CommandPath(), what)}
		}
		return nil
	}
}

func newPrincipalAttach() *cobra.Command {
	i := &identities{}
	c := &cobra.Command{
		Use: "attach NAME POLICY", Short: "Give a principal an identity policy", Args: exactlyTwo("a principal and a policy"),
		Long:    "Gives a principal an identity policy, beside its role. A running daemon sees it within about a second.",
		Example: "  hsmgated principal attach --state ./var ci sign-releases",
		RunE: i.with(func(ctx context.Context, args []string) error {
			if _, ok := i.Policy(args[1]); !ok {
				return noPolicy(args[1])
			}
			err := i.AttachPolicy(ctx, i.PrincipalARN(args[0]), args[1])
			if errors.Is(err, store.ErrNotFound) {
				return i.noPrincipal(args[0])
			}
			return err
		}),
	}
	configFlags(c, &i.path, &i.state)
	return c
}

func newPrincipalDetach() *cobra.Command {
	i := &identities{}
	c := &cobra.Command{
		Use: "detach NAME POLICY", Short: "Take an identity policy from a principal", Args: exactlyTwo("a principal and a policy"),
		Example: "  hsmgated principal detach --state ./var ci sign-releases",
		RunE: i.with(func(ctx context.Context, args []string) error {
			err := i.DetachPolicy(ctx, i.PrincipalARN(args[0]), args[1])
			if errors.Is(err, store.ErrNotFound) {
				return &hintedError{fmt.Errorf("%s does not have the policy %s", args[0], args[1]), "see 'hsmgated policy list'"}
			}
			return err
		}),
	}
	configFlags(c, &i.path, &i.state)
	return c
}

func newPrincipalTag() *cobra.Command {
	i := &identities{}
	var remove []string
	c := &cobra.Command{
		Use: "tag NAME [TAG=VALUE]...", Short: "Put tags on a principal, for conditions on aws:PrincipalTag",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 || len(args) == 1 && len(remove) == 0 {
				return &usageError{fmt.Errorf("%q needs a principal, and a tag, such as team=packages, or --remove", c.CommandPath())}
			}
			return nil
		},
		Long:    "Puts tags on a principal, one of the same name being replaced, and takes those off that --remove names.",
		Example: "  hsmgated principal tag --state ./var ci team=packages\n  hsmgated principal tag --state ./var ci --remove team",
		RunE: i.with(func(ctx context.Context, args []string) error {
			var tags []store.Tag
			for _, arg := range args[1:] {
				name, value, ok := strings.Cut(arg, "=")
				if !ok {
					return &usageError{fmt.Errorf("%q is not a tag: write NAME=VALUE", arg)}
				}
				tags = append(tags, store.Tag{Name: name, Value: value})
			}
			err := i.TagPrincipal(ctx, i.PrincipalARN(args[0]), tags, remove)
			if errors.Is(err, store.ErrNotFound) {
				return i.noPrincipal(args[0])
			}
			return err
		}),
	}
	configFlags(c, &i.path, &i.state)
	c.Flags().StringArrayVar(&remove, "remove", nil, "name of a tag to take off; may be repeated")
	return c
}

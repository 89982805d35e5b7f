package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/store"
)

func newRole() *cobra.Command {
	k := aRole
	return group(k.name, "Keep roles, which workloads assume by what they prove", newPrincipalCreate(k), newPrincipalList(k), newPrincipalAttach(k), newPrincipalDetach(k),
		newPrincipalTag(k), newRoleRevokeSessions(), newPrincipalDelete(k))
}

func newRoleRevokeSessions() *cobra.Command {
	i := &identities{}
	c := &cobra.Command{
		Use: "revoke-sessions NAME", Short: "End all sessions that a role has now", Args: exactlyOne("a name"),
		Long: `Ends all sessions of a role that were made until now. A running daemon sees it within about a second. A workload
that can still prove what it is gets a new one: to keep it out, take its rule out of the settings, or delete the role.`,
		Example: "  hsmgated role revoke-sessions --state ./var ci",
		RunE: i.with(func(ctx context.Context, args []string) error {
			err := i.EndSessions(ctx, i.RoleARN(args[0]), time.Now())
			if errors.Is(err, store.ErrNotFound) {
				return aRole.none(args[0])
			}
			return err
		}),
	}
	configFlags(c, &i.path, &i.state)
	return c
}

func newPrincipalAttach(k kind) *cobra.Command {
	i := &identities{}
	var force bool
	c := &cobra.Command{
		Use: "attach NAME POLICY", Short: "Give a " + k.name + " an identity policy", Args: exactlyTwo("a " + k.name + " and a policy"),
		Long:    "Gives a " + k.name + " an identity policy. A running daemon sees it within about a second.",
		Example: "  hsmgated " + k.name + " attach --state ./var ci sign-releases",
		RunE: i.with(func(ctx context.Context, args []string) error {
			if _, ok := i.Policy(args[1]); !ok {
				return noPolicy(args[1])
			}
			arn := k.arn(i.Identities, args[0])
			err := i.keepAdministrator(force, asked{what: args[1] + " leaves no administrator", hint: "attach it",
				policies: changed(arn, func(names []string) []string { return append(names, args[1]) })})
			if err != nil {
				return err
			}
			err = i.AttachPolicy(ctx, arn, args[1])
			if errors.Is(err, store.ErrNotFound) {
				return k.none(args[0])
			}
			return err
		}),
	}
	configFlags(c, &i.path, &i.state)
	forceFlag(c, &force)
	return c
}

func newPrincipalDetach(k kind) *cobra.Command {
	i := &identities{}
	var force bool
	c := &cobra.Command{
		Use: "detach NAME POLICY", Short: "Take an identity policy from a " + k.name, Args: exactlyTwo("a " + k.name + " and a policy"),
		Long:    "Takes an identity policy from a " + k.name + ". That of the last administrator stays, unless --force is given.",
		Example: "  hsmgated " + k.name + " detach --state ./var ci sign-releases",
		RunE: i.with(func(ctx context.Context, args []string) error {
			arn := k.arn(i.Identities, args[0])
			err := i.keepAdministrator(force, asked{what: args[0] + " is the last administrator, by the policy " + args[1], hint: "detach it",
				policies: changed(arn, func(names []string) []string {
					return slices.DeleteFunc(names, func(name string) bool { return name == args[1] })
				})})
			if err != nil {
				return err
			}
			err = i.DetachPolicy(ctx, arn, args[1])
			if errors.Is(err, store.ErrNotFound) {
				return &hintedError{fmt.Errorf("%s does not have the policy %s", args[0], args[1]), "see 'hsmgated policy list'"}
			}
			return err
		}),
	}
	configFlags(c, &i.path, &i.state)
	forceFlag(c, &force)
	return c
}

func newPrincipalTag(k kind) *cobra.Command {
	i := &identities{}
	var remove []string
	c := &cobra.Command{
		Use: "tag NAME [TAG=VALUE]...", Short: "Put tags on a " + k.name + ", for conditions on aws:PrincipalTag",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 || len(args) == 1 && len(remove) == 0 {
				return &usageError{fmt.Errorf("%q needs a "+k.name+", and a tag, such as team=packages, or --remove", c.CommandPath())}
			}
			return nil
		},
		Long:    "Puts tags on a " + k.name + ", one of the same name being replaced, and takes those off that --remove names.",
		Example: "  hsmgated " + k.name + " tag --state ./var ci team=packages\n  hsmgated " + k.name + " tag --state ./var ci --remove team",
		RunE: i.with(func(ctx context.Context, args []string) error {
			var tags []store.Tag
			for _, arg := range args[1:] {
				name, value, ok := strings.Cut(arg, "=")
				if !ok {
					return &usageError{fmt.Errorf("%q is not a tag: write NAME=VALUE", arg)}
				}
				tags = append(tags, store.Tag{Name: name, Value: value})
			}
			err := i.TagPrincipal(ctx, k.arn(i.Identities, args[0]), tags, remove)
			if errors.Is(err, store.ErrNotFound) {
				return k.none(args[0])
			}
			return err
		}),
	}
	configFlags(c, &i.path, &i.state)
	c.Flags().StringArrayVar(&remove, "remove", nil, "name of a tag to take off; may be repeated")
	return c
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// identities is what principal and credential verbs work on: the database
// itself. A running daemon sees a change within about a second.
type identities struct {
	path, state string
	config      *Config
	store       *store.Store
	*identity.Identities
}

// with opens the database for the time of f.
func (i *identities) with(f func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) (err error) {
		if i.config, err = configOf(i.path, i.state); err != nil {
			return err
		}
		if i.store, i.Identities, err = openIdentities(cmd.Context(), i.config); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, i.store.Close()) }()
		return f(cmd.Context(), args)
	}
}

func exactlyOne(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return &usageError{fmt.Errorf("%q needs %s", c.CommandPath(), what)}
		}
		return nil
	}
}

// kind is who verbs are about.
type kind struct {
	name string // of one, and of the group of its verbs
	arn  func(*identity.Identities, string) string
	make func(*identity.Identities, context.Context, string, policy.Role, []string, time.Time) (policy.Principal, error)
}

var (
	aPrincipal = kind{"principal", (*identity.Identities).PrincipalARN, (*identity.Identities).CreatePrincipal}
	aRole      = kind{"role", (*identity.Identities).RoleARN, (*identity.Identities).CreateRole}
)

func newPrincipal() *cobra.Command {
	k := aPrincipal
	return group(k.name, "Make and remove those who may call, and say what they may do", newPrincipalCreate(k), newPrincipalList(k), newPrincipalAttach(k), newPrincipalDetach(k),
		newPrincipalTag(k), newPrincipalDelete(k))
}

func newPrincipalCreate(k kind) *cobra.Command {
	i := &identities{}
	var role string
	var keys []string
	c := &cobra.Command{
		Use: "create NAME", Short: "Make a " + k.name, Args: exactlyOne("a name"),
		Long: "Makes a " + k.name + ` and prints its ARN. An administrator may do everything but become somebody
else: assume a role, or manage another one's access keys. A user may describe and use the keys named by
--key (ids or aliases; an alias is resolved now). What else they may do, identity policies, key policies
and grants say.`,
		Example: "  hsmgated " + k.name + " create --state ./var --role user --key alias/release ci",
		RunE: i.with(func(ctx context.Context, args []string) error {
			if !policy.Role(role).Valid() {
				return &usageError{fmt.Errorf("--role is %s or %s, not %q", policy.RoleAdministrator, policy.RoleUser, role)}
			}
			ids, err := i.keyIDs(keys)
			if err != nil {
				return err
			}
			p, err := k.make(i.Identities, ctx, args[0], policy.Role(role), ids, time.Now())
			if errors.Is(err, store.ErrExists) {
				return &hintedError{fmt.Errorf("there is a principal or a role %s already", args[0]), "see 'hsmgated principal list' and 'hsmgated role list'"}
			}
			if err != nil {
				return err
			}
			fmt.Println(p.ARN)
			return nil
		}),
	}
	configFlags(c, &i.path, &i.state)
	c.Flags().StringVar(&role, "role", string(policy.RoleUser), "administrator or user")
	c.Flags().StringArrayVar(&keys, "key", nil, "id or alias of a key that a user may use; may be repeated")
	return c
}

// keyIDs resolves aliases.
func (i *identities) keyIDs(refs []string) ([]string, error) {
	ids := slices.Clone(refs)
	for n, ref := range refs {
		if !strings.HasPrefix(ref, "alias/") {
			if len(i.store.Members(ref)) == 0 {
				return nil, fmt.Errorf("there is no key %s", ref)
			}
			continue
		}
		a, ok := i.store.Alias(i.config.Region, ref)
		if !ok {
			return nil, fmt.Errorf("there is no %s", ref)
		}
		ids[n] = a.KeyID
	}
	return ids, nil
}

func newPrincipalList(k kind) *cobra.Command {
	i := &identities{}
	var format string
	c := &cobra.Command{
		Use: "list", Short: "List all " + k.name + "s", Args: noArgs, Example: "  hsmgated " + k.name + " list --state ./var",
		RunE: i.with(func(context.Context, []string) error {
			type row struct {
				Name, ARN, Role string
				Keys            []string          `json:",omitempty"`
				Policies        []string          `json:",omitempty"`
				Tags            map[string]string `json:",omitempty"`
				CreatedAt       time.Time
			}
			rows := []row{}
			for _, p := range i.Principals() {
				if p.ARN != k.arn(i.Identities, p.Name) {
					continue // of the other kind
				}
				tags := map[string]string{}
				for _, t := range p.Tags {
					tags[t.Name] = t.Value
				}
				rows = append(rows, row{p.Name, p.ARN, p.Role, p.Keys, p.Policies, tags, p.CreatedAt})
			}
			return printRows(format, rows, "NAME\tROLE\tKEYS\tPOLICIES\tARN", func(r row) string {
				return r.Name + "\t" + r.Role + "\t" + strings.Join(r.Keys, ",") + "\t" + strings.Join(r.Policies, ",") + "\t" + r.ARN
			})
		}),
	}
	configFlags(c, &i.path, &i.state)
	outputFlag(c, &format)
	return c
}

func newPrincipalDelete(k kind) *cobra.Command {
	i := &identities{}
	var force bool
	c := &cobra.Command{
		Use: "delete NAME", Short: "Remove a " + k.name + " with its credentials and grants", Args: exactlyOne("a name"),
		Long: "Removes a " + k.name + ` with all its credentials and sessions, and the grants that are for it. Key policies that name it go
on naming it: another one of that name would have what they allow. The last administrator stays, unless --force is
given: without one, nobody can make, change or list keys.`,
		Example: "  hsmgated " + k.name + " delete --state ./var ci",
		RunE: i.with(func(ctx context.Context, args []string) error {
			arn := k.arn(i.Identities, args[0])
			err := i.keepAdministrator(force, asked{what: args[0] + " is the last administrator", hint: "delete it",
				policies: func(p *store.Principal) ([]string, bool) { return p.Policies, p.ARN != arn }})
			if err != nil {
				return err
			}
			err = i.DeletePrincipal(ctx, arn)
			if errors.Is(err, store.ErrNotFound) {
				return k.none(args[0])
			}
			return err
		}),
	}
	configFlags(c, &i.path, &i.state)
	c.Flags().BoolVar(&force, "force", false, "remove the last administrator, too")
	return c
}

func (k kind) none(name string) error {
	return &hintedError{fmt.Errorf("there is no %s %s", k.name, name), "see 'hsmgated " + k.name + " list'"}
}

func outputFlag(c *cobra.Command, format *string) {
	c.Flags().StringVar(format, "output", "text", "text or json")
}

// printRows prints a list as a table or as a JSON array.
func printRows[T any](format string, rows []T, head string, text func(T) string) error {
	switch format {
	case "json":
		return printJSON(rows)
	case "text":
		w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, head)
		for _, r := range rows {
			fmt.Fprintln(w, text(r))
		}
		return w.Flush()
	}
	return &usageError{fmt.Errorf("--output is text or json, not %q", format)}
}

func printJSON(v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(text, '\n'))
	return err
}

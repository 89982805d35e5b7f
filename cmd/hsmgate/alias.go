package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
)

func newAlias(a *app) *cobra.Command {
	return group("alias", "Name keys", newAliasCreate(a), newAliasUpdate(a), newAliasDelete(a), newAliasList(a))
}

func newAliasCreate(a *app) *cobra.Command {
	var key string
	c := &cobra.Command{
		Use: "create ALIAS --key KEY", Short: "Give a key a name", Args: exactly("an alias, such as alias/release"),
		Example: "  hsmgate alias create alias/release --key 1234abcd-12ab-34cd-56ef-1234567890ab",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			if err := required(key, "key"); err != nil {
				return err
			}
			id, err := keyID(ctx, c, key)
			if err != nil {
				return err
			}
			_, err = c.CreateAlias(ctx, &api.CreateAliasRequest{AliasName: args[0], TargetKeyId: id})
			return err
		}),
	}
	c.Flags().StringVar(&key, "key", "", "key id, ARN or alias (which takes one more call)")
	return c
}

func newAliasUpdate(a *app) *cobra.Command {
	var key string
	c := &cobra.Command{
		Use: "update ALIAS --key KEY", Short: "Point a name at another key", Args: exactly("an alias, such as alias/release"),
		Example: "  hsmgate alias update alias/release --key 1234abcd-12ab-34cd-56ef-1234567890ab",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			if err := required(key, "key"); err != nil {
				return err
			}
			id, err := keyID(ctx, c, key)
			if err != nil {
				return err
			}
			_, err = c.UpdateAlias(ctx, &api.UpdateAliasRequest{AliasName: args[0], TargetKeyId: id})
			return err
		}),
	}
	c.Flags().StringVar(&key, "key", "", "key id, ARN or alias (which takes one more call)")
	return c
}

func newAliasDelete(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "delete ALIAS", Short: "Remove a name; the key stays", Example: "  hsmgate alias delete alias/release", Args: exactly("an alias"),
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			_, err := c.DeleteAlias(ctx, &api.DeleteAliasRequest{AliasName: args[0]})
			return err
		}),
	}
}

func newAliasList(a *app) *cobra.Command {
	var key string
	c := &cobra.Command{
		Use: "list", Short: "List all names, or those of one key", Args: noArgs,
		Example: "  hsmgate alias list\n  hsmgate alias list --key 1234abcd-12ab-34cd-56ef-1234567890ab",
		RunE: a.calls(func(ctx context.Context, c *client.Client, _ []string) error {
			all, err := listAliases(ctx, c, key)
			if err != nil {
				return err
			}
			return a.print(map[string]any{"Aliases": all}, func(w io.Writer) {
				for _, n := range all {
					fmt.Fprintf(w, "%s\t%s\n", n.AliasName, n.TargetKeyId)
				}
			})
		}),
	}
	c.Flags().StringVar(&key, "key", "", "only the names of this key: its id or ARN")
	return c
}

// listAliases lists all names, or those of one key.
func listAliases(ctx context.Context, c *client.Client, key string) ([]api.AliasListEntry, error) {
	all := []api.AliasListEntry{}
	limit := 100
	for in := (api.ListAliasesRequest{Limit: &limit, KeyId: key}); ; {
		out, err := c.ListAliases(ctx, &in)
		if err != nil {
			return nil, err
		}
		all = append(all, out.Aliases...)
		if !out.Truncated {
			return all, nil
		}
		in.Marker = out.NextMarker
	}
}

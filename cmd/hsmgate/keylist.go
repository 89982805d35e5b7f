package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
)

func newKeyList(a *app) *cobra.Command {
	var ids bool
	c := &cobra.Command{
		Use: "list", Short: "List all keys", Args: noArgs,
		Long: `Lists all keys with spec, usage, state and aliases, which takes one call for each key. With --ids
and with --output json it lists ids (and ARNs) alone.`,
		Example: "  hsmgate key list\n  hsmgate key list --ids\n  hsmgate key list --output json",
		RunE: a.calls(func(ctx context.Context, c *client.Client, _ []string) error {
			all, err := listKeys(ctx, c)
			if err != nil {
				return err
			}
			if ids || a.json() {
				return a.print(map[string]any{"Keys": all}, func(w io.Writer) {
					for _, k := range all {
						fmt.Fprintln(w, k.KeyId)
					}
				})
			}
			names, err := listAliases(ctx, c, "")
			if err != nil {
				return err
			}
			rows, err := describeAll(ctx, c, all)
			if err != nil {
				return err
			}
			return a.print(nil, func(w io.Writer) { printKeys(w, rows, names) })
		}),
	}
	c.Flags().BoolVar(&ids, "ids", false, "ids alone, one a line")
	return c
}

func listKeys(ctx context.Context, c *client.Client) ([]api.KeyListEntry, error) {
	all := []api.KeyListEntry{}
	limit := 1000
	for in := (api.ListKeysRequest{Limit: &limit}); ; {
		out, err := c.ListKeys(ctx, &in)
		if err != nil {
			return nil, err
		}
		all = append(all, out.Keys...)
		if !out.Truncated {
			return all, nil
		}
		in.Marker = out.NextMarker
	}
}

// describing is how many keys are described at a time.
const describing = 8

// describeAll describes keys. One that went away meanwhile is nil.
func describeAll(ctx context.Context, c *client.Client, keys []api.KeyListEntry) ([]*api.KeyMetadata, error) {
	rows, errs := make([]*api.KeyMetadata, len(keys)), make([]error, len(keys))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	room := make(chan struct{}, describing)
	var all sync.WaitGroup
	for i, k := range keys {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			out, err := c.DescribeKey(ctx, &api.DescribeKeyRequest{KeyTarget: target(k.KeyId)})
			switch {
			case err == nil:
				rows[i] = out.KeyMetadata
			case client.Code(err) != api.NotFound && ctx.Err() == nil: // what follows the first error is of its making
				errs[i] = err
				cancel()
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return rows, nil
}

func printKeys(w io.Writer, rows []*api.KeyMetadata, names []api.AliasListEntry) {
	aliases := map[string][]string{}
	for _, n := range names {
		aliases[n.TargetKeyId] = append(aliases[n.TargetKeyId], n.AliasName)
	}
	fmt.Fprintln(w, "ID\tSPEC\tUSAGE\tSTATE\tALIASES")
	for _, k := range rows {
		if k != nil {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", k.KeyId, k.KeySpec, k.KeyUsage, k.KeyState, strings.Join(aliases[k.KeyId], " "))
		}
	}
}

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

func newKeyReplicate(a *app) *cobra.Command {
	var to, description string
	c := &cobra.Command{
		Use: "replicate KEY --to REGION", Short: "Make a replica of a multi-Region key in another region", Args: exactly("a key"),
		Long: `Makes a replica of a key that was made with --multi-region, and prints its ARN. Both have the same
id and material; description, tags, aliases and state are the replica's own. ` + aliasCosts,
		Example: "  hsmgate key replicate alias/release --to eu-west-1",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(to, "to"); err != nil {
				return err
			}
			return a.calls(func(ctx context.Context, c *client.Client, args []string) error {
				id, err := keyID(ctx, c, args[0])
				if err != nil {
					return err
				}
				out, err := c.ReplicateKey(ctx, &api.ReplicateKeyRequest{KeyTarget: target(id), ReplicaRegion: to, Description: description})
				if err != nil {
					return err
				}
				return a.print(out.ReplicaKeyMetadata, line(out.ReplicaKeyMetadata.Arn))
			})(cmd, args)
		},
	}
	c.Flags().StringVar(&to, "to", "", "region of the replica")
	c.Flags().StringVar(&description, "description", "", "what the replica is for")
	return c
}

func newKeyMovePrimary(a *app) *cobra.Command {
	var to string
	c := &cobra.Command{
		Use: "move-primary KEY --to REGION", Short: "Make a replica the primary key of a multi-Region key", Args: exactly("a key"),
		Long: `Makes the replica in another region the primary key, and the primary key a replica. Both have to be enabled.
The call goes to the region of the primary key. ` + aliasCosts,
		Example: "  hsmgate key move-primary alias/release --to eu-west-1\n  hsmgate --region eu-west-1 key describe alias/release",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(to, "to"); err != nil {
				return err
			}
			return a.calls(func(ctx context.Context, c *client.Client, args []string) error {
				id, err := keyID(ctx, c, args[0])
				if err != nil {
					return err
				}
				_, err = c.UpdatePrimaryRegion(ctx, &api.UpdatePrimaryRegionRequest{KeyTarget: target(id), PrimaryRegion: to})
				return err
			})(cmd, args)
		},
	}
	c.Flags().StringVar(&to, "to", "", "region of the replica that becomes the primary key")
	return c
}

// describePlace tells where a key is, as far as that is not the usual place.
func describePlace(row func(string, any), k *api.KeyMetadata) {
	if k.CustomKeyStoreId != "" {
		row("key store", k.CustomKeyStoreId)
	}
	if m := k.MultiRegionConfiguration; m != nil {
		row("primary", m.PrimaryKey.Region)
		for _, r := range m.ReplicaKeys {
			row("replica", r.Region)
		}
	}
}

// whenDestroyed tells when a key is destroyed, which of a primary key with
// replicas nobody knows yet.
func whenDestroyed(out *api.ScheduleKeyDeletionResponse) string {
	if out.DeletionDate == nil {
		return fmt.Sprintf("to be destroyed %d days after its last replica is deleted", out.PendingWindowInDays)
	}
	return "to be destroyed " + day(out.DeletionDate)
}

func newKeyStore(a *app) *cobra.Command {
	return group("key-store", "Look at the tokens of the gateway, and connect and disconnect them", newKeyStoreList(a),
		newKeyStoreVerb(a, "connect", "Open a token that was disconnected", func(ctx context.Context, c *client.Client, name string) error {
			_, err := c.ConnectCustomKeyStore(ctx, &api.ConnectCustomKeyStoreRequest{CustomKeyStoreId: name})
			return err
		}),
		newKeyStoreVerb(a, "disconnect", "Close a token until it is connected again; its keys are unavailable meanwhile", func(ctx context.Context, c *client.Client, name string) error {
			_, err := c.DisconnectCustomKeyStore(ctx, &api.DisconnectCustomKeyStoreRequest{CustomKeyStoreId: name})
			return err
		}))
}

func newKeyStoreList(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the tokens by name, with their states", Example: "  hsmgate key-store list", Args: noArgs,
		RunE: a.calls(func(ctx context.Context, c *client.Client, _ []string) error {
			all := []api.CustomKeyStoresListEntry{}
			for marker, more := "", true; more; {
				out, err := c.DescribeCustomKeyStores(ctx, &api.DescribeCustomKeyStoresRequest{Marker: marker})
				if err != nil {
					return err
				}
				all, marker, more = append(all, out.CustomKeyStores...), out.NextMarker, out.Truncated
			}
			return a.print(all, func(w io.Writer) {
				for _, s := range all {
					line(strings.TrimRight(s.CustomKeyStoreId+"\t"+string(s.ConnectionState)+"\t"+string(s.ConnectionErrorCode), "\t"))(w)
				}
			})
		}),
	}
}

func newKeyStoreVerb(a *app, verb, short string, call func(context.Context, *client.Client, string) error) *cobra.Command {
	return &cobra.Command{
		Use: verb + " NAME", Short: short, Example: "  hsmgate key-store " + verb + " network-hsm", Args: exactly("the name of a token"),
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			if err := call(ctx, c, args[0]); err != nil {
				return err
			}
			return a.print(&api.Empty{}, line("asked for; 'hsmgate key-store list' shows what came of it"))
		}),
	}
}

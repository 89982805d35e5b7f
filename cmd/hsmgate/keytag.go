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

func newKeySetDescription(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "set-description KEY TEXT", Short: "Say what a key is for", Args: exactly("a key", "a text; '' for none"),
		Long:    "Replaces a key's description. " + aliasCosts,
		Example: "  hsmgate key set-description alias/release 'signs the packages'",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			id, err := keyID(ctx, c, args[0])
			if err != nil {
				return err
			}
			_, err = c.UpdateKeyDescription(ctx, &api.UpdateKeyDescriptionRequest{KeyTarget: target(id), Description: &args[1]})
			return err
		}),
	}
}

// several makes the check of a verb that takes a key and one or more others.
func several(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < 2 {
			return exactly("a key", what)(c, args)
		}
		return nil
	}
}

func newKeyTag(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "tag KEY NAME=VALUE...", Short: "Put tags on a key", Args: several("a tag, such as team=packages"),
		Long:    "Puts tags on a key. One of the same name is replaced. " + aliasCosts,
		Example: "  hsmgate key tag alias/release team=packages cost-center=42",
		RunE: func(cmd *cobra.Command, args []string) error {
			var tags []api.Tag
			for _, arg := range args[1:] {
				name, value, ok := strings.Cut(arg, "=")
				if !ok || name == "" {
					return usagef("%q is not a tag: write NAME=VALUE, or NAME= for an empty value", arg)
				}
				tags = append(tags, api.Tag{TagKey: name, TagValue: value})
			}
			return a.calls(func(ctx context.Context, c *client.Client, args []string) error {
				id, err := keyID(ctx, c, args[0])
				if err != nil {
					return err
				}
				_, err = c.TagResource(ctx, &api.TagResourceRequest{KeyTarget: target(id), Tags: tags})
				return err
			})(cmd, args)
		},
	}
}

func newKeyUntag(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "untag KEY NAME...", Short: "Take tags off a key", Args: several("the name of a tag"),
		Long:    "Takes tags off a key. A name that it does not have is no error. " + aliasCosts,
		Example: "  hsmgate key untag alias/release cost-center",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			id, err := keyID(ctx, c, args[0])
			if err != nil {
				return err
			}
			_, err = c.UntagResource(ctx, &api.UntagResourceRequest{KeyTarget: target(id), TagKeys: args[1:]})
			return err
		}),
	}
}

func newKeyTags(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "tags KEY", Short: "List a key's tags", Args: exactly("a key"),
		Long:    "Lists a key's tags by name, one a line: NAME, VALUE. " + aliasCosts,
		Example: "  hsmgate key tags alias/release\n  hsmgate key tags --output json alias/release",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			id, err := keyID(ctx, c, args[0])
			if err != nil {
				return err
			}
			all := []api.Tag{}
			for in := (api.ListResourceTagsRequest{KeyTarget: target(id)}); ; {
				out, err := c.ListResourceTags(ctx, &in)
				if err != nil {
					return err
				}
				if all = append(all, out.Tags...); !out.Truncated {
					break
				}
				in.Marker = out.NextMarker
			}
			return a.print(map[string]any{"Tags": all}, func(w io.Writer) {
				for _, t := range all {
					fmt.Fprintf(w, "%s\t%s\n", t.TagKey, t.TagValue)
				}
			})
		}),
	}
}

func newKeyLastUse(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "last-use KEY", Short: "Say when a key was last used", Args: exactly("a key"),
		Long: `Says when a key last signed, verified, encrypted or decrypted something with success, and which request
did it: its audit record has that id. A crash of the gateway loses the uses of the seconds before. ` + aliasCosts,
		Example: "  hsmgate key last-use alias/release",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			id, err := keyID(ctx, c, args[0])
			if err != nil {
				return err
			}
			out, err := c.GetKeyLastUsage(ctx, &api.GetKeyLastUsageRequest{KeyTarget: target(id)})
			if err != nil {
				return err
			}
			return a.print(out, func(w io.Writer) {
				if u := out.KeyLastUsage; u != nil && u.Timestamp != nil {
					fmt.Fprintf(w, "%s\t%s\t%s\n", day(u.Timestamp), u.Operation, u.KmsRequestId)
					return
				}
				fmt.Fprintf(w, "not used since %s\n", day(out.TrackingStartDate))
			})
		}),
	}
}

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
)

func newKeyPublish(a *app) *cobra.Command {
	var in api.PublishKeyRequest
	var made madeForms
	c := &cobra.Command{
		Use: "publish KEY --name NAME", Short: "Let anybody read a key's public keys", Args: exactly("a key"),
		Long: `Lets anybody read the public keys of all versions of a key, without a credential, at /public/keys/NAME
of the gateway: as JSON, and as NAME.jwks and NAME.pem. --principal adds NAME.ssh, a file of allowed
signers, and --user-id NAME.asc, an OpenPGP certificate, which the key signs now; it is in the gateway's
Web Key Directory, too. An Ed25519 key has NAME.minisig.pub.

Publish anew with the same --user-id once a key has rotated: the new version needs an OpenPGP
certificate of its own, and the old ones stay. All other forms have the new version by themselves.`,
		Example: "  hsmgate key publish alias/release --name release\n" +
			"  hsmgate key publish alias/release --name release --principal release@example.org --user-id 'Release <release@example.org>'",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(in.Name, "name"); err != nil {
				return err
			}
			return a.calls(func(ctx context.Context, c *client.Client, args []string) error {
				in.KeyTarget, in.Principal = target(args[0]), made.principal
				if made.userID != "" {
					var err error
					if in.OpenPGP, err = made.write(ctx, c, args[0], formOpenPGP); err != nil {
						return err
					}
				}
				out, err := c.PublishKey(ctx, &in)
				if err != nil {
					return err
				}
				return a.print(out, line(c.URL+"/public/keys/"+out.Name))
			})(cmd, args)
		},
	}
	c.Flags().StringVar(&in.Name, "name", "", "name in URLs: lower-case letters, digits and -, at most 63")
	made.flags(c)
	return c
}

func newKeyUnpublish(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "unpublish KEY", Short: "End that anybody may read a key's public keys", Args: exactly("a key"),
		Long:    "Ends the publication of a key. The gateway serves it no more at once; caches on the way keep it for their time.",
		Example: "  hsmgate key unpublish alias/release",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			out, err := c.UnpublishKey(ctx, &api.UnpublishKeyRequest{KeyTarget: target(args[0])})
			if err != nil {
				return err
			}
			return a.print(out, line("not published any more"))
		}),
	}
}

func newKeyPublished(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "published", Short: "List the keys that are published", Args: noArgs,
		Long: `Lists name, key, principal and user id of the keys that are published. A key that has rotated since its
OpenPGP certificate was made is shown to lack that of its current version.`,
		Example: "  hsmgate key published",
		RunE: a.calls(func(ctx context.Context, c *client.Client, _ []string) error {
			out, err := c.ListPublications(ctx, &api.ListPublicationsRequest{})
			if err != nil {
				return err
			}
			return a.print(out, func(w io.Writer) {
				for _, p := range out.Publications {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", p.Name, p.KeyId, orDash(p.Principal), certificateState(&p))
				}
			})
		}),
	}
}

// certificateState tells of the OpenPGP certificates of a key.
func certificateState(p *api.Publication) string {
	switch {
	case p.UserId == "":
		return "-"
	case lacksCertificate(p):
		return fmt.Sprintf("%s (lacks version %d: publish anew)", p.UserId, p.CurrentVersion)
	}
	return p.UserId
}

func lacksCertificate(p *api.Publication) bool {
	return p.UserId != "" && !slices.Contains(p.OpenPGPVersions, p.CurrentVersion)
}

// publishAnew is the command that adds the OpenPGP certificate of the version that is used.
func publishAnew(p *api.Publication) string {
	command := "hsmgate key publish " + p.KeyId + " --name " + p.Name
	if p.Principal != "" {
		command += " --principal " + p.Principal
	}
	return command + " --user-id '" + strings.ReplaceAll(p.UserId, "'", `'\''`) + "'"
}

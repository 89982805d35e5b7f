package main

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
)

func newKey(a *app) *cobra.Command {
	return group("key", "Make and manage keys", newKeyCreate(a), newKeyList(a), newKeyDescribe(a),
		newKeyEnable(a), newKeyDisable(a), newKeyPublic(a), newKeyVersions(a), newKeyHistory(a),
		newKeyPublish(a), newKeyUnpublish(a), newKeyPublished(a), newKeyRotate(a), newKeyRotation(a), newKeyReplicate(a), newKeyMovePrimary(a), newKeyImportParameters(a), newKeyImport(a), newKeyDeleteMaterial(a),
		newKeySchedule(a), newKeyCancel(a), newKeySetDescription(a), newKeyTag(a), newKeyUntag(a), newKeyTags(a), newKeyLastUse(a))
}

func target(ref string) api.KeyTarget { return api.KeyTarget{KeyId: ref} }

// line prints one line.
func line(text string) func(io.Writer) {
	return func(w io.Writer) { fmt.Fprintln(w, text) }
}

func newKeyDescribe(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "describe KEY", Short: "Describe a key", Example: "  hsmgate key describe alias/release", Args: exactly("a key"),
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			out, err := c.DescribeKey(ctx, &api.DescribeKeyRequest{KeyTarget: target(args[0])})
			if err != nil {
				return err
			}
			return a.print(out.KeyMetadata, func(w io.Writer) { describe(w, out.KeyMetadata) })
		}),
	}
}

func describe(w io.Writer, k *api.KeyMetadata) {
	row := func(name string, value any) { fmt.Fprintf(w, "%s\t%v\n", name, value) }
	row("id", k.KeyId)
	row("arn", k.Arn)
	row("spec", k.KeySpec)
	row("usage", k.KeyUsage)
	row("state", k.KeyState)
	row("created", day(k.CreationDate))
	if k.Origin == api.OriginExternal {
		row("origin", k.Origin)
	}
	if k.ValidTo != nil {
		row("expires", day(k.ValidTo))
	}
	describePlace(row, k)
	if k.DeletionDate != nil {
		row("deletion", day(k.DeletionDate))
	}
	if k.Description != "" {
		row("description", k.Description)
	}
	for _, a := range k.SigningAlgorithms {
		row("algorithm", a)
	}
	for _, a := range k.EncryptionAlgorithms {
		row("algorithm", a)
	}
	for _, a := range k.MacAlgorithms {
		row("algorithm", a)
	}
	for _, a := range k.KeyAgreementAlgorithms {
		row("algorithm", a)
	}
	for _, a := range k.EncapsulationAlgorithms {
		row("algorithm", a)
	}
}

// aliasCosts is in the help of verbs whose operation takes ids and ARNs alone.
const aliasCosts = "An alias takes one more call, which finds its key."

func newKeyEnable(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "enable KEY", Short: "Make a disabled key usable", Args: exactly("a key"),
		Long:    "Makes a disabled key usable. " + aliasCosts,
		Example: "  hsmgate key enable 1234abcd-12ab-34cd-56ef-1234567890ab\n  hsmgate key enable alias/release",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			id, err := keyID(ctx, c, args[0])
			if err != nil {
				return err
			}
			_, err = c.EnableKey(ctx, &api.EnableKeyRequest{KeyTarget: target(id)})
			return err
		}),
	}
}

func newKeyDisable(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "disable KEY", Short: "Make a key unusable until it is enabled", Args: exactly("a key"),
		Long:    "Makes a key unusable until 'hsmgate key enable'. " + aliasCosts,
		Example: "  hsmgate key disable 1234abcd-12ab-34cd-56ef-1234567890ab\n  hsmgate key disable alias/release",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			id, err := keyID(ctx, c, args[0])
			if err != nil {
				return err
			}
			_, err = c.DisableKey(ctx, &api.DisableKeyRequest{KeyTarget: target(id)})
			return err
		}),
	}
}

// forms are the forms of a public key; the gateway makes those with a media type.
var forms = map[string]string{"pem": "", "der": "", "jwk": "application/jwk+json", "ssh": "text/x-ssh-public-key", "jwks": jwks}

// jwks is the media type of the public keys of all versions.
const jwks = "application/jwk-set+json"

func newKeyPublic(a *app) *cobra.Command {
	var form, file string
	var made madeForms
	c := &cobra.Command{
		Use: "public-key KEY", Short: "Write a key's public half", Args: exactly("a key"),
		Long: "Writes a key's public half as a file for OpenSSL, SSH and others. --output json is the gateway's whole\nanswer instead, with the key's algorithms.",
		Example: "  hsmgate key public-key alias/release --output-file release.pem\n  hsmgate key public-key alias/release --format ssh\n" +
			"  hsmgate key public-key alias/release --format openpgp --user-id 'Release <release@example.org>' -o release.asc",
		RunE: func(cmd *cobra.Command, args []string) error {
			mediaType, known := forms[form]
			if !known && !made.has(form) {
				return usagef("--format is pem, der, jwk, jwks, ssh, openpgp, ssh-allowed-signer or minisign, not %q", form)
			}
			if a.json() && (file != "" || cmd.Flags().Changed("format")) {
				return usagef("--output json prints the gateway's whole answer: leave out --format and --output-file, or --output json")
			}
			return a.calls(func(ctx context.Context, c *client.Client, args []string) error {
				if made.has(form) || mediaType != "" {
					text, err := made.text(ctx, c, args[0], form, mediaType)
					if err != nil {
						return err
					}
					return writeBytes(file, text)
				}
				out, err := c.GetPublicKey(ctx, &api.GetPublicKeyRequest{KeyTarget: target(args[0])})
				if err != nil {
					return err
				}
				if a.json() {
					return printJSON(out)
				}
				if form == "pem" {
					return writeBytes(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: out.PublicKey}))
				}
				if err := refuseTerminal(file); err != nil {
					return err
				}
				return writeBytes(file, out.PublicKey)
			})(cmd, args)
		},
	}
	c.Flags().StringVar(&form, "format", "pem", "pem, der, jwk, ssh, openpgp, ssh-allowed-signer, minisign, or jwks: the keys of all versions")
	c.Flags().StringVarP(&file, "output-file", "o", "", "file to write (default: standard output)")
	made.flags(c)
	return c
}

func newKeySchedule(a *app) *cobra.Command {
	var days int
	c := &cobra.Command{
		Use: "schedule-deletion KEY", Short: "Start the waiting period before a key is destroyed", Args: exactly("a key"),
		Long: `Makes the key unusable now, and destroys it in the token after 7 to 30 days. Until then,
'hsmgate key cancel-deletion' keeps it. ` + aliasCosts,
		Example: "  hsmgate key schedule-deletion --days 30 1234abcd-12ab-34cd-56ef-1234567890ab",
		RunE: func(cmd *cobra.Command, args []string) error {
			if days < shortestWait || days > 30 {
				return usagef("--days is %d to 30, not %d", shortestWait, days)
			}
			return a.calls(func(ctx context.Context, c *client.Client, args []string) error {
				id, err := keyID(ctx, c, args[0])
				if err != nil {
					return err
				}
				out, err := c.ScheduleKeyDeletion(ctx, &api.ScheduleKeyDeletionRequest{KeyTarget: target(id), PendingWindowInDays: &days})
				if err != nil {
					return err
				}
				return a.print(out, line(whenDestroyed(out)))
			})(cmd, args)
		},
	}
	c.Flags().IntVar(&days, "days", 30, "7 to 30")
	return c
}

func newKeyCancel(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "cancel-deletion KEY", Short: "Keep a key that waits for its destruction; it stays disabled", Args: exactly("a key"),
		Long:    "Keeps a key that waits for its destruction; it stays disabled until 'hsmgate key enable'. " + aliasCosts,
		Example: "  hsmgate key cancel-deletion 1234abcd-12ab-34cd-56ef-1234567890ab\n  hsmgate key enable 1234abcd-12ab-34cd-56ef-1234567890ab",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			id, err := keyID(ctx, c, args[0])
			if err != nil {
				return err
			}
			out, err := c.CancelKeyDeletion(ctx, &api.CancelKeyDeletionRequest{KeyTarget: target(id)})
			if err != nil {
				return err
			}
			return a.print(out, line("kept, and disabled until 'hsmgate key enable'"))
		}),
	}
}

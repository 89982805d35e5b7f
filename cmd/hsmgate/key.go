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
		newKeyEnable(a), newKeyDisable(a), newKeyPublic(a), newKeySchedule(a), newKeyCancel(a))
}

func target(ref string) api.KeyTarget { return api.KeyTarget{KeyId: ref} }

// line prints one line.
func line(text string) func(io.Writer) {
	return func(w io.Writer) { fmt.Fprintln(w, text) }
}

func newKeyCreate(a *app) *cobra.Command {
	var spec, usage, description, alias string
	c := &cobra.Command{
		Use:   "create --spec SPEC",
		Short: "Make a key pair inside the token",
		Long: `Makes a key pair inside the token and prints its id. Key specs: RSA_2048, RSA_3072, RSA_4096,
ECC_NIST_P256, ECC_NIST_P384, ECC_NIST_P521, ECC_SECG_P256K1, ECC_NIST_EDWARDS25519.
Usages: SIGN_VERIFY, ENCRYPT_DECRYPT (RSA only).`,
		Example: "  hsmgate key create --spec ECC_NIST_P256 --alias alias/release\n  hsmgate key create --spec RSA_3072 --usage ENCRYPT_DECRYPT --description 'backup keys'",
		Args:    noArgs,
		RunE: a.calls(func(ctx context.Context, c *client.Client, _ []string) error {
			if err := required(spec, "spec"); err != nil {
				return err
			}
			made, err := c.CreateKey(ctx, &api.CreateKeyRequest{KeySpec: api.KeySpec(spec), KeyUsage: api.KeyUsage(usage), Description: description})
			if err != nil {
				return err
			}
			id := made.KeyMetadata.KeyId
			if alias != "" {
				if _, err := c.CreateAlias(ctx, &api.CreateAliasRequest{AliasName: alias, TargetKeyId: id}); err != nil {
					return &hintedError{fmt.Errorf("key %s was made, but not its alias: %w", id, err), "hsmgate alias create NAME --key " + id}
				}
			}
			return a.print(made.KeyMetadata, line(id))
		}),
	}
	c.Flags().StringVar(&spec, "spec", "", "key spec, such as ECC_NIST_P256")
	c.Flags().StringVar(&usage, "usage", string(api.SignVerify), "SIGN_VERIFY or ENCRYPT_DECRYPT")
	c.Flags().StringVar(&description, "description", "", "what the key is for")
	c.Flags().StringVar(&alias, "alias", "", "a name for the key, such as alias/release")
	return c
}

func newKeyList(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List all keys", Example: "  hsmgate key list\n  hsmgate key list --output json", Args: noArgs,
		RunE: a.calls(func(ctx context.Context, c *client.Client, _ []string) error {
			all := []api.KeyListEntry{}
			limit := 1000
			for in := (api.ListKeysRequest{Limit: &limit}); ; {
				out, err := c.ListKeys(ctx, &in)
				if err != nil {
					return err
				}
				all = append(all, out.Keys...)
				if !out.Truncated {
					break
				}
				in.Marker = out.NextMarker
			}
			return a.print(map[string]any{"Keys": all}, func(w io.Writer) {
				for _, k := range all {
					fmt.Fprintln(w, k.KeyId)
				}
			})
		}),
	}
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
}

func newKeyEnable(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "enable KEY", Short: "Make a disabled key usable", Example: "  hsmgate key enable 1234abcd-12ab-34cd-56ef-1234567890ab", Args: exactly("a key id or ARN"),
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			_, err := c.EnableKey(ctx, &api.EnableKeyRequest{KeyTarget: target(args[0])})
			return err
		}),
	}
}

func newKeyDisable(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "disable KEY", Short: "Make a key unusable until it is enabled", Example: "  hsmgate key disable 1234abcd-12ab-34cd-56ef-1234567890ab", Args: exactly("a key id or ARN"),
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			_, err := c.DisableKey(ctx, &api.DisableKeyRequest{KeyTarget: target(args[0])})
			return err
		}),
	}
}

// forms are the forms of a public key; the gateway makes those with a media type.
var forms = map[string]string{"pem": "", "der": "", "jwk": "application/jwk+json", "ssh": "text/x-ssh-public-key"}

func newKeyPublic(a *app) *cobra.Command {
	var form, file string
	c := &cobra.Command{
		Use: "public-key KEY", Short: "Write a key's public half", Args: exactly("a key"),
		Example: "  hsmgate key public-key alias/release --output-file release.pem\n  hsmgate key public-key alias/release --format ssh",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			mediaType, known := forms[form]
			if !known {
				return usagef("--format is pem, der, jwk or ssh, not %q", form)
			}
			if mediaType != "" && !a.json() {
				text, err := c.PublicKeyAs(ctx, args[0], mediaType)
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
		}),
	}
	c.Flags().StringVar(&form, "format", "pem", "pem, der, jwk or ssh")
	c.Flags().StringVarP(&file, "output-file", "o", "", "file to write (default: standard output)")
	return c
}

func newKeySchedule(a *app) *cobra.Command {
	var days int
	c := &cobra.Command{
		Use: "schedule-deletion KEY", Short: "Start the waiting period before a key is destroyed", Args: exactly("a key id or ARN"),
		Long: `Makes the key unusable now, and destroys it in the token after 7 to 30 days. Until then,
'hsmgate key cancel-deletion' keeps it.`,
		Example: "  hsmgate key schedule-deletion --days 30 1234abcd-12ab-34cd-56ef-1234567890ab",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			out, err := c.ScheduleKeyDeletion(ctx, &api.ScheduleKeyDeletionRequest{KeyTarget: target(args[0]), PendingWindowInDays: &days})
			if err != nil {
				return err
			}
			return a.print(out, line("to be destroyed "+day(out.DeletionDate)))
		}),
	}
	c.Flags().IntVar(&days, "days", 30, "7 to 30")
	return c
}

func newKeyCancel(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "cancel-deletion KEY", Short: "Keep a key that waits for its destruction; it stays disabled", Args: exactly("a key id or ARN"),
		Example: "  hsmgate key cancel-deletion 1234abcd-12ab-34cd-56ef-1234567890ab\n  hsmgate key enable 1234abcd-12ab-34cd-56ef-1234567890ab",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			out, err := c.CancelKeyDeletion(ctx, &api.CancelKeyDeletionRequest{KeyTarget: target(args[0])})
			if err != nil {
				return err
			}
			return a.print(out, line("kept, and disabled until 'hsmgate key enable'"))
		}),
	}
}

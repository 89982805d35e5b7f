package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
)

func newDataKey(a *app) *cobra.Command {
	var key, encrypted string
	var size int
	var without bool
	var bound contextFlag
	out := bytesOut{secret: true}
	c := &cobra.Command{
		Use: "data-key --key KEY --encrypted FILE", Short: "Make a key for a file, plain and encrypted", Args: noArgs,
		Long: `Makes a random key in the token, with which a file of any size may be encrypted here. The key
itself goes to standard output or -o; encrypted with --key it goes to --encrypted, to be kept
with the file: 'hsmgate decrypt' makes the key of it again.`,
		Example: "  hsmgate data-key --key alias/backup --context file=db.dump --encrypted db.key.enc --output-file db.key\n  hsmgate decrypt --context file=db.dump --output-file db.key db.key.enc",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(key, "key"); err != nil {
				return err
			}
			if encrypted == "" && !a.json() {
				return required(encrypted, "encrypted")
			}
			if !without {
				if err := out.check(a); err != nil {
					return err
				}
			}
			return a.calls(func(ctx context.Context, c *client.Client, _ []string) error {
				if without {
					return a.hiddenDataKey(ctx, c, key, encrypted, size, bound.pairs)
				}
				made, err := c.GenerateDataKey(ctx, &api.GenerateDataKeyRequest{KeyTarget: target(key), NumberOfBytes: &size, EncryptionContext: bound.pairs})
				if err != nil {
					return err
				}
				if encrypted != "" {
					if err := writeBytes(encrypted, made.CiphertextBlob); err != nil {
						return err
					}
				}
				return out.write(a, made.Plaintext, made)
			})(cmd, args)
		},
	}
	c.Flags().StringVar(&key, "key", "", "key id, ARN or alias of a symmetric key")
	c.Flags().StringVar(&encrypted, "encrypted", "", "file for the encrypted key")
	c.Flags().IntVar(&size, "bytes", 32, "length of the key, 1 to 1024")
	c.Flags().BoolVar(&without, "without-plaintext", false, "give the encrypted key alone")
	c.Flags().Var(&bound, "context", "a name and a value that the encrypted key is bound to; may be given again")
	out.flags(c, "key itself")
	return c
}

func (a *app) hiddenDataKey(ctx context.Context, c *client.Client, key, encrypted string, size int, pairs map[string]string) error {
	made, err := c.GenerateDataKeyWithoutPlaintext(ctx, &api.GenerateDataKeyWithoutPlaintextRequest{KeyTarget: target(key), NumberOfBytes: &size, EncryptionContext: pairs})
	if err != nil {
		return err
	}
	if encrypted != "" {
		if err := writeBytes(encrypted, made.CiphertextBlob); err != nil {
			return err
		}
	}
	if a.json() {
		return printJSON(made)
	}
	return nil
}

func newRandom(a *app) *cobra.Command {
	var size int
	out := bytesOut{secret: true}
	c := &cobra.Command{
		Use: "random", Short: "Print random bytes of the token's generator", Args: noArgs,
		Example: "  hsmgate random --bytes 32 --base64\n  hsmgate random --bytes 1024 --output-file seed",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(a); err != nil {
				return err
			}
			return a.calls(func(ctx context.Context, c *client.Client, _ []string) error {
				made, err := c.GenerateRandom(ctx, &api.GenerateRandomRequest{NumberOfBytes: &size})
				if err != nil {
					return err
				}
				return out.write(a, made.Plaintext, made)
			})(cmd, args)
		},
	}
	c.Flags().IntVar(&size, "bytes", 32, "how many, 1 to 1024")
	out.flags(c, "bytes")
	return c
}

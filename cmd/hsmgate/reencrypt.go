package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
)

func newReEncrypt(a *app) *cobra.Command {
	var from, to, algorithm string
	var before, after contextFlag
	var out bytesOut
	c := &cobra.Command{
		Use: "re-encrypt --key KEY FILE", Short: "Encrypt anew under another key, without showing the plaintext", Args: exactly("a file"),
		Long: `Decrypts a ciphertext and encrypts what was in it under --key, or under the current version of the same
key, all inside the gateway. A symmetric ciphertext names its key; an RSA one needs --from.`,
		Example: "  hsmgate re-encrypt --key alias/box --output-file db.env.new db.env.enc\n  hsmgate re-encrypt --key alias/box --from-context file=db.env --context file=db.env --base64 db.env.enc\n  hsmgate re-encrypt --key alias/box --from alias/old-rsa --output json db.env.enc",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(to, "key"); err != nil {
				return err
			}
			chosen, err := oneOf("from-algorithm", algorithm, ciphers)
			if err == nil {
				err = out.check(a)
			}
			if err != nil {
				return err
			}
			return a.calls(func(ctx context.Context, c *client.Client, args []string) error {
				in, err := reEncryption(ctx, c, from, chosen, to, args[0])
				if err != nil {
					return err
				}
				in.SourceEncryptionContext, in.DestinationEncryptionContext = before.pairs, after.pairs
				made, err := c.ReEncrypt(ctx, in)
				if err != nil {
					return err
				}
				return out.write(a, made.CiphertextBlob, made)
			})(cmd, args)
		},
	}
	c.Flags().StringVar(&to, "key", "", "key id, ARN or alias of the key that encrypts")
	c.Flags().StringVar(&from, "from", "", "key id, ARN or alias of the key that decrypts (default: what a symmetric ciphertext names)")
	c.Flags().StringVar(&algorithm, "from-algorithm", "", "algorithm of the given ciphertext (default: that key's last: SYMMETRIC_DEFAULT or RSAES_OAEP_SHA_256)")
	c.Flags().Var(&before, "from-context", "a name and a value that the given ciphertext is bound to; may be given again")
	c.Flags().Var(&after, "context", "a name and a value that the new ciphertext is bound to; may be given again")
	out.flags(c, "ciphertext")
	return c
}

// reEncryption reads the ciphertext and finds the algorithms of the keys.
func reEncryption(ctx context.Context, c *client.Client, from string, chosen api.EncryptionAlgorithm, to, file string) (*api.ReEncryptRequest, error) {
	ciphertext, err := readRawOrBase64(file, maxCiphertext)
	if err != nil {
		return nil, err
	}
	in := &api.ReEncryptRequest{CiphertextBlob: ciphertext, SourceKeyId: from, SourceEncryptionAlgorithm: chosen, DestinationKeyId: to}
	if from != "" {
		if in.SourceEncryptionAlgorithm, err = encryptionAlgorithm(ctx, c, from, chosen); err != nil {
			return nil, err
		}
	}
	in.DestinationEncryptionAlgorithm, err = encryptionAlgorithm(ctx, c, to, "")
	return in, err
}

package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
)

const (
	maxPlaintext  = 4096 // bytes
	maxCiphertext = 6144
)

func newEncrypt(a *app) *cobra.Command {
	var key, algorithm string
	var bound contextFlag
	var out bytesOut
	c := &cobra.Command{
		Use: "encrypt --key KEY FILE", Short: "Encrypt a small secret with a symmetric key, or a key's public half", Args: exactly("a file"),
		Long: `Encrypts up to 4096 bytes with a symmetric key, up to 190 bytes with RSA_2048 and RSAES_OAEP_SHA_256:
for a small secret, not for a file (see 'hsmgate data-key'). --context binds what a symmetric key
encrypts to names and values, which decryption has to give again; they are no secret.`,
		Example: "  hsmgate encrypt --key alias/box --context file=db.env --output-file db.env.enc db.env\n  head -c 32 /dev/urandom | hsmgate encrypt --key alias/backup --output-file data.key.enc -",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			if err := required(key, "key"); err != nil {
				return err
			}
			chosen, err := oneOf("algorithm", algorithm, ciphers)
			if err != nil {
				return err
			}
			if err := out.check(a); err != nil {
				return err
			}
			plaintext, err := readInput(args[0], maxPlaintext)
			if err != nil {
				return err
			}
			chosen, err = encryptionAlgorithm(ctx, c, key, chosen)
			if err != nil {
				return err
			}
			made, err := c.Encrypt(ctx, &api.EncryptRequest{KeyTarget: target(key), Plaintext: plaintext, EncryptionAlgorithm: chosen, EncryptionContext: bound.pairs})
			if err != nil {
				return err
			}
			return out.write(a, made.CiphertextBlob, made)
		}),
	}
	c.Flags().StringVar(&key, "key", "", "key id, ARN or alias")
	c.Flags().StringVar(&algorithm, "algorithm", "", "encryption algorithm (default: the key's last: SYMMETRIC_DEFAULT or RSAES_OAEP_SHA_256)")
	c.Flags().Var(&bound, "context", "a name and a value that the ciphertext is bound to; may be given again")
	out.flags(c, "ciphertext")
	return c
}

func newDecrypt(a *app) *cobra.Command {
	var key, algorithm string
	var bound contextFlag
	out := bytesOut{secret: true}
	c := &cobra.Command{
		Use: "decrypt [--key KEY] FILE", Short: "Decrypt inside the token", Args: exactly("a file"),
		Long: `Decrypts what 'hsmgate encrypt' wrote, raw or base64, or what was encrypted with the public key
elsewhere (RSA-OAEP). What a symmetric key encrypted names its key, so that --key may be left
out; --context has to be what it was. With RSA, --algorithm has to be the one that encrypted. A
file for the plaintext (-o) gets mode 0600, whatever mode it had.`,
		Example: "  hsmgate decrypt --context file=db.env --output-file db.env db.env.enc\n  hsmgate decrypt --key alias/backup --output-file data.key data.key.enc",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			chosen, err := oneOf("algorithm", algorithm, ciphers)
			if err != nil {
				return err
			}
			if err := out.check(a); err != nil {
				return err
			}
			ciphertext, err := readRawOrBase64(args[0], maxCiphertext)
			if err != nil {
				return err
			}
			if key != "" {
				if chosen, err = encryptionAlgorithm(ctx, c, key, chosen); err != nil {
					return err
				}
			}
			made, err := c.Decrypt(ctx, &api.DecryptRequest{KeyTarget: target(key), CiphertextBlob: ciphertext, EncryptionAlgorithm: chosen, EncryptionContext: bound.pairs})
			if err != nil {
				return err
			}
			return out.write(a, made.Plaintext, made)
		}),
	}
	c.Flags().StringVar(&key, "key", "", "key id, ARN or alias (default: what a symmetric ciphertext names)")
	c.Flags().StringVar(&algorithm, "algorithm", "", "encryption algorithm (default: the key's last: SYMMETRIC_DEFAULT or RSAES_OAEP_SHA_256)")
	c.Flags().Var(&bound, "context", "a name and a value that the ciphertext is bound to; may be given again")
	out.flags(c, "plaintext")
	return c
}

// encryptionAlgorithm answers the caller's choice or the key's last, which has
// the stronger hash.
func encryptionAlgorithm(ctx context.Context, c *client.Client, key string, chosen api.EncryptionAlgorithm) (api.EncryptionAlgorithm, error) {
	if chosen != "" {
		return chosen, nil
	}
	out, err := c.DescribeKey(ctx, &api.DescribeKeyRequest{KeyTarget: target(key)})
	if err != nil {
		return "", err
	}
	list := out.KeyMetadata.EncryptionAlgorithms
	if len(list) == 0 {
		return "", api.Errorf(api.InvalidKeyUsage, "%s does not encrypt: its usage is %s", out.KeyMetadata.Arn, out.KeyMetadata.KeyUsage)
	}
	return list[len(list)-1], nil
}

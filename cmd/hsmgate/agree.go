package main

import (
	"context"
	"encoding/pem"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
)

// maxPublicKey is the longest public key that DeriveSharedSecret takes, in bytes.
const maxPublicKey = 8192

func newSecret(a *app) *cobra.Command {
	return group("secret", "Agree on secrets with others (ECDH, ML-KEM)", newSecretDerive(a), newSecretEncapsulate(a), newSecretDecapsulate(a))
}

func newSecretDerive(a *app) *cobra.Command {
	var key string
	out := bytesOut{secret: true}
	c := &cobra.Command{
		Use: "derive --key KEY FILE", Short: "Compute the secret shared with a public key (ECDH) inside the token", Args: exactly("a file with a public key"),
		Long: `Computes the secret that a key of usage KEY_AGREEMENT shares with the owner of a public key on the same curve
(SubjectPublicKeyInfo in PEM or DER). It is the raw x coordinate: derive keys from it.`,
		Example: "  hsmgate secret derive --key alias/agree --output-file shared.bin peer.pem\n  hsmgate secret derive --key alias/agree --output json peer.pem",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := secretFlags(a, key, &out); err != nil {
				return err
			}
			return a.calls(func(ctx context.Context, c *client.Client, args []string) error {
				peer, err := readInput(args[0], 2*maxPublicKey)
				if err != nil {
					return err
				}
				if block, _ := pem.Decode(peer); block != nil {
					peer = block.Bytes
				}
				made, err := c.DeriveSharedSecret(ctx, &api.DeriveSharedSecretRequest{KeyTarget: target(key), KeyAgreementAlgorithm: api.ECDH, PublicKey: peer})
				if err != nil {
					return err
				}
				return out.write(a, made.SharedSecret, made)
			})(cmd, args)
		},
	}
	c.Flags().StringVar(&key, "key", "", "key id, ARN or alias of a key of usage KEY_AGREEMENT")
	out.flags(c, "secret")
	return c
}

func newSecretEncapsulate(a *app) *cobra.Command {
	var key, encrypted string
	out := bytesOut{secret: true}
	c := &cobra.Command{
		Use: "encapsulate --key KEY --encrypted FILE", Short: "Make a secret of 32 bytes that a key's owner can have, too (ML-KEM)", Args: noArgs,
		Long: `Makes a secret of 32 bytes and its ciphertext under a key of spec ML_KEM_512, 768 or 1024. The secret goes
to standard output or -o, the ciphertext to --encrypted: 'hsmgate secret decapsulate' makes the secret
of it again.`,
		Example: "  hsmgate secret encapsulate --key alias/kem --encrypted secret.enc --output-file secret.bin\n  hsmgate secret encapsulate --key alias/kem --output json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := secretFlags(a, key, &out); err != nil {
				return err
			}
			if encrypted == "" && !a.json() {
				return required(encrypted, "encrypted")
			}
			return a.calls(func(ctx context.Context, c *client.Client, _ []string) error {
				made, err := c.Encapsulate(ctx, &api.EncapsulateRequest{KeyTarget: target(key), EncapsulationAlgorithm: api.MLKEM})
				if err != nil {
					return err
				}
				if encrypted != "" {
					if err := writeBytes(encrypted, made.SharedSecretCiphertextBlob); err != nil {
						return err
					}
				}
				return out.write(a, made.SharedSecret, made)
			})(cmd, args)
		},
	}
	c.Flags().StringVar(&key, "key", "", "key id, ARN or alias of an ML-KEM key")
	c.Flags().StringVar(&encrypted, "encrypted", "", "file for the secret's ciphertext")
	out.flags(c, "secret")
	return c
}

func newSecretDecapsulate(a *app) *cobra.Command {
	var key string
	var version int
	out := bytesOut{secret: true}
	c := &cobra.Command{
		Use: "decapsulate --key KEY FILE", Short: "Take a secret out of its ciphertext inside the token (ML-KEM)", Args: exactly("a file"),
		Long: `Takes the secret of 32 bytes out of the ciphertext that an encapsulation made, raw or base64. A ciphertext
that was changed, or is of another version of the key, gives another secret and no error (FIPS 203).`,
		Example: "  hsmgate secret decapsulate --key alias/kem --output-file secret.bin secret.enc\n  hsmgate secret decapsulate --key alias/kem --key-version 1 --base64 secret.enc",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := secretFlags(a, key, &out); err != nil {
				return err
			}
			in := &api.DecapsulateRequest{KeyTarget: target(key), EncapsulationAlgorithm: api.MLKEM}
			if cmd.Flags().Changed("key-version") {
				in.KeyVersion = &version
			}
			return a.calls(func(ctx context.Context, c *client.Client, args []string) error {
				var err error
				if in.SharedSecretCiphertextBlob, err = readRawOrBase64(args[0], maxCiphertext); err != nil {
					return err
				}
				made, err := c.Decapsulate(ctx, in)
				if err != nil {
					return err
				}
				return out.write(a, made.SharedSecret, made)
			})(cmd, args)
		},
	}
	c.Flags().StringVar(&key, "key", "", "key id, ARN or alias of an ML-KEM key")
	c.Flags().IntVar(&version, "key-version", 0, "version of the key that the ciphertext is for (default: the current one)")
	out.flags(c, "secret")
	return c
}

func secretFlags(a *app, key string, out *bytesOut) error {
	if err := required(key, "key"); err != nil {
		return err
	}
	return out.check(a)
}

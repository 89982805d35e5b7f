package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
)

// dataPair are the flags of 'data-key-pair'.
type dataPair struct {
	key, spec, encrypted, public string
	without                      bool
	bound                        contextFlag
	out                          bytesOut
}

func newDataKeyPair(a *app) *cobra.Command {
	p := &dataPair{out: bytesOut{secret: true}}
	c := &cobra.Command{
		Use: "data-key-pair --key KEY --spec SPEC --encrypted FILE", Short: "Make a key pair for use elsewhere, its private half plain and encrypted", Args: noArgs,
		Long: `Makes a key pair that is to leave the gateway. The private half (DER of its PKCS#8) goes to standard output
or -o; encrypted with --key it goes to --encrypted: 'hsmgate decrypt' makes the private half of it
again. The public half (DER of its SubjectPublicKeyInfo) goes to --public.`,
		Example: "  hsmgate data-key-pair --key alias/backup --spec ECC_NIST_P256 --encrypted pair.enc --public pair.pub --output-file pair.key\n  hsmgate data-key-pair --key alias/backup --spec RSA_2048 --without-plaintext --output json",
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := p.check(a)
			if err != nil {
				return err
			}
			return a.calls(func(ctx context.Context, c *client.Client, _ []string) error { return p.make(ctx, a, c, spec) })(cmd, args)
		},
	}
	c.Flags().StringVar(&p.key, "key", "", "key id, ARN or alias of a symmetric key")
	c.Flags().StringVar(&p.spec, "spec", "", "spec of the pair, such as ECC_NIST_P256")
	c.Flags().StringVar(&p.encrypted, "encrypted", "", "file for the encrypted private half")
	c.Flags().StringVar(&p.public, "public", "", "file for the public half")
	c.Flags().BoolVar(&p.without, "without-plaintext", false, "give the private half encrypted alone")
	c.Flags().Var(&p.bound, "context", "a name and a value that the encrypted private half is bound to; may be given again")
	p.out.flags(c, "private half")
	return c
}

func (p *dataPair) check(a *app) (api.KeySpec, error) {
	if err := required(p.key, "key"); err != nil {
		return "", err
	}
	if err := required(p.spec, "spec"); err != nil {
		return "", err
	}
	spec, err := oneOf("spec", p.spec, keySpecs)
	if err != nil {
		return "", err
	}
	if p.encrypted == "" && !a.json() {
		return "", required(p.encrypted, "encrypted")
	}
	if p.without {
		return spec, nil
	}
	return spec, p.out.check(a)
}

func (p *dataPair) make(ctx context.Context, a *app, c *client.Client, spec api.KeySpec) error {
	if p.without {
		made, err := c.GenerateDataKeyPairWithoutPlaintext(ctx, &api.GenerateDataKeyPairWithoutPlaintextRequest{KeyTarget: target(p.key), KeyPairSpec: spec, EncryptionContext: p.bound.pairs})
		if err != nil {
			return err
		}
		if err := p.files(made.PrivateKeyCiphertextBlob, made.PublicKey); err != nil || !a.json() {
			return err
		}
		return printJSON(made)
	}
	made, err := c.GenerateDataKeyPair(ctx, &api.GenerateDataKeyPairRequest{KeyTarget: target(p.key), KeyPairSpec: spec, EncryptionContext: p.bound.pairs})
	if err != nil {
		return err
	}
	if err := p.files(made.PrivateKeyCiphertextBlob, made.PublicKey); err != nil {
		return err
	}
	return p.out.write(a, made.PrivateKeyPlaintext, made)
}

// files writes what is no secret where it was asked for.
func (p *dataPair) files(encrypted, public []byte) error {
	if p.encrypted != "" {
		if err := writeBytes(p.encrypted, encrypted); err != nil {
			return err
		}
	}
	if p.public != "" {
		return writeBytes(p.public, public)
	}
	return nil
}

package main

import (
	"context"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
)

// What the flags of imports may be set to.
var (
	wrappings     = []api.WrappingAlgorithm{api.WrapRSAAESSHA256, api.WrapRSAAESSHA1, api.WrapOAEPSHA256, api.WrapOAEPSHA1}
	wrappingSpecs = []api.WrappingKeySpec{api.WrappingRSA2048, api.WrappingRSA3072, api.WrappingRSA4096}
)

func newKeyImportParameters(a *app) *cobra.Command {
	var algorithm, spec, public, token string
	c := &cobra.Command{
		Use: "import-parameters KEY", Short: "Get the public key under which key material is brought in", Args: exactly("a key"),
		Long: `Writes a public key (PEM), under which the material of a key of origin EXTERNAL is to be wrapped, and
the import token that goes with it. Both are good for 24 hours. A key of RSA takes RSA_AES_KEY_WRAP
alone. docs/operations.md has the OpenSSL commands that wrap. ` + aliasCosts,
		Example: "  hsmgate key import-parameters --public-key wrapping.pem --token import.token alias/imported",
		RunE: func(cmd *cobra.Command, args []string) error {
			in := &api.GetParametersForImportRequest{}
			err := required(public, "public-key")
			if err == nil {
				err = required(token, "token")
			}
			if err == nil {
				in.WrappingAlgorithm, err = oneOf("algorithm", algorithm, wrappings)
			}
			if err == nil {
				in.WrappingKeySpec, err = oneOf("wrapping-spec", spec, wrappingSpecs)
			}
			for _, name := range []string{public, token} {
				if _, missing := os.Stat(filepath.Dir(name)); err == nil && missing != nil {
					err = &usageError{missing}
				}
			}
			if err != nil {
				return err
			}
			return a.calls(func(ctx context.Context, c *client.Client, args []string) error {
				id, err := keyID(ctx, c, args[0])
				if err != nil {
					return err
				}
				in.KeyTarget = target(id)
				out, err := c.GetParametersForImport(ctx, in)
				if err != nil {
					return err
				}
				if err := writeFile(token, out.ImportToken, 0o600, true); err != nil {
					return err
				}
				if err := writeFile(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: out.PublicKey}), newMode, false); err != nil {
					return err
				}
				return a.print(out, line("good until "+day(out.ParametersValidTo)))
			})(cmd, args)
		},
	}
	c.Flags().StringVar(&algorithm, "algorithm", string(api.WrapRSAAESSHA256), "how the material is to be wrapped")
	c.Flags().StringVar(&spec, "wrapping-spec", string(api.WrappingRSA3072), "RSA_2048, RSA_3072 or RSA_4096")
	c.Flags().StringVar(&public, "public-key", "", "file to write the public key to")
	c.Flags().StringVar(&token, "token", "", "file to write the import token to")
	return c
}

func newKeyImport(a *app) *cobra.Command {
	var token, description, material string
	expires := momentFlag{ahead: true}
	var never, fresh bool
	c := &cobra.Command{
		Use: "import KEY --token FILE FILE", Short: "Bring wrapped key material into the token", Args: exactly("a key", "the wrapped material"),
		Long: `Brings key material, wrapped under the public key of 'hsmgate key import-parameters', into the token.
The first material is used at once. --new brings more, which waits for 'hsmgate key rotate'; without it
the material has to be one that the key had before, to bring it back or to change its date. ` + aliasCosts,
		Example: "  hsmgate key import --token import.token --never-expires alias/imported wrapped.bin\n  hsmgate key import --token import.token --expires 2030-01-31T12:00:00Z alias/imported wrapped.bin",
		RunE: func(cmd *cobra.Command, args []string) error {
			in := &api.ImportKeyMaterialRequest{KeyMaterialDescription: description, KeyMaterialId: material}
			if err := required(token, "token"); err != nil {
				return err
			}
			switch {
			case never == expires.given():
				return usagef("say when the material expires: --expires TIME, or --never-expires")
			case never:
				in.ExpirationModel = api.KeyMaterialDoesNotExpire
			default:
				in.ExpirationModel, in.ValidTo = api.KeyMaterialExpires, expires.member()
			}
			if fresh {
				in.ImportType = api.NewKeyMaterial
			}
			var err error
			if in.ImportToken, err = readInput(token, maxImport); err == nil {
				in.EncryptedKeyMaterial, err = readInput(args[1], maxImport)
			}
			if err != nil {
				return err
			}
			return a.calls(func(ctx context.Context, c *client.Client, args []string) error {
				id, err := keyID(ctx, c, args[0])
				if err != nil {
					return err
				}
				in.KeyTarget = target(id)
				out, err := c.ImportKeyMaterial(ctx, in)
				if err != nil {
					return err
				}
				return a.print(out, line(fmt.Sprintf("version %d, material %s", out.KeyVersion, out.KeyMaterialId)))
			})(cmd, args)
		},
	}
	c.Flags().StringVar(&token, "token", "", "file with the import token")
	c.Flags().Var(&expires, "expires", "when the material is destroyed: "+momentAhead+"; of a date, its beginning in UTC; at most 365 days away")
	c.Flags().BoolVar(&never, "never-expires", false, "the material stays until it is deleted")
	c.Flags().BoolVar(&fresh, "new", false, "it is new material of a key that has some")
	c.Flags().StringVar(&description, "description", "", "where the material comes from")
	c.Flags().StringVar(&material, "material-id", "", "the material that comes back, 64 hex digits (default: whichever it is)")
	return c
}

// maxImport is the longest import token and the longest material, in bytes.
const maxImport = 6144

func newKeyDeleteMaterial(a *app) *cobra.Command {
	var material string
	c := &cobra.Command{
		Use: "delete-material KEY", Short: "Destroy imported key material; the key stays", Args: exactly("a key"),
		Long: `Destroys imported key material in the token at once. The key stays, and cannot be used until the same
material is imported again. ` + aliasCosts,
		Example: "  hsmgate key delete-material alias/imported",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			id, err := keyID(ctx, c, args[0])
			if err != nil {
				return err
			}
			out, err := c.DeleteImportedKeyMaterial(ctx, &api.DeleteImportedKeyMaterialRequest{KeyTarget: target(id), KeyMaterialId: material})
			if err != nil {
				return err
			}
			return a.print(out, line("the material is gone; the key waits for the same material"))
		}),
	}
	c.Flags().StringVar(&material, "material-id", "", "64 hex digits, as in 'hsmgate key versions' (default: the current material)")
	return c
}

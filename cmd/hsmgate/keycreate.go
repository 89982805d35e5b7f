package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
)

func newKeyCreate(a *app) *cobra.Command {
	var spec, usage, description, alias, keyStore string
	var multiRegion, external bool
	c := &cobra.Command{
		Use:   "create --spec SPEC",
		Short: "Make a key inside the token",
		Long: `Makes a key inside the token and prints its id. Key specs, and what their keys do unless --usage says
otherwise:
  RSA_2048, RSA_3072, RSA_4096                       SIGN_VERIFY, or ENCRYPT_DECRYPT
  ECC_NIST_P256, ECC_NIST_P384, ECC_NIST_P521        SIGN_VERIFY, or KEY_AGREEMENT
  ECC_SECG_P256K1, ECC_NIST_EDWARDS25519             SIGN_VERIFY
  SYMMETRIC_DEFAULT                                  ENCRYPT_DECRYPT
  HMAC_224, HMAC_256, HMAC_384, HMAC_512             GENERATE_VERIFY_MAC
  ML_DSA_44, ML_DSA_65, ML_DSA_87                    SIGN_VERIFY, where the token has it
  ML_KEM_512, ML_KEM_768, ML_KEM_1024                ENCAPSULATE_DECAPSULATE, where the token has it
With an alias that is taken, no key is made. With --external the key waits for material from outside:
'hsmgate key import-parameters'.`,
		Example: "  hsmgate key create --spec ECC_NIST_P256 --alias alias/release\n  hsmgate key create --spec RSA_3072 --usage ENCRYPT_DECRYPT --description 'backup keys'",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			in := &api.CreateKeyRequest{Description: description, CustomKeyStoreId: keyStore, MultiRegion: multiRegion}
			err := required(spec, "spec")
			if err == nil {
				in.KeySpec, err = oneOf("spec", spec, keySpecs)
			}
			if err == nil {
				in.KeyUsage, err = oneOf("usage", usage, keyUsages)
			}
			if err == nil && in.KeyUsage == "" {
				in.KeyUsage = usageOf(in.KeySpec)
			}
			if err == nil && alias != "" {
				err = checkAlias(alias)
			}
			if external {
				in.Origin = api.OriginExternal
			}
			if err != nil {
				return err
			}
			return a.calls(func(ctx context.Context, c *client.Client, _ []string) error {
				made, err := createKey(ctx, c, in, alias)
				if err != nil {
					return err
				}
				return a.print(made, line(made.KeyId))
			})(cmd, args)
		},
	}
	c.Flags().StringVar(&spec, "spec", "", "key spec, such as ECC_NIST_P256")
	c.Flags().StringVar(&usage, "usage", "", "what the key does (default: the first that its spec has)")
	c.Flags().StringVar(&description, "description", "", "what the key is for")
	c.Flags().BoolVar(&external, "external", false, "its material comes from outside")
	c.Flags().StringVar(&keyStore, "key-store", "", "name of the token to make the key in; see 'hsmgate key-store list' (default: the gateway's own)")
	c.Flags().BoolVar(&multiRegion, "multi-region", false, "the key can be replicated to other regions")
	c.Flags().StringVar(&alias, "alias", "", "a name for the key, such as alias/release")
	return c
}

// createKey makes a key with its alias, or neither where that can be helped.
func createKey(ctx context.Context, c *client.Client, in *api.CreateKeyRequest, alias string) (*api.KeyMetadata, error) {
	if alias != "" {
		there, err := c.DescribeKey(ctx, &api.DescribeKeyRequest{KeyTarget: target(alias)})
		switch code := client.Code(err); {
		case err == nil:
			return nil, &hintedError{fmt.Errorf("no key was made: %s is the name of key %s already", alias, there.KeyMetadata.KeyId),
				"choose another alias, or make the key without one and move this: hsmgate alias update " + alias + " --key ID"}
		case code == api.NotFound || code == api.AccessDenied: // whether it is there, the gateway tells when it is to be made
		default:
			return nil, err
		}
	}
	made, err := c.CreateKey(ctx, in)
	if err != nil || alias == "" {
		if err != nil {
			return nil, err
		}
		return made.KeyMetadata, nil
	}
	id := made.KeyMetadata.KeyId
	if _, err := c.CreateAlias(ctx, &api.CreateAliasRequest{AliasName: alias, TargetKeyId: id}); err != nil {
		return nil, withoutAlias(ctx, c, id, alias, err)
	}
	return made.KeyMetadata, nil
}

// shortestWait is the shortest waiting period before a key is destroyed, in days.
const shortestWait = 7

// withoutAlias schedules the deletion of a key that was made for an alias which
// the gateway refused. Where nobody knows whether the alias was made, the key
// stays.
func withoutAlias(ctx context.Context, c *client.Client, id, alias string, refused error) error {
	remedies := fmt.Sprintf("keep the key: hsmgate alias create NAME --key %s; or give it up: hsmgate key schedule-deletion --days %d %s", id, shortestWait, id)
	if code := client.Code(refused); code == "" || code.Outcome() == api.Failed {
		return &hintedError{fmt.Errorf("key %s was made, but perhaps not %s: %w", id, alias, refused), "see 'hsmgate alias list'; " + remedies}
	}
	days := shortestWait
	out, err := c.ScheduleKeyDeletion(ctx, &api.ScheduleKeyDeletionRequest{KeyTarget: target(id), PendingWindowInDays: &days})
	if err != nil {
		return &hintedError{fmt.Errorf("key %s was made, but not %s: %w", id, alias, refused), remedies}
	}
	return &hintedError{fmt.Errorf("%s was not made: %w; the new key %s is to be destroyed %s", alias, refused, id, day(out.DeletionDate)),
		fmt.Sprintf("to keep the key: hsmgate key cancel-deletion %s; hsmgate key enable %s", id, id)}
}

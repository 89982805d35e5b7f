package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
)

// maxMac is the longest message of a MAC in bytes.
const maxMac = 4096

func newMac(a *app) *cobra.Command {
	return group("mac", "Message authentication codes (HMAC)", newMacGenerate(a), newMacVerify(a))
}

func newMacGenerate(a *app) *cobra.Command {
	var key, algorithm string
	var out bytesOut
	c := &cobra.Command{
		Use: "generate --key KEY FILE", Short: "Compute the MAC of a message inside the token", Args: exactly("a file"),
		Long:    `Computes an HMAC over a file of at most 4096 bytes, with a key of spec HMAC_224 to HMAC_512.`,
		Example: "  hsmgate mac generate --key alias/webhooks --base64 payload.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			chosen, err := macFlags(key, algorithm)
			if err == nil {
				err = out.check(a)
			}
			if err != nil {
				return err
			}
			return a.calls(func(ctx context.Context, c *client.Client, args []string) error {
				message, chosen, err := macInput(ctx, c, key, chosen, args[0])
				if err != nil {
					return err
				}
				made, err := c.GenerateMac(ctx, &api.GenerateMacRequest{KeyTarget: target(key), Message: message, MacAlgorithm: chosen})
				if err != nil {
					return err
				}
				return out.write(a, made.Mac, made)
			})(cmd, args)
		},
	}
	c.Flags().StringVar(&key, "key", "", "key id, ARN or alias")
	c.Flags().StringVar(&algorithm, "algorithm", "", "MAC algorithm (default: the key's)")
	out.flags(c, "MAC")
	return c
}

func newMacVerify(a *app) *cobra.Command {
	var key, algorithm, mac string
	c := &cobra.Command{
		Use: "verify --key KEY --mac FILE FILE", Short: "Check the MAC of a message inside the token", Args: exactly("a file"),
		Long:    `Checks an HMAC, raw bytes or base64, over a file of at most 4096 bytes. Exit code 1: the MAC is not good.`,
		Example: "  hsmgate mac verify --key alias/webhooks --mac payload.mac payload.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			chosen, err := macFlags(key, algorithm)
			if err == nil {
				err = required(mac, "mac")
			}
			if err != nil {
				return err
			}
			return a.calls(func(ctx context.Context, c *client.Client, args []string) error {
				return a.verifyMac(ctx, c, key, chosen, mac, args[0])
			})(cmd, args)
		},
	}
	c.Flags().StringVar(&key, "key", "", "key id, ARN or alias")
	c.Flags().StringVar(&mac, "mac", "", "file with the MAC, raw or base64")
	c.Flags().StringVar(&algorithm, "algorithm", "", "MAC algorithm (default: the key's)")
	return c
}

func (a *app) verifyMac(ctx context.Context, c *client.Client, key string, chosen api.MacAlgorithm, mac, file string) error {
	given, err := readRawOrBase64(mac, maxCiphertext)
	if err != nil {
		return err
	}
	message, chosen, err := macInput(ctx, c, key, chosen, file)
	if err != nil {
		return err
	}
	out, err := c.VerifyMac(ctx, &api.VerifyMacRequest{KeyTarget: target(key), Message: message, Mac: given, MacAlgorithm: chosen})
	if client.Code(err) == api.KMSInvalidMac {
		if a.json() {
			if err := printJSON(&api.VerifyMacResponse{MacAlgorithm: chosen}); err != nil {
				return err
			}
		}
		return &noError{fmt.Errorf("the MAC is not good: %w", err)}
	}
	if err != nil {
		return err
	}
	return a.print(out, line("the MAC is good: "+out.KeyId+" "+string(out.MacAlgorithm)))
}

func macFlags(key, algorithm string) (api.MacAlgorithm, error) {
	if err := required(key, "key"); err != nil {
		return "", err
	}
	return oneOf("algorithm", algorithm, macs)
}

// macInput reads the message, and answers the caller's choice or the key's one
// algorithm.
func macInput(ctx context.Context, c *client.Client, key string, chosen api.MacAlgorithm, file string) ([]byte, api.MacAlgorithm, error) {
	message, err := readInput(file, maxMac)
	if err != nil || chosen != "" {
		return message, chosen, err
	}
	out, err := c.DescribeKey(ctx, &api.DescribeKeyRequest{KeyTarget: target(key)})
	if err != nil {
		return nil, "", err
	}
	list := out.KeyMetadata.MacAlgorithms
	if len(list) == 0 {
		return nil, "", api.Errorf(api.InvalidKeyUsage, "%s makes no MACs: its usage is %s", out.KeyMetadata.Arn, out.KeyMetadata.KeyUsage)
	}
	return message, list[0], nil
}

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
)

func newPolicy(a *app) *cobra.Command {
	return group("policy", "Say who may use a key", newPolicyGet(a), newPolicyPut(a), newPolicyCheck(a), newPolicyTest(a), newPolicyExplain(a))
}

func newPolicyGet(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "get KEY", Short: "Print a key's policy", Args: exactly("a key"),
		Long:    "Prints a key's policy as it was written. A key that never got one has that of AWS KMS: roles and identity policies decide. " + aliasCosts,
		Example: "  hsmgate policy get alias/release >policy.json",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			id, err := keyID(ctx, c, args[0])
			if err != nil {
				return err
			}
			out, err := c.GetKeyPolicy(ctx, &api.GetKeyPolicyRequest{KeyTarget: target(id)})
			if err != nil {
				return err
			}
			return a.print(out, line(strings.TrimSuffix(out.Policy, "\n")))
		}),
	}
}

// largestPolicy is more than any gateway takes.
const largestPolicy = 1 << 20

func newPolicyPut(a *app) *cobra.Command {
	var bypass bool
	c := &cobra.Command{
		Use: "put KEY FILE", Short: "Replace a key's policy", Args: exactly("a key", "a file; - for standard input"),
		Long: `Replaces a key's policy. What the gateway does not understand it refuses, with line and column. A policy
under which the caller could not replace it again is refused, unless --bypass-lockout-check is given. ` + aliasCosts,
		Example: "  hsmgate policy put alias/release policy.json",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			text, err := policyFile(args[1])
			if err != nil {
				return err
			}
			id, err := keyID(ctx, c, args[0])
			if err != nil {
				return err
			}
			_, err = c.PutKeyPolicy(ctx, &api.PutKeyPolicyRequest{KeyTarget: target(id), Policy: text, BypassPolicyLockoutSafetyCheck: bypass})
			return err
		}),
	}
	c.Flags().BoolVar(&bypass, "bypass-lockout-check", false, "take a policy that locks the caller out, too")
	return c
}

func policyFile(name string) (string, error) {
	in := io.Reader(os.Stdin)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", &usageError{err}
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, largestPolicy+1))
	if err == nil && len(text) > largestPolicy {
		err = errors.New("this is no policy: it is too long")
	}
	if err != nil {
		return "", &usageError{err}
	}
	return string(text), nil
}

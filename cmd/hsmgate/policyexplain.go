package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// explainFlags are what a call that is to be explained is made of.
type explainFlags struct {
	principal, action, key string
	address, at            string
	context, tags          contextFlag
	params, claims         []string
	subject                string
	sans                   []string
}

func newPolicyExplain(a *app) *cobra.Command {
	var f explainFlags
	c := &cobra.Command{
		Use: "explain --principal PRINCIPAL --action ACTION [--key KEY]", Short: "Ask how a call would be decided, and why", Args: noArgs,
		Long: `Asks the gateway how it would decide a call, without making it: by which statement, and why each statement,
role and grant that it looks at applies or not. It takes the permission hsmgate:ExplainAccess, which
administrators have. --param gives a member of the operation's request, as docs/api.md has it; the rest says
under which circumstances the call would come: from this address and now, unless told.

Exit code 1: the call would be refused.`,
		Example: "  hsmgate policy explain --principal builder --action kms:Sign --key alias/release --param SigningAlgorithm=ECDSA_SHA_256",
		RunE: a.calls(func(ctx context.Context, c *client.Client, _ []string) error {
			in, err := f.request()
			if err != nil {
				return err
			}
			out, err := c.ExplainAccess(ctx, in)
			if err != nil {
				return err
			}
			if err := a.print(out, func(w io.Writer) { printExplained(w, out) }); err != nil {
				return err
			}
			if !out.Allowed || out.Message != "" {
				return &noError{fmt.Errorf("the call would be refused; its answer: %s", out.Message)}
			}
			return nil
		}),
	}
	c.Flags().StringVar(&f.principal, "principal", "", "ARN of who would call, such as that of a role, or the name of a user")
	c.Flags().StringVar(&f.action, "action", "", "what would be asked for, such as kms:Sign")
	c.Flags().StringVar(&f.key, "key", "", "id, ARN, alias or alias ARN of the key")
	c.Flags().Var(&f.context, "context", "a pair of the encryption context; may be repeated")
	c.Flags().StringArrayVar(&f.params, "param", nil, "NAME=VALUE: a member of the request; may be repeated. A value that is JSON is taken as such")
	c.Flags().StringVar(&f.address, "source-ip", "", "address that the call would come from")
	c.Flags().StringVar(&f.at, "time", "", "when it would come, such as 2026-01-31T12:00:00Z")
	c.Flags().StringArrayVar(&f.claims, "claim", nil, "NAME=VALUE: a claim of the principal's token; may be repeated")
	c.Flags().StringVar(&f.subject, "certificate-subject", "", "subject of the caller's client certificate, such as CN=builder-7,O=Example")
	c.Flags().StringArrayVar(&f.sans, "certificate-san", nil, "a subject alternative name of it, such as dns:builder-7.example.com; may be repeated")
	c.Flags().Var(&f.tags, "tag", "a tag of the principal, in place of its own; may be repeated")
	return c
}

func (f *explainFlags) request() (*api.ExplainAccessRequest, error) {
	if err := required(f.principal, "principal"); err != nil {
		return nil, err
	}
	if err := f.checkAction(); err != nil {
		return nil, err
	}
	in := &api.ExplainAccessRequest{Principal: f.principal, Action: f.action, KeyId: f.key, SourceAddress: f.address, PrincipalTags: f.tags.pairs,
		CertificateSubject: f.subject, CertificateSANs: f.sans}
	for _, text := range f.params {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, usagef("--param is NAME=VALUE, not %q", text)
		}
		put(&in.Request, name, jsonOr(value))
	}
	if f.context.pairs != nil {
		put(&in.Request, "EncryptionContext", any(f.context.pairs))
	}
	for _, text := range f.claims {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, usagef("--claim is NAME=VALUE, not %q", text)
		}
		put(&in.Claims, name, append(in.Claims[name], value))
	}
	if f.at != "" {
		at, err := time.Parse(time.RFC3339, f.at)
		if err != nil {
			return nil, usagef("--time is a time such as 2026-01-31T12:00:00Z, not %q", f.at)
		}
		in.Time = api.NewTime(at)
	}
	return in, nil
}

// checkAction refuses what is no action, or lacks its key.
func (f *explainFlags) checkAction() error {
	if err := required(f.action, "action"); err != nil {
		return err
	}
	if !slices.Contains(policy.Actions(), f.action) {
		return usagef("--action is one such as kms:Sign, in that spelling, not %q", f.action)
	}
	if f.key == "" && len(f.params) == 0 && !policy.AboutNoKey(f.action) {
		return usagef("%s is about a key: --key is missing", f.action)
	}
	return nil
}

func put[V any](m *map[string]V, name string, value V) {
	if *m == nil {
		*m = make(map[string]V)
	}
	(*m)[name] = value
}

// jsonOr reads a value that is JSON, a number or a list, and takes any other as text.
func jsonOr(text string) any {
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return text
}

func printExplained(w io.Writer, out *api.ExplainAccessResponse) {
	for _, d := range out.Decisions {
		how := "deny"
		if d.Allowed {
			how = "allow"
		}
		fmt.Fprintf(w, "%s %s on %s: %s by %s%s\n", out.Principal, d.Action, d.Resource, how, d.Statement, reason(d.Reason))
		steps := make([]policy.Step, len(d.Steps))
		for i, s := range d.Steps {
			steps[i] = policy.Step(s)
		}
		printSteps(w, steps)
	}
}

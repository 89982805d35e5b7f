package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/store"
)

func newCredential() *cobra.Command {
	return group("credential", "Issue and revoke credentials", newCredentialIssue(), newCredentialList(), newCredentialRotate(), newCredentialRevoke())
}

func newCredentialIssue() *cobra.Command {
	i := &identities{}
	to := new(issued)
	var name, kind string
	c := &cobra.Command{
		Use: "issue --principal NAME", Short: "Issue a bearer token, an access key or both", Args: noArgs,
		Long: `Issues credentials and writes them once, in shell syntax, to a new file of mode 0600 or to
standard output. They cannot be shown again. A running daemon accepts them within about a second.
URL and region are written with them, so that '. FILE' is all that a client needs.`,
		Example: "  hsmgated credential issue --state ./var --principal ci --kind bearer --ttl 720h --output-file ci.env\n  hsmgated credential issue --state ./var --principal ci --kind access-key",
		RunE: i.with(func(ctx context.Context, _ []string) error {
			if name == "" {
				return &usageError{errors.New("--principal is missing")}
			}
			if kind != "bearer" && kind != "access-key" && kind != "both" {
				return &usageError{fmt.Errorf("--kind is bearer, access-key or both, not %q", kind)}
			}
			if _, ok := i.store.Principal(i.PrincipalARN(name)); !ok {
				return i.noUser(name)
			}
			return i.issueTo(ctx, to, i.PrincipalARN(name), kind)
		}),
	}
	configFlags(c, &i.path, &i.state)
	c.Flags().StringVar(&name, "principal", "", "name of the principal")
	c.Flags().StringVar(&kind, "kind", "bearer", "bearer, access-key or both")
	to.flags(c)
	return c
}

// issued is how credentials are given out.
type issued struct {
	file, url string
	ttl       time.Duration
}

func (to *issued) flags(c *cobra.Command) {
	c.Flags().StringVar(&to.url, "url", "", "the gateway's URL for their user (default: the one that this machine uses)")
	c.Flags().DurationVar(&to.ttl, "ttl", 90*24*time.Hour, "how long they are good")
	c.Flags().StringVarP(&to.file, "output-file", "o", "", "new file for the credentials (default: standard output)")
}

// issueTo issues credentials to a new file or to standard output.
func (i *identities) issueTo(ctx context.Context, to *issued, arn, kind string) error {
	if to.url == "" {
		to.url = knownURL(i.config)
	} else if !strings.HasPrefix(to.url, "http://") && !strings.HasPrefix(to.url, "https://") || strings.ContainsAny(to.url, "'\n") {
		return &usageError{errors.New("--url begins with http:// or https://, such as https://host:port")}
	}
	if to.ttl <= 0 {
		return &usageError{errors.New("--ttl is positive, such as 720h")}
	}
	if to.file == "" {
		return i.issue(ctx, os.Stdout, arn, kind, to.url, to.ttl)
	}
	f, err := os.OpenFile(to.file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // before anything is issued
	if errors.Is(err, fs.ErrExist) {
		return &hintedError{fmt.Errorf("%s exists; nothing was issued", to.file), "name a new file, or move this one away"}
	}
	if err != nil {
		return err
	}
	if err = errors.Join(i.issue(ctx, f, arn, kind, to.url, to.ttl), f.Sync(), f.Close()); err != nil {
		err = errors.Join(err, os.Remove(to.file))
	}
	return err
}

// noUser says why there is nobody of that name to issue a credential to.
func (i *identities) noUser(name string) error {
	if _, ok := i.store.Principal(i.RoleARN(name)); ok {
		return &hintedError{fmt.Errorf("%s is a role, which has no credentials of its own", name), "workloads assume it by a token of an identity provider or by a certificate: docs/access.md"}
	}
	return aPrincipal.none(name)
}

func (i *identities) issue(ctx context.Context, out *os.File, arn, kind, url string, ttl time.Duration) error {
	var b strings.Builder
	now := time.Now()
	fmt.Fprintf(&b, "# credentials of %s, good until %s\n", arn, now.Add(ttl).UTC().Format(time.RFC3339))
	export := func(name, value string) {
		if value != "" {
			b.WriteString(exportLine(name, value))
		}
	}
	if url == "" {
		b.WriteString("# The daemon's URL is not known here: set HSMGATE_URL, and AWS_ENDPOINT_URL_KMS for AWS clients.\n")
	}
	if kind != "access-key" {
		token, err := i.IssueBearer(ctx, arn, ttl, now)
		if err != nil {
			return err
		}
		export("HSMGATE_URL", url)
		export("HSMGATE_TOKEN", token)
	}
	if kind != "bearer" {
		id, secret, err := i.IssueAccessKey(ctx, arn, ttl, now)
		if err != nil {
			return err
		}
		b.WriteString(oldAWS + "unset AWS_SESSION_TOKEN\n")
		export("AWS_ENDPOINT_URL_KMS", url)
		export("AWS_ENDPOINT_URL_STS", url)
		export("AWS_ACCESS_KEY_ID", id)
		export("AWS_SECRET_ACCESS_KEY", secret)
		export("AWS_REGION", i.config.Region)
		export("AWS_DEFAULT_REGION", i.config.Region)
	}
	_, err := out.WriteString(b.String())
	return err
}

// credential is a row of the list; it holds no secret.
type credential struct {
	ID, Kind, Principal, State string
	CreatedAt                  time.Time
	ExpiresAt                  *time.Time `json:",omitempty"`
}

func newCredentialList() *cobra.Command {
	i := &identities{}
	var name, format string
	c := &cobra.Command{
		Use: "list", Short: "List credentials, without their secrets", Args: noArgs, Example: "  hsmgated credential list --state ./var --principal ci",
		RunE: i.with(func(context.Context, []string) error {
			arn := ""
			if name != "" {
				arn = i.PrincipalARN(name)
			}
			rows := []credential{}
			for _, b := range i.Bearers(arn) {
				rows = append(rows, credentialRow(b.ID, "bearer", b.PrincipalARN, b.CreatedAt, b.ExpiresAt, false))
			}
			for _, k := range i.AccessKeys(arn) {
				rows = append(rows, credentialRow(k.ID, "access-key", k.PrincipalARN, k.CreatedAt, k.ExpiresAt, k.Disabled))
			}
			return printRows(format, rows, "ID\tKIND\tSTATE\tEXPIRES\tPRINCIPAL", func(r credential) string {
				expires := "never"
				if r.ExpiresAt != nil {
					expires = r.ExpiresAt.Format(time.RFC3339)
				}
				return r.ID + "\t" + r.Kind + "\t" + r.State + "\t" + expires + "\t" + r.Principal
			})
		}),
	}
	configFlags(c, &i.path, &i.state)
	outputFlag(c, &format)
	c.Flags().StringVar(&name, "principal", "", "only those of this principal")
	return c
}

func credentialRow(id, kind, arn string, created, expires time.Time, disabled bool) credential {
	r := credential{ID: id, Kind: kind, Principal: arn, State: "good", CreatedAt: created}
	if !expires.IsZero() {
		utc := expires.UTC()
		r.ExpiresAt = &utc
	}
	switch {
	case disabled:
		r.State = "disabled"
	case r.ExpiresAt != nil && !time.Now().Before(expires):
		r.State = "expired"
	}
	return r
}

func newCredentialRevoke() *cobra.Command {
	i := &identities{}
	c := &cobra.Command{
		Use: "revoke ID", Short: "Remove a bearer token or an access key for ever", Args: exactlyOne("the id of a credential, as 'credential list' shows it"),
		Example: "  hsmgated credential revoke --state ./var utq5y6mbqch63api",
		RunE: i.with(func(ctx context.Context, args []string) error {
			err := i.DeleteBearer(ctx, args[0])
			if errors.Is(err, store.ErrNotFound) {
				err = i.DeleteAccessKey(ctx, args[0])
			}
			if errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("there is no credential with the id %s", args[0])
			}
			return err
		}),
	}
	configFlags(c, &i.path, &i.state)
	return c
}

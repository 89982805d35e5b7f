package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func newCredentialRotate() *cobra.Command {
	i := &identities{}
	to := new(issued)
	var keep time.Duration
	c := &cobra.Command{
		Use: "rotate ID", Short: "Issue a credential in the place of another, which ends soon", Args: exactlyOne("the id of a credential, as 'credential list' shows it"),
		Long: `Issues a credential of the same kind to the same principal, and lets the old one end after --keep: hand the new
one over in that time. The sessions that an access key made end with it. A running daemon sees it within about a second.`,
		Example: "  hsmgated credential rotate --state ./var utq5y6mbqch63api --keep 24h --output-file ci.env",
		RunE: i.with(func(ctx context.Context, args []string) error {
			if keep < 0 {
				return &usageError{errors.New("--keep is how long the old one is still good, such as 24h, or 0s")}
			}
			id, end := args[0], time.Now().Add(keep)
			if b, ok := i.store.Bearer(id); ok {
				if err := i.issueTo(ctx, to, b.PrincipalARN, "bearer"); err != nil {
					return err
				}
				return kept(id, i.store.SetBearerExpiry(ctx, id, earlier(b.ExpiresAt, end)))
			}
			k, ok := i.store.AccessKey(id)
			if !ok {
				return fmt.Errorf("there is no credential with the id %s", id)
			}
			if err := i.issueTo(ctx, to, k.PrincipalARN, "access-key"); err != nil {
				return err
			}
			return kept(id, i.store.SetAccessKeyExpiry(ctx, id, earlier(k.ExpiresAt, end)))
		}),
	}
	configFlags(c, &i.path, &i.state)
	c.Flags().DurationVar(&keep, "keep", 24*time.Hour, "how long the old one is still good")
	to.flags(c)
	return c
}

// kept says what was done where the old credential could not be ended.
func kept(id string, err error) error {
	if err == nil {
		return nil
	}
	return &hintedError{fmt.Errorf("the new credential is issued, and %s was not changed: %w", id, err), "end it with 'hsmgated credential revoke'"}
}

// earlier is the earlier of two ends; zero is never.
func earlier(a, b time.Time) time.Time {
	if !a.IsZero() && a.Before(b) {
		return a
	}
	return b
}

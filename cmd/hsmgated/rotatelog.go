package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/store"
)

func newAuditRotateKey() *cobra.Command {
	var path, state string
	c := &cobra.Command{
		Use:   "rotate-key --config FILE | --state DIR",
		Short: "Have the next start make another key for the log's checkpoints",
		Long: `Ends the time of the key that signs the checkpoints of the audit log. The next start of the daemon makes
another one, which continues the same tree; until then a running daemon goes on with the old one. The old
one stays in the token, and its public key stays listed, so that what it signed can be checked. Publish the
new public key ('hsmgate audit key') where the old one was.`,
		Example: "  hsmgated audit rotate-key --state ./var",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := configOf(path, state)
			if err != nil {
				return err
			}
			return rotateLogKey(cmd.Context(), c)
		},
	}
	configFlags(c, &path, &state)
	return c
}

// logOrigin is the name of the log, as the daemon has it.
func (c *Config) logOrigin(s *store.Store) (string, error) {
	instance, err := c.instance()
	if err != nil {
		return "", err
	}
	origin, _, err := gateway.LogOrigin(c.tree(instance), s)
	return origin, err
}

func rotateLogKey(ctx context.Context, c *Config) (err error) {
	s, err := openStore(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	origin, err := c.logOrigin(s)
	if err != nil {
		return err
	}
	k, err := s.RetireLogKey(ctx, origin, time.Now())
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("the log %s has no key that signs: the next start makes one", origin)
	}
	if err != nil {
		return err
	}
	fmt.Printf("key %d of the log %s, which the daemon %q has made, is retired; the next start makes key %d\n", k.Number, origin, k.Instance, k.Number+1)
	return nil
}

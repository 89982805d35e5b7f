package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/audit/tree"
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
			origin, err := c.logOrigin()
			if err != nil {
				return err
			}
			return rotateLogKey(cmd.Context(), c, origin)
		},
	}
	configFlags(c, &path, &state)
	return c
}

// logOrigin is the name of the log: that of the tree that is there, as the daemon has it.
func (c *Config) logOrigin() (string, error) {
	keys, err := tree.DirOf(c.Audit.Path).Keys()
	if err == nil {
		return keys[0].Name(), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	instance, err := c.instance()
	return c.origin(instance), err
}

func rotateLogKey(ctx context.Context, c *Config, origin string) (err error) {
	s, err := openStore(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	k, err := s.RetireLogKey(ctx, origin, time.Now())
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("the log %s has no key that signs: the next start makes one", origin)
	}
	if err != nil {
		return err
	}
	fmt.Printf("key %d of the log %s is retired; the next start makes key %d\n", k.Number, origin, k.Number+1)
	return nil
}

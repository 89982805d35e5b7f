package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hsmgate/hsmgate/gateway/store"
)

// openStore opens the database that the configuration names.
func openStore(ctx context.Context, c *Config) (*store.Store, error) {
	return c.database(ctx,
		func(ctx context.Context, path string) (*store.Store, error) { return store.Open(ctx, path, c.Region) },
		func(ctx context.Context, dsn string) (*store.Store, error) {
			return store.OpenPostgres(ctx, dsn, c.Region)
		})
}

// lookStore opens it without a change: store.ErrOlder where a start would make one.
func lookStore(ctx context.Context, c *Config) (*store.Store, error) {
	return c.database(ctx, store.Look, store.LookPostgres)
}

func (c *Config) database(ctx context.Context, file, server func(ctx context.Context, place string) (*store.Store, error)) (*store.Store, error) {
	if c.StoreDSNFile == "" {
		s, err := file(ctx, c.Store)
		if err != nil {
			return nil, fmt.Errorf("the database cannot be opened: %w", err)
		}
		return s, nil
	}
	dsn, err := readSecret("DSN", c.StoreDSNFile)
	if err != nil {
		return nil, err
	}
	s, err := server(ctx, dsn)
	if errors.Is(err, store.ErrUnavailable) {
		return nil, &hintedError{fmt.Errorf("the database cannot be opened: %w", err), "the DSN is in " + c.StoreDSNFile + "; 'psql' with the same DSN tells more"}
	}
	if err != nil {
		return nil, fmt.Errorf("the database cannot be opened, whose DSN is in %s: %w", c.StoreDSNFile, err)
	}
	return s, nil
}

// elsewhere adds what to do about a database of another account or region.
func elsewhere(err error) error {
	if errors.Is(err, store.ErrElsewhere) {
		return &hintedError{err, "set 'account' and 'region' to what they were at the first start: they stand in every ARN; another account or region needs a database of its own"}
	}
	return err
}

// instance is the name of this daemon. No two daemons have one audit log, which
// is locked.
func (c *Config) instance() (string, error) {
	if c.Instance != "" {
		return c.Instance, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("the name of this machine: %w: set 'instance'", err)
	}
	return host + ":" + c.Audit.Path, nil
}

const defaultStaleLimit = 5 * time.Minute

// staleLimit is that of PostgreSQL; a file that cannot be read any more is no
// passing trouble.
func (c *Config) staleLimit() time.Duration {
	switch {
	case c.StoreDSNFile == "":
		return 0
	case c.StoreStaleLimit == nil:
		return defaultStaleLimit
	}
	return *c.StoreStaleLimit
}

// folder is where the state of a quickstart stands.
func (c *Config) folder() string { return filepath.Dir(cmp.Or(c.Store, c.SealKeyFile)) }

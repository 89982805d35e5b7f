package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// ErrElsewhere: the database is that of another account or home region.
var ErrElsewhere = errors.New("the database belongs to another account or region")

// settled are the names of what the first start sets for good.
const (
	settledAccount = "account"
	settledRegion  = "region"
)

// BelongsTo is nil when the database is that of an account and a home region, which
// stand in every ARN, or says of neither. ErrElsewhere otherwise, with both values.
func (s *Store) BelongsTo(ctx context.Context, account, region string) error {
	_, err := s.belongs(ctx, account, region)
	return err
}

// Settle notes the account and the home region for good, at the first start. A
// database that has them keeps them: ErrElsewhere when they are others.
func (s *Store) Settle(ctx context.Context, account, region string) error {
	if all, err := s.belongs(ctx, account, region); all || err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		if _, err := tx.ExecContext(ctx, "INSERT INTO settings (name, value) VALUES (?, ?), (?, ?) ON CONFLICT (name) DO NOTHING",
			settledAccount, account, settledRegion, region); err != nil {
			return nil, err
		}
		_, err := sameSettings(ctx, tx, account, region) // another process may have been first
		return func(*memory) {}, err
	})
}

func (s *Store) belongs(ctx context.Context, account, region string) (all bool, err error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()
	ctx, cancel := s.database.bound(ctx, followTimeout)
	defer cancel()
	tx, _, err := s.database.snapshot(ctx, unknown)
	if err == nil {
		defer tx.Rollback()
		all, err = sameSettings(ctx, tx, account, region)
	}
	if err != nil && !errors.Is(err, ErrElsewhere) {
		err = s.database.typed(err)
	}
	if err != nil {
		return false, fmt.Errorf("store: %w", err)
	}
	return all, nil
}

// sameSettings compares with what the database has; all says that it has everything.
func sameSettings(ctx context.Context, tx *sql.Tx, account, region string) (all bool, err error) {
	all = true
	for _, one := range []struct{ name, value string }{{settledAccount, account}, {settledRegion, region}} {
		var have string
		switch err := tx.QueryRowContext(ctx, "SELECT value FROM settings WHERE name = ?", one.name).Scan(&have); {
		case errors.Is(err, sql.ErrNoRows):
			all = false
		case err != nil:
			return false, err
		case have != one.value:
			return false, fmt.Errorf("%w: its %s is %s, and the configuration says %s", ErrElsewhere, one.name, have, one.value)
		}
	}
	return all, nil
}

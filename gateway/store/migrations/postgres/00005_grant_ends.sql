-- +goose Up

-- A grant may end by itself; explained in the migration of SQLite.
ALTER TABLE grants ADD COLUMN expires_at BIGINT;
ALTER TABLE grants ADD COLUMN uses       BIGINT CHECK (uses > 0);
ALTER TABLE grants ADD COLUMN uses_left  BIGINT CHECK (uses_left BETWEEN 0 AND uses);
ALTER TABLE grants ADD COLUMN used_at    BIGINT;

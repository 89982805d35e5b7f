-- +goose Up

-- A grant may end by itself: at expires_at, or after its uses. Both NULL: it does not. uses_left counts down
-- before each use; used_at is the last one.
ALTER TABLE grants ADD COLUMN expires_at INTEGER;
ALTER TABLE grants ADD COLUMN uses       INTEGER CHECK (uses > 0);
ALTER TABLE grants ADD COLUMN uses_left  INTEGER CHECK (uses_left BETWEEN 0 AND uses);
ALTER TABLE grants ADD COLUMN used_at    INTEGER;

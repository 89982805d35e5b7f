-- +goose Up

-- The process that makes the first object of a key, or destroys those of a deleted one, and since when.
ALTER TABLE lines ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE lines ADD COLUMN owned_at INTEGER;

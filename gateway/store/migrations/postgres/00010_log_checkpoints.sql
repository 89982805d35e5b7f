-- +goose Up

-- The last checkpoint of each audit log; explained in the migration of SQLite. No change of them is noted, since memory
-- has none.
CREATE TABLE log_checkpoints (
    origin       TEXT COLLATE "C" NOT NULL PRIMARY KEY CHECK (origin <> ''),
    size         BIGINT NOT NULL CHECK (size >= 1),
    root         BYTEA  NOT NULL CHECK (length(root) = 32),
    published_at BIGINT NOT NULL
);

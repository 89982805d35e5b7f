-- +goose Up

-- The last checkpoint of each audit log that is known here to have been signed: size and root hash of its tree, and when
-- it was published. It only grows, so that a log which is put back from an older copy is found.
CREATE TABLE log_checkpoints (
    origin       TEXT    NOT NULL PRIMARY KEY CHECK (origin <> ''),
    size         INTEGER NOT NULL CHECK (size >= 1),
    root         BLOB    NOT NULL CHECK (length(root) = 32),
    published_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

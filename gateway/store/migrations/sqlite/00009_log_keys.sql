-- +goose Up

-- The keys that sign the checkpoints of audit logs. Of a log, the one with the highest number signs, unless
-- it is retired; the others are listed, so that what they signed can be checked. id is object_id in hex.
CREATE TABLE log_keys (
    id         TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    instance   TEXT    NOT NULL CHECK (instance <> ''),
    number     INTEGER NOT NULL CHECK (number >= 1),
    origin     TEXT    NOT NULL CHECK (origin <> ''),
    spec       TEXT    NOT NULL,
    object_id  BLOB    NOT NULL CHECK (length(object_id) > 0),
    public_key BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    retired_at INTEGER,
    UNIQUE (origin, number)
) STRICT, WITHOUT ROWID;

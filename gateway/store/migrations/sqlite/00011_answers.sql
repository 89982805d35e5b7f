-- +goose Up

-- The answers to signatures that were asked for with an idempotency key, so that a repeat is given the same one.
-- request is the SHA-256 of what was asked for. instance is the process that made it, after the last record of its log
-- then, and record the receipt of the record that vouches for it: '' until it is known to be durable.
CREATE TABLE answers (
    principal       TEXT    NOT NULL CHECK (principal <> ''),
    key_arn         TEXT    NOT NULL CHECK (key_arn <> ''),
    idempotency_key TEXT    NOT NULL CHECK (idempotency_key <> ''),
    request         BLOB    NOT NULL CHECK (length(request) = 32),
    signature       BLOB    NOT NULL,
    version         INTEGER NOT NULL,
    instance        TEXT    NOT NULL,
    after           INTEGER NOT NULL,
    record          TEXT    NOT NULL DEFAULT '',
    created_at      INTEGER NOT NULL,
    PRIMARY KEY (principal, key_arn, idempotency_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX answers_by_age ON answers (created_at);

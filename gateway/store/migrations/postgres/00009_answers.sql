-- +goose Up

-- The answers to signatures that were asked for with an idempotency key; explained in the migration of SQLite. No change
-- of them is noted, since memory has none.
CREATE TABLE answers (
    principal       TEXT COLLATE "C" NOT NULL CHECK (principal <> ''),
    key_arn         TEXT COLLATE "C" NOT NULL CHECK (key_arn <> ''),
    idempotency_key TEXT COLLATE "C" NOT NULL CHECK (idempotency_key <> ''),
    request         BYTEA  NOT NULL CHECK (length(request) = 32),
    signature       BYTEA  NOT NULL,
    version         BIGINT NOT NULL,
    instance        TEXT COLLATE "C" NOT NULL,
    after           BIGINT NOT NULL,
    record          TEXT COLLATE "C" NOT NULL DEFAULT '',
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (principal, key_arn, idempotency_key)
);
CREATE INDEX answers_by_age ON answers (created_at);

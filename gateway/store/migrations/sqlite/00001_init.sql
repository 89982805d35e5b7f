-- +goose Up

-- Times are microseconds since 1970, UTC; NULL is "never" or "not yet".

-- A row is never removed: a Deleted key keeps its id from being used again.
CREATE TABLE keys (
    id           TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    spec         TEXT    NOT NULL,
    usage        TEXT    NOT NULL,
    description  TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('Creating', 'Enabled', 'Disabled', 'PendingDeletion', 'Deleted')),
    created_at   INTEGER NOT NULL,
    deletion_at  INTEGER CHECK ((deletion_at IS NOT NULL) = (state = 'PendingDeletion')),
    destroyed_at INTEGER CHECK (destroyed_at IS NULL OR state = 'Deleted')
) STRICT, WITHOUT ROWID;

-- object_id is the CKA_ID of the token object. public_key is NULL until the
-- token has made the pair.
CREATE TABLE versions (
    key_id     TEXT    NOT NULL REFERENCES keys (id) ON DELETE CASCADE,
    number     INTEGER NOT NULL CHECK (number >= 1),
    object_id  BLOB    NOT NULL UNIQUE CHECK (length(object_id) > 0),
    public_key BLOB,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (key_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE aliases (
    name       TEXT    NOT NULL PRIMARY KEY CHECK (name LIKE 'alias/_%'),
    key_id     TEXT    NOT NULL REFERENCES keys (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX aliases_key ON aliases (key_id);

CREATE TABLE principals (
    arn        TEXT    NOT NULL PRIMARY KEY CHECK (arn <> ''),
    name       TEXT    NOT NULL UNIQUE CHECK (name <> ''),
    role       TEXT    NOT NULL CHECK (role <> ''),
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE principal_keys (
    principal_arn TEXT NOT NULL REFERENCES principals (arn) ON DELETE CASCADE,
    key_id        TEXT NOT NULL REFERENCES keys (id) ON DELETE CASCADE,
    PRIMARY KEY (principal_arn, key_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX principal_keys_key ON principal_keys (key_id);

-- hash is the SHA-256 of the token's secret; the secret itself is not kept.
CREATE TABLE bearers (
    id            TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    hash          BLOB    NOT NULL CHECK (length(hash) = 32),
    principal_arn TEXT    NOT NULL REFERENCES principals (arn) ON DELETE CASCADE,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX bearers_principal ON bearers (principal_arn);

-- sealed_secret can be opened with the seal key alone, which is not in this
-- database.
CREATE TABLE access_keys (
    id            TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    sealed_secret BLOB    NOT NULL CHECK (length(sealed_secret) > 0),
    principal_arn TEXT    NOT NULL REFERENCES principals (arn) ON DELETE CASCADE,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER,
    disabled      INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE INDEX access_keys_principal ON access_keys (principal_arn);

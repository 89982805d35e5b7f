-- +goose Up

-- A line is what a key is in every region that has it: what it can do, where its
-- material is, how it rotates. A row is never removed: its id is never used again.
CREATE TABLE lines (
    id               TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    spec             TEXT    NOT NULL,
    usage            TEXT    NOT NULL,
    origin           TEXT    NOT NULL,
    token            TEXT    NOT NULL,
    multi_region     INTEGER NOT NULL CHECK (multi_region IN (0, 1)),
    primary_region   TEXT    NOT NULL,
    rotation_days    INTEGER NOT NULL CHECK (rotation_days >= 0),
    next_rotation_at INTEGER,
    destroyed_at     INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO lines (id, spec, usage, origin, token, multi_region, primary_region, rotation_days, destroyed_at)
    SELECT id, spec, usage, 'AWS_KMS', '', 0, '', 0, destroyed_at FROM keys;

-- region '' stands for the home region until the store is opened, which knows its name.
CREATE TABLE regional_keys (
    region       TEXT    NOT NULL,
    id           TEXT    NOT NULL REFERENCES lines (id),
    description  TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('Creating', 'Enabled', 'Disabled', 'PendingDeletion', 'PendingReplicaDeletion', 'PendingImport', 'Deleted')),
    created_at   INTEGER NOT NULL,
    deletion_at  INTEGER CHECK ((deletion_at IS NOT NULL) = (state = 'PendingDeletion')),
    pending_days INTEGER NOT NULL CHECK (pending_days >= 0),
    PRIMARY KEY (region, id)
) STRICT, WITHOUT ROWID;
INSERT INTO regional_keys (region, id, description, state, created_at, deletion_at, pending_days)
    SELECT '', id, description, state, created_at, deletion_at, 0 FROM keys;

CREATE TABLE tags (
    region TEXT NOT NULL,
    key_id TEXT NOT NULL,
    name   TEXT NOT NULL CHECK (name <> ''),
    value  TEXT NOT NULL,
    PRIMARY KEY (region, key_id, name),
    FOREIGN KEY (region, key_id) REFERENCES regional_keys (region, id) ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;

-- object_id is the CKA_ID of the token object; NULL: imported material that was deleted or has expired. public_key is that of a
-- pair, check_value what a secret key is known by. current_at is when the version begins to be the one that is used; NULL: not yet known.
CREATE TABLE line_versions (
    key_id      TEXT    NOT NULL REFERENCES lines (id),
    number      INTEGER NOT NULL CHECK (number >= 1),
    object_id   BLOB    UNIQUE CHECK (length(object_id) > 0),
    public_key  BLOB,
    check_value BLOB,
    created_at  INTEGER NOT NULL,
    current_at  INTEGER,
    rotation    TEXT    NOT NULL,
    material_id TEXT    NOT NULL,
    description TEXT    NOT NULL,
    expires_at  INTEGER,
    uses        INTEGER NOT NULL CHECK (uses >= 0),
    PRIMARY KEY (key_id, number)
) STRICT, WITHOUT ROWID;
INSERT INTO line_versions (key_id, number, object_id, public_key, created_at, current_at, rotation, material_id, description, uses)
    SELECT key_id, number, object_id, public_key, created_at, created_at, '', '', '', 0 FROM versions;

-- Token objects that are being made or are to be destroyed. number claims the next version of a key for one process.
CREATE TABLE pending_objects (
    object_id BLOB    NOT NULL PRIMARY KEY CHECK (length(object_id) > 0),
    token     TEXT    NOT NULL,
    key_id    TEXT    NOT NULL,
    number    INTEGER,
    owner     TEXT    NOT NULL,
    since     INTEGER NOT NULL,
    doomed    INTEGER NOT NULL CHECK (doomed IN (0, 1)),
    UNIQUE (key_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE regional_aliases (
    region     TEXT    NOT NULL,
    name       TEXT    NOT NULL CHECK (name LIKE 'alias/_%'),
    key_id     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (region, name),
    FOREIGN KEY (region, key_id) REFERENCES regional_keys (region, id) ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
INSERT INTO regional_aliases (region, name, key_id, created_at, updated_at)
    SELECT '', name, key_id, created_at, updated_at FROM aliases;

CREATE TABLE new_principal_keys (
    principal_arn TEXT NOT NULL REFERENCES principals (arn) ON DELETE CASCADE,
    key_id        TEXT NOT NULL REFERENCES lines (id),
    PRIMARY KEY (principal_arn, key_id)
) STRICT, WITHOUT ROWID;
INSERT INTO new_principal_keys SELECT principal_arn, key_id FROM principal_keys;

-- The last time that a key's material was used, in each region.
CREATE TABLE last_uses (
    region     TEXT    NOT NULL,
    key_id     TEXT    NOT NULL,
    operation  TEXT    NOT NULL,
    request_id TEXT    NOT NULL,
    used_at    INTEGER NOT NULL,
    PRIMARY KEY (region, key_id),
    FOREIGN KEY (region, key_id) REFERENCES regional_keys (region, id) ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;

-- The RSA pairs under which key material is brought in, each for one key and some hours.
CREATE TABLE import_keys (
    id         TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    region     TEXT    NOT NULL,
    key_id     TEXT    NOT NULL,
    algorithm  TEXT    NOT NULL,
    spec       TEXT    NOT NULL,
    object_id  BLOB    NOT NULL UNIQUE CHECK (length(object_id) > 0),
    public_key BLOB    NOT NULL,
    expires_at INTEGER NOT NULL,
    FOREIGN KEY (region, key_id) REFERENCES regional_keys (region, id) ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;

-- Tokens that an operator has disconnected.
CREATE TABLE disconnected_tokens (
    name  TEXT    NOT NULL PRIMARY KEY CHECK (name <> ''),
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

DROP TABLE principal_keys;
DROP TABLE aliases;
DROP TABLE versions;
DROP TABLE keys;
ALTER TABLE regional_keys RENAME TO keys;
ALTER TABLE line_versions RENAME TO versions;
ALTER TABLE regional_aliases RENAME TO aliases;
ALTER TABLE new_principal_keys RENAME TO principal_keys;
CREATE INDEX keys_id ON keys (id);
CREATE INDEX aliases_key ON aliases (region, key_id);
CREATE INDEX principal_keys_key ON principal_keys (key_id);

-- +goose Up

-- The policy of a key in a region, as it was written; a key without one has AWS KMS's default policy.
CREATE TABLE key_policies (
    region   TEXT NOT NULL,
    key_id   TEXT NOT NULL,
    document TEXT NOT NULL CHECK (document <> ''),
    PRIMARY KEY (region, key_id),
    FOREIGN KEY (region, key_id) REFERENCES keys (region, id) ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;

-- operations is a JSON list of names; context_equals and context_subset are JSON objects, NULL: no such constraint.
CREATE TABLE grants (
    id             TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    region         TEXT    NOT NULL,
    key_id         TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    grantee        TEXT    NOT NULL CHECK (grantee <> ''),
    retiring       TEXT    NOT NULL,
    operations     TEXT    NOT NULL,
    context_equals TEXT,
    context_subset TEXT,
    created_at     INTEGER NOT NULL,
    FOREIGN KEY (region, key_id) REFERENCES keys (region, id) ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_key ON grants (region, key_id);
CREATE INDEX grants_grantee ON grants (grantee);

-- Identity policies, as they were written, and who has them.
CREATE TABLE policies (
    name       TEXT    NOT NULL PRIMARY KEY CHECK (name <> ''),
    document   TEXT    NOT NULL CHECK (document <> ''),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE principal_policies (
    principal_arn TEXT NOT NULL REFERENCES principals (arn) ON DELETE CASCADE,
    policy_name   TEXT NOT NULL REFERENCES policies (name),
    PRIMARY KEY (principal_arn, policy_name)
) STRICT, WITHOUT ROWID;
CREATE INDEX principal_policies_policy ON principal_policies (policy_name);

CREATE TABLE principal_tags (
    principal_arn TEXT NOT NULL REFERENCES principals (arn) ON DELETE CASCADE,
    name          TEXT NOT NULL CHECK (name <> ''),
    value         TEXT NOT NULL,
    PRIMARY KEY (principal_arn, name)
) STRICT, WITHOUT ROWID;

-- +goose Up

-- A key with a row here signs what so many of its approvers have approved. dropped_at: an operator has dropped the
-- rule on the machine; it holds until a daemon has recorded that.
CREATE TABLE approval_rules (
    key_id     TEXT    NOT NULL PRIMARY KEY REFERENCES lines (id),
    required   INTEGER NOT NULL CHECK (required >= 1),
    dropped_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE approvers (
    key_id TEXT NOT NULL REFERENCES approval_rules (key_id) ON DELETE CASCADE,
    arn    TEXT NOT NULL CHECK (arn <> ''),
    PRIMARY KEY (key_id, arn)
) STRICT, WITHOUT ROWID;

-- document is the JSON that approvers approve. votes is a JSON list of who has; used is a JSON object of how many
-- signatures were made, by the place of the digest in the document, or 0 for a window.
CREATE TABLE approvals (
    id       TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
    key_id   TEXT NOT NULL REFERENCES lines (id),
    document TEXT NOT NULL CHECK (document <> ''),
    votes    TEXT NOT NULL,
    used     TEXT NOT NULL,
    ended    TEXT NOT NULL CHECK (ended IN ('', 'REJECTED', 'CANCELLED', 'APPLIED')),
    ended_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX approvals_key ON approvals (key_id);

-- +goose Up

-- Who has to approve signatures; explained in the migration of SQLite.

CREATE TABLE approval_rules (
    key_id     TEXT   COLLATE "C" NOT NULL PRIMARY KEY REFERENCES lines (id),
    required   BIGINT NOT NULL CHECK (required >= 1),
    dropped_at BIGINT
);

CREATE TABLE approvers (
    key_id TEXT COLLATE "C" NOT NULL REFERENCES approval_rules (key_id) ON DELETE CASCADE,
    arn    TEXT COLLATE "C" NOT NULL CHECK (arn <> ''),
    PRIMARY KEY (key_id, arn)
);

CREATE TABLE approvals (
    id       TEXT COLLATE "C" NOT NULL PRIMARY KEY CHECK (id <> ''),
    key_id   TEXT COLLATE "C" NOT NULL REFERENCES lines (id),
    document TEXT COLLATE "C" NOT NULL CHECK (document <> ''),
    votes    TEXT COLLATE "C" NOT NULL,
    used     TEXT COLLATE "C" NOT NULL,
    ended    TEXT COLLATE "C" NOT NULL CHECK (ended IN ('', 'REJECTED', 'CANCELLED', 'APPLIED')),
    ended_by TEXT COLLATE "C" NOT NULL
);
CREATE INDEX approvals_key ON approvals (key_id);

CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON approval_rules FOR EACH ROW EXECUTE FUNCTION note_change('key', '', 'key_id');
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON approvers FOR EACH ROW EXECUTE FUNCTION note_change('key', '', 'key_id');
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON approvals FOR EACH ROW EXECUTE FUNCTION note_change('approval', 'key_id', 'id');

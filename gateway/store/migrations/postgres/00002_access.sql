-- +goose Up

-- Who may do what; explained in the migration of SQLite.

CREATE TABLE key_policies (
    region   TEXT COLLATE "C" NOT NULL,
    key_id   TEXT COLLATE "C" NOT NULL,
    document TEXT COLLATE "C" NOT NULL CHECK (document <> ''),
    PRIMARY KEY (region, key_id),
    FOREIGN KEY (region, key_id) REFERENCES keys (region, id)
);
CREATE INDEX key_policies_key ON key_policies (key_id);

CREATE TABLE grants (
    id             TEXT   COLLATE "C" NOT NULL PRIMARY KEY CHECK (id <> ''),
    region         TEXT   COLLATE "C" NOT NULL,
    key_id         TEXT   COLLATE "C" NOT NULL,
    name           TEXT   COLLATE "C" NOT NULL,
    grantee        TEXT   COLLATE "C" NOT NULL CHECK (grantee <> ''),
    retiring       TEXT   COLLATE "C" NOT NULL,
    operations     TEXT   COLLATE "C" NOT NULL,
    context_equals TEXT   COLLATE "C",
    context_subset TEXT   COLLATE "C",
    created_at     BIGINT NOT NULL,
    FOREIGN KEY (region, key_id) REFERENCES keys (region, id)
);
CREATE INDEX grants_key ON grants (region, key_id);
CREATE INDEX grants_grantee ON grants (grantee);

CREATE TABLE policies (
    name       TEXT   COLLATE "C" NOT NULL PRIMARY KEY CHECK (name <> ''),
    document   TEXT   COLLATE "C" NOT NULL CHECK (document <> ''),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE principal_policies (
    principal_arn TEXT COLLATE "C" NOT NULL REFERENCES principals (arn) ON DELETE CASCADE,
    policy_name   TEXT COLLATE "C" NOT NULL REFERENCES policies (name),
    PRIMARY KEY (principal_arn, policy_name)
);
CREATE INDEX principal_policies_policy ON principal_policies (policy_name);

CREATE TABLE principal_tags (
    principal_arn TEXT COLLATE "C" NOT NULL REFERENCES principals (arn) ON DELETE CASCADE,
    name          TEXT COLLATE "C" NOT NULL CHECK (name <> ''),
    value         TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (principal_arn, name)
);

CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON key_policies FOR EACH ROW EXECUTE FUNCTION note_change('key', '', 'key_id');
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON grants FOR EACH ROW EXECUTE FUNCTION note_change('grant', '', 'id');
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON policies FOR EACH ROW EXECUTE FUNCTION note_change('policy', '', 'name');
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON principal_policies FOR EACH ROW EXECUTE FUNCTION note_change('principal', '', 'principal_arn');
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON principal_tags FOR EACH ROW EXECUTE FUNCTION note_change('principal', '', 'principal_arn');

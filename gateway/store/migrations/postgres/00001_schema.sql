-- +goose Up

-- The tables are those of SQLite, where they are explained. Times are microseconds since 1970, UTC; NULL is never
-- or not yet. Text sorts by its bytes.

CREATE TABLE lines (
    id               TEXT    COLLATE "C" NOT NULL PRIMARY KEY CHECK (id <> ''),
    spec             TEXT    COLLATE "C" NOT NULL,
    usage            TEXT    COLLATE "C" NOT NULL,
    origin           TEXT    COLLATE "C" NOT NULL,
    token            TEXT    COLLATE "C" NOT NULL,
    multi_region     INTEGER NOT NULL CHECK (multi_region IN (0, 1)),
    primary_region   TEXT    COLLATE "C" NOT NULL,
    rotation_days    BIGINT  NOT NULL CHECK (rotation_days >= 0),
    next_rotation_at BIGINT,
    destroyed_at     BIGINT,
    owner            TEXT    COLLATE "C" NOT NULL,
    owned_at         BIGINT
);

CREATE TABLE keys (
    region       TEXT   COLLATE "C" NOT NULL,
    id           TEXT   COLLATE "C" NOT NULL REFERENCES lines (id),
    description  TEXT   COLLATE "C" NOT NULL,
    state        TEXT   COLLATE "C" NOT NULL CHECK (state IN ('Creating', 'Enabled', 'Disabled', 'PendingDeletion', 'PendingReplicaDeletion', 'PendingImport', 'Deleted')),
    created_at   BIGINT NOT NULL,
    deletion_at  BIGINT CHECK ((deletion_at IS NOT NULL) = (state = 'PendingDeletion')),
    pending_days BIGINT NOT NULL CHECK (pending_days >= 0),
    PRIMARY KEY (region, id)
);
CREATE INDEX keys_id ON keys (id);

CREATE TABLE tags (
    region TEXT COLLATE "C" NOT NULL,
    key_id TEXT COLLATE "C" NOT NULL,
    name   TEXT COLLATE "C" NOT NULL CHECK (name <> ''),
    value  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (region, key_id, name),
    FOREIGN KEY (region, key_id) REFERENCES keys (region, id)
);
CREATE INDEX tags_key ON tags (key_id);

CREATE TABLE versions (
    key_id      TEXT   COLLATE "C" NOT NULL REFERENCES lines (id),
    number      BIGINT NOT NULL CHECK (number >= 1),
    object_id   BYTEA  UNIQUE CHECK (length(object_id) > 0),
    public_key  BYTEA,
    check_value BYTEA,
    created_at  BIGINT NOT NULL,
    current_at  BIGINT,
    rotation    TEXT   COLLATE "C" NOT NULL,
    material_id TEXT   COLLATE "C" NOT NULL,
    description TEXT   COLLATE "C" NOT NULL,
    expires_at  BIGINT,
    uses        BIGINT NOT NULL CHECK (uses >= 0),
    PRIMARY KEY (key_id, number)
);

CREATE TABLE pending_objects (
    object_id BYTEA   NOT NULL PRIMARY KEY CHECK (length(object_id) > 0),
    token     TEXT    COLLATE "C" NOT NULL,
    key_id    TEXT    COLLATE "C" NOT NULL,
    number    BIGINT,
    owner     TEXT    COLLATE "C" NOT NULL,
    since     BIGINT  NOT NULL,
    doomed    INTEGER NOT NULL CHECK (doomed IN (0, 1)),
    UNIQUE (key_id, number)
);

CREATE TABLE aliases (
    region     TEXT   COLLATE "C" NOT NULL,
    name       TEXT   COLLATE "C" NOT NULL CHECK (name LIKE 'alias/_%'),
    key_id     TEXT   COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (region, name),
    FOREIGN KEY (region, key_id) REFERENCES keys (region, id)
);
CREATE INDEX aliases_key ON aliases (region, key_id);

CREATE TABLE last_uses (
    region     TEXT   COLLATE "C" NOT NULL,
    key_id     TEXT   COLLATE "C" NOT NULL,
    operation  TEXT   COLLATE "C" NOT NULL,
    request_id TEXT   COLLATE "C" NOT NULL,
    used_at    BIGINT NOT NULL,
    PRIMARY KEY (region, key_id),
    FOREIGN KEY (region, key_id) REFERENCES keys (region, id)
);

CREATE TABLE import_keys (
    id         TEXT   COLLATE "C" NOT NULL PRIMARY KEY CHECK (id <> ''),
    region     TEXT   COLLATE "C" NOT NULL,
    key_id     TEXT   COLLATE "C" NOT NULL,
    algorithm  TEXT   COLLATE "C" NOT NULL,
    spec       TEXT   COLLATE "C" NOT NULL,
    object_id  BYTEA  NOT NULL UNIQUE CHECK (length(object_id) > 0),
    public_key BYTEA  NOT NULL,
    expires_at BIGINT NOT NULL,
    FOREIGN KEY (region, key_id) REFERENCES keys (region, id)
);

CREATE TABLE disconnected_tokens (
    name  TEXT   COLLATE "C" NOT NULL PRIMARY KEY CHECK (name <> ''),
    since BIGINT NOT NULL
);

CREATE TABLE principals (
    arn        TEXT   COLLATE "C" NOT NULL PRIMARY KEY CHECK (arn <> ''),
    name       TEXT   COLLATE "C" NOT NULL UNIQUE CHECK (name <> ''),
    role       TEXT   COLLATE "C" NOT NULL CHECK (role <> ''),
    created_at BIGINT NOT NULL
);

CREATE TABLE principal_keys (
    principal_arn TEXT COLLATE "C" NOT NULL REFERENCES principals (arn) ON DELETE CASCADE,
    key_id        TEXT COLLATE "C" NOT NULL REFERENCES lines (id),
    PRIMARY KEY (principal_arn, key_id)
);
CREATE INDEX principal_keys_key ON principal_keys (key_id);

CREATE TABLE bearers (
    id            TEXT   COLLATE "C" NOT NULL PRIMARY KEY CHECK (id <> ''),
    hash          BYTEA  NOT NULL CHECK (length(hash) = 32),
    principal_arn TEXT   COLLATE "C" NOT NULL REFERENCES principals (arn) ON DELETE CASCADE,
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT
);
CREATE INDEX bearers_principal ON bearers (principal_arn);

CREATE TABLE access_keys (
    id            TEXT    COLLATE "C" NOT NULL PRIMARY KEY CHECK (id <> ''),
    sealed_secret BYTEA   NOT NULL CHECK (length(sealed_secret) > 0),
    principal_arn TEXT    COLLATE "C" NOT NULL REFERENCES principals (arn) ON DELETE CASCADE,
    created_at    BIGINT  NOT NULL,
    expires_at    BIGINT,
    disabled      INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1))
);
CREATE INDEX access_keys_principal ON access_keys (principal_arn);

-- One row, which each write counts up first: so writes come one after the other, each after it has seen the one
-- before. A nonce is that of one revision in one history of the server; previous is the one before.
CREATE TABLE revision (
    only_row BOOLEAN NOT NULL PRIMARY KEY DEFAULT true CHECK (only_row),
    number   BIGINT  NOT NULL,
    nonce    TEXT    COLLATE "C" NOT NULL,
    previous TEXT    COLLATE "C" NOT NULL
);
INSERT INTO revision (number, nonce, previous) VALUES (0, gen_random_uuid(), '');

-- What each of the last writes wrote, for other processes to read again. kind is a name of the program's, or 'revision'
-- for the nonce of a revision: where there is one, all that came after it is there.
CREATE TABLE changes (
    revision BIGINT NOT NULL,
    kind     TEXT   COLLATE "C" NOT NULL,
    region   TEXT   COLLATE "C" NOT NULL,
    id       TEXT   COLLATE "C" NOT NULL,
    PRIMARY KEY (revision, kind, region, id)
);

-- +goose StatementBegin
CREATE FUNCTION next_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.previous := OLD.nonce;
    NEW.nonce := gen_random_uuid();
    INSERT INTO changes (revision, kind, region, id) VALUES (NEW.number, 'revision', '', NEW.nonce);
    IF NEW.number % 1000 = 0 THEN
        DELETE FROM changes WHERE revision <= NEW.number - 10000;
    END IF;
    PERFORM pg_notify('hsmgate', current_setting('application_name'));
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER next_revision BEFORE UPDATE ON revision FOR EACH ROW EXECUTE FUNCTION next_revision();

-- Arguments: the kind, the column of the region or '', the column of the id.
-- +goose StatementBegin
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql SET bytea_output = 'hex' AS $$
DECLARE
    v jsonb;
BEGIN
    IF TG_OP = 'DELETE' THEN
        v := to_jsonb(OLD);
    ELSE
        v := to_jsonb(NEW);
    END IF;
    INSERT INTO changes (revision, kind, region, id)
        SELECT number, TG_ARGV[0], coalesce(v ->> TG_ARGV[1], ''), v ->> TG_ARGV[2] FROM revision
        ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON lines FOR EACH ROW EXECUTE FUNCTION note_change('key', '', 'id');
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON keys FOR EACH ROW EXECUTE FUNCTION note_change('key', '', 'id');
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON tags FOR EACH ROW EXECUTE FUNCTION note_change('key', '', 'key_id');
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON versions FOR EACH ROW EXECUTE FUNCTION note_change('key', '', 'key_id');
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON pending_objects FOR EACH ROW EXECUTE FUNCTION note_change('pending', '', 'object_id');
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON aliases FOR EACH ROW EXECUTE FUNCTION note_change('alias', 'region', 'name');
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON last_uses FOR EACH ROW EXECUTE FUNCTION note_change('use', 'region', 'key_id');
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON import_keys FOR EACH ROW EXECUTE FUNCTION note_change('import', '', 'id');
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON disconnected_tokens FOR EACH ROW EXECUTE FUNCTION note_change('disconnected', '', 'name');
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON principals FOR EACH ROW EXECUTE FUNCTION note_change('principal', '', 'arn');
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON principal_keys FOR EACH ROW EXECUTE FUNCTION note_change('principal', '', 'principal_arn');
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON bearers FOR EACH ROW EXECUTE FUNCTION note_change('bearer', '', 'id');
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON access_keys FOR EACH ROW EXECUTE FUNCTION note_change('access_key', '', 'id');

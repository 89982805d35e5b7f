-- +goose Up

-- The keys that sign the checkpoints of audit logs; explained in the migration of SQLite.
CREATE TABLE log_keys (
    id         TEXT   COLLATE "C" NOT NULL PRIMARY KEY CHECK (id <> ''),
    instance   TEXT   COLLATE "C" NOT NULL CHECK (instance <> ''),
    number     BIGINT NOT NULL CHECK (number >= 1),
    origin     TEXT   COLLATE "C" NOT NULL CHECK (origin <> ''),
    spec       TEXT   COLLATE "C" NOT NULL,
    object_id  BYTEA  NOT NULL CHECK (length(object_id) > 0),
    public_key BYTEA  NOT NULL,
    created_at BIGINT NOT NULL,
    retired_at BIGINT,
    UNIQUE (origin, number)
);

CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON log_keys FOR EACH ROW EXECUTE FUNCTION note_change('log_key', '', 'id');

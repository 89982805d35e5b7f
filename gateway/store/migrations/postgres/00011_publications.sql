-- +goose Up

-- Keys that anybody may read; explained in the migration of SQLite.
CREATE TABLE publications (
    key_id       TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES lines (id),
    name         TEXT COLLATE "C" NOT NULL UNIQUE CHECK (name <> ''),
    principal    TEXT COLLATE "C" NOT NULL,
    user_id      TEXT COLLATE "C" NOT NULL,
    certificates TEXT COLLATE "C" NOT NULL,
    published_at BIGINT NOT NULL
);

CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON publications FOR EACH ROW EXECUTE FUNCTION note_change('key', '', 'key_id');

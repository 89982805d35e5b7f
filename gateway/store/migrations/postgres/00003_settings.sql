-- +goose Up

-- What the first start set for good; explained in the migration of SQLite. No change of it is noted, since memory has none of it.
CREATE TABLE settings (
    name  TEXT COLLATE "C" NOT NULL PRIMARY KEY CHECK (name <> ''),
    value TEXT COLLATE "C" NOT NULL
);

-- +goose Up

-- A key with a row here has public keys that anybody may read, under a name. certificates is a JSON object of OpenPGP
-- certificates by the number of the version, in base64.
CREATE TABLE publications (
    key_id       TEXT    NOT NULL PRIMARY KEY REFERENCES lines (id),
    name         TEXT    NOT NULL UNIQUE CHECK (name <> ''),
    principal    TEXT    NOT NULL,
    user_id      TEXT    NOT NULL,
    certificates TEXT    NOT NULL,
    published_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

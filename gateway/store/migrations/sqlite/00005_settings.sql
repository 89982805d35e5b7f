-- +goose Up

-- What the first start set for good: 'account' and 'region', which stand in every ARN.
CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY CHECK (name <> ''),
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Up

-- From when the sessions of a role count; explained in the migration of SQLite.
ALTER TABLE principals ADD COLUMN sessions_since BIGINT;

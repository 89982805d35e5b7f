-- +goose Up

-- The record of the call, for who has to record it after a crash; explained in the migration of SQLite.
ALTER TABLE answers ADD COLUMN call BYTEA NOT NULL DEFAULT '';
CREATE INDEX answers_unrecorded ON answers (created_at) WHERE record = '';

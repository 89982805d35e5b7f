-- +goose Up

-- The record of the call, sealed, for who has to record it after a crash; empty once it is recorded, and of an answer of before.
ALTER TABLE answers ADD COLUMN call BLOB NOT NULL DEFAULT x'';
CREATE INDEX answers_unrecorded ON answers (created_at) WHERE record = '';

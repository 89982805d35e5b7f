-- +goose Up

-- The record of the call, as JSON without place, time and outcome, for who has to record it after a crash; '' of an answer of before.
ALTER TABLE answers ADD COLUMN call TEXT NOT NULL DEFAULT '';

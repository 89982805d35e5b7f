-- +goose Up

-- Roles are principals that workloads assume. Sessions are kept nowhere: one is good while its role has the
-- sessions_since that it was made under. NULL: that is created_at, so that the next role of a name has none of them.
ALTER TABLE principals ADD COLUMN sessions_since INTEGER;

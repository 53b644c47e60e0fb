-- How many wrong codes were tried at an authenticator since the last right one, and when it was stopped for it.

-- +goose Up
ALTER TABLE totps ADD COLUMN wrong integer NOT NULL DEFAULT 0;
ALTER TABLE totps ADD COLUMN stopped_at integer;

-- +goose Down
ALTER TABLE totps DROP COLUMN stopped_at;
ALTER TABLE totps DROP COLUMN wrong;

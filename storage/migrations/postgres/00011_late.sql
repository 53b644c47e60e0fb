-- Sessions that just ended: something may have been issued in them in the same moment, and whoever ended them did not see it.

-- +goose Up
ALTER TABLE sessions ADD COLUMN settles_at bigint;

-- +goose Down
ALTER TABLE sessions DROP COLUMN settles_at;

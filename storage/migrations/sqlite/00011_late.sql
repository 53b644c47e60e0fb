-- Sessions that just ended: something may have been issued in them in the same moment, and whoever ended them did not see it.

-- +goose Up
ALTER TABLE sessions ADD COLUMN settles_at integer;
CREATE INDEX sessions_settles ON sessions (settles_at) WHERE settles_at IS NOT NULL;

-- +goose Down
DROP INDEX sessions_settles;
ALTER TABLE sessions DROP COLUMN settles_at;

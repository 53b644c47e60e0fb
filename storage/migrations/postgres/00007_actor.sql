-- Which client or person did it: an event's actor has a name.

-- +goose Up
ALTER TABLE events ADD COLUMN actor_id text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE events DROP COLUMN actor_id;

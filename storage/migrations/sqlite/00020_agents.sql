-- With what somebody signed in, in words that they understand. What was begun before says nothing.

-- +goose Up
ALTER TABLE sessions ADD COLUMN browser text NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN system text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE sessions DROP COLUMN browser;
ALTER TABLE sessions DROP COLUMN system;

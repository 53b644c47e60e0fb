-- Nothing: its number is taken by a step that is being made.

-- +goose Up
SELECT 1;

-- +goose Down
SELECT 1;

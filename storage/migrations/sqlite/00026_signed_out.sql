-- When all sessions of a person were ended last: whoever is on the way to one begins anew.

-- +goose Up
ALTER TABLE persons ADD COLUMN signed_out_at integer;

-- +goose Down
ALTER TABLE persons DROP COLUMN signed_out_at;

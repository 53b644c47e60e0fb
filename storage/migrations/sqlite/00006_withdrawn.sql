-- Withdrawn consents: the pair's row stays, with how often its access was taken away. A grant remembers how often that
-- was when it was made, so that one that was on its way meanwhile is dead.

-- +goose Up
ALTER TABLE consents ADD COLUMN withdrawals integer NOT NULL DEFAULT 0;
ALTER TABLE consents ADD COLUMN withdrawn_at integer;
ALTER TABLE grants ADD COLUMN withdrawals integer NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE grants DROP COLUMN withdrawals;
DELETE FROM consents WHERE withdrawn_at IS NOT NULL;
ALTER TABLE consents DROP COLUMN withdrawn_at;
ALTER TABLE consents DROP COLUMN withdrawals;

-- When somebody may be offered a passkey again who skipped it; NULL for who never did.

-- +goose Up
ALTER TABLE persons ADD COLUMN passkey_offer_at integer;

-- +goose Down
ALTER TABLE persons DROP COLUMN passkey_offer_at;

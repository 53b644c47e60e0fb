-- Claims that a client asks for by name (OpenID Connect Core section 5.5): on the grant that answers by them, and on the
-- consent that covers them.

-- +goose Up
ALTER TABLE grants ADD COLUMN claims text NOT NULL DEFAULT '{}';
ALTER TABLE consents ADD COLUMN claims text NOT NULL DEFAULT '[]';

-- +goose Down
ALTER TABLE consents DROP COLUMN claims;
ALTER TABLE grants DROP COLUMN claims;

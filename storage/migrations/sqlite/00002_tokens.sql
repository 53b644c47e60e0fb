-- Opaque access tokens: for resources that want to ask about every token.

-- +goose Up
CREATE TABLE access_tokens (
    hash       blob PRIMARY KEY,
    grant_id   text,
    client_id  text NOT NULL,
    claims     text NOT NULL,
    created_at integer NOT NULL,
    expires_at integer NOT NULL
) STRICT;
CREATE INDEX access_tokens_expires ON access_tokens (expires_at);

-- +goose Down
DROP TABLE access_tokens;

-- Opaque access tokens: for resources that want to ask about every token.

-- +goose Up
CREATE TABLE access_tokens (
    hash       bytea PRIMARY KEY,
    grant_id   uuid,
    client_id  text NOT NULL,
    claims     jsonb NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL
);
CREATE INDEX access_tokens_expires ON access_tokens (expires_at);

-- +goose Down
DROP TABLE access_tokens;

-- Ids that worked once, such as the jti of a client's assertion (RFC 7523 section 3).

-- +goose Up
CREATE TABLE spent_ids (
    hash       bytea PRIMARY KEY,
    expires_at bigint NOT NULL
);
CREATE INDEX spent_ids_expires ON spent_ids (expires_at);

-- +goose Down
DROP TABLE spent_ids;

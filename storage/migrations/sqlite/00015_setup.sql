-- The link by which the first operator of a house comes in. There is one at most: whatever makes another one replaces it.

-- +goose Up
CREATE TABLE setup_links (
    name        text PRIMARY KEY NOT NULL,
    secret_hash blob NOT NULL,
    created_at  integer NOT NULL,
    expires_at  integer NOT NULL
) STRICT;
CREATE INDEX setup_links_expires ON setup_links (expires_at);

-- +goose Down
DROP TABLE setup_links;

-- The link by which the first operator of a house comes in. There is one at most: whatever makes another one replaces it.

-- +goose Up
CREATE TABLE setup_links (
    name        text COLLATE "C" PRIMARY KEY,
    secret_hash bytea NOT NULL,
    created_at  bigint NOT NULL,
    expires_at  bigint NOT NULL
);
CREATE INDEX setup_links_expires ON setup_links (expires_at);

-- +goose Down
DROP TABLE setup_links;

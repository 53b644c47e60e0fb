-- "This wasn't me": proofs that wait for their person's word count for nothing meanwhile; and the links by which who was
-- told of a change says so.

-- +goose Up
ALTER TABLE totps ADD COLUMN doubted_at bigint;
ALTER TABLE passkeys ADD COLUMN doubted_at bigint;

CREATE TABLE disown_links (
    secret_hash bytea PRIMARY KEY,
    person_id   uuid NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
    address     text NOT NULL,
    kind        text NOT NULL,
    since       bigint NOT NULL,
    created_at  bigint NOT NULL,
    expires_at  bigint NOT NULL
);
CREATE INDEX disown_links_person ON disown_links (person_id);
CREATE INDEX disown_links_expires ON disown_links (expires_at);

-- +goose Down
DROP TABLE disown_links;
ALTER TABLE passkeys DROP COLUMN doubted_at;
ALTER TABLE totps DROP COLUMN doubted_at;

-- One-time codes that were sent to an address, as keyed hashes: one an interaction, to be typed in it.

-- +goose Up
CREATE TABLE sent_codes (
    interaction_id uuid PRIMARY KEY,
    person_id      uuid REFERENCES persons (id) ON DELETE CASCADE,
    kind           text NOT NULL,
    address        text NOT NULL,
    display        text NOT NULL,
    hash           bytea NOT NULL,
    tries          bigint NOT NULL,
    created_at     bigint NOT NULL,
    expires_at     bigint NOT NULL,
    used_at        bigint
);
CREATE INDEX sent_codes_person ON sent_codes (person_id);
CREATE INDEX sent_codes_expires ON sent_codes (expires_at);

-- +goose Down
DROP TABLE sent_codes;

-- One-time codes that were sent to an address, as keyed hashes: one an interaction, to be typed in it.

-- +goose Up
CREATE TABLE sent_codes (
    interaction_id text PRIMARY KEY,
    person_id      text REFERENCES persons (id) ON DELETE CASCADE,
    kind           text NOT NULL,
    address        text NOT NULL,
    display        text NOT NULL,
    hash           blob NOT NULL,
    tries          integer NOT NULL,
    created_at     integer NOT NULL,
    expires_at     integer NOT NULL,
    used_at        integer
) STRICT;
CREATE INDEX sent_codes_person ON sent_codes (person_id);
CREATE INDEX sent_codes_expires ON sent_codes (expires_at);

-- +goose Down
DROP TABLE sent_codes;

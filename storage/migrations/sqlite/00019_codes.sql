-- One-time codes: the seeds of authenticator apps, sealed, with the newest step that was spent; and recovery codes, as keyed hashes.

-- +goose Up
CREATE TABLE totps (
    id           text PRIMARY KEY,
    person_id    text NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
    name         text NOT NULL,
    seed         blob NOT NULL,
    last_step    integer NOT NULL,
    created_at   integer NOT NULL,
    confirmed_at integer,
    used_at      integer,
    expires_at   integer
) STRICT;
CREATE INDEX totps_person ON totps (person_id);
CREATE INDEX totps_expires ON totps (expires_at);

CREATE TABLE recovery_codes (
    hash       blob PRIMARY KEY,
    person_id  text NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
    created_at integer NOT NULL
) STRICT;
CREATE INDEX recovery_codes_person ON recovery_codes (person_id);

-- +goose Down
DROP TABLE recovery_codes;
DROP TABLE totps;

-- One-time codes: the seeds of authenticator apps, sealed, with the newest step that was spent; and recovery codes, as keyed hashes.

-- +goose Up
CREATE TABLE totps (
    id           uuid PRIMARY KEY,
    person_id    uuid NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
    name         text NOT NULL,
    seed         bytea NOT NULL,
    last_step    bigint NOT NULL,
    created_at   bigint NOT NULL,
    confirmed_at bigint,
    used_at      bigint,
    expires_at   bigint
);
CREATE INDEX totps_person ON totps (person_id);
CREATE INDEX totps_expires ON totps (expires_at);

CREATE TABLE recovery_codes (
    hash       bytea PRIMARY KEY,
    person_id  uuid NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
    created_at bigint NOT NULL
);
CREATE INDEX recovery_codes_person ON recovery_codes (person_id);

-- +goose Down
DROP TABLE recovery_codes;
DROP TABLE totps;

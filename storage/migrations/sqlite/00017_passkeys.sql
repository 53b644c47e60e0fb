-- Passkeys: the credential records of WebAuthn (Level 3, section 4). A credential belongs to one person, and to one relying-party id.

-- +goose Up
CREATE TABLE passkeys (
    id              text PRIMARY KEY NOT NULL,
    person_id       text NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
    credential_id   blob NOT NULL UNIQUE,
    public_key      blob NOT NULL,
    rp_id           text NOT NULL,
    aaguid          text NOT NULL,
    transports      text NOT NULL,
    name            text NOT NULL,
    sign_count      integer NOT NULL,
    backup_eligible integer NOT NULL,
    backed_up       integer NOT NULL,
    created_at      integer NOT NULL,
    used_at         integer
) STRICT;
CREATE INDEX passkeys_person ON passkeys (person_id);
CREATE INDEX passkeys_rp ON passkeys (rp_id);

-- +goose Down
DROP TABLE passkeys;

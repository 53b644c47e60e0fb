-- Passkeys: the credential records of WebAuthn (Level 3, section 4). A credential belongs to one person, and to one relying-party id.

-- +goose Up
CREATE TABLE passkeys (
    id              uuid PRIMARY KEY,
    person_id       uuid NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
    credential_id   bytea NOT NULL UNIQUE,
    public_key      bytea NOT NULL,
    rp_id           text COLLATE "C" NOT NULL,
    aaguid          text NOT NULL,
    transports      jsonb NOT NULL,
    name            text NOT NULL,
    sign_count      bigint NOT NULL,
    backup_eligible boolean NOT NULL,
    backed_up       boolean NOT NULL,
    created_at      bigint NOT NULL,
    used_at         bigint
);
CREATE INDEX passkeys_person ON passkeys (person_id);
CREATE INDEX passkeys_rp ON passkeys (rp_id);

-- +goose Down
DROP TABLE passkeys;

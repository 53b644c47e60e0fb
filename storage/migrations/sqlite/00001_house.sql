-- The first house: clients and resources, people and their sessions, grants, and what is remembered about sign-ins.
-- Times are integer microseconds since 1970 (UTC), NULL for "not set"; documents are JSON text; secrets are hashes or ciphertext.

-- +goose Up
CREATE TABLE keys (
    kid        text PRIMARY KEY,
    alg        text NOT NULL,
    public     text NOT NULL,
    sealed     blob NOT NULL,
    created_at integer NOT NULL,
    active_at  integer NOT NULL,
    retired_at integer,
    expires_at integer
) STRICT;

CREATE TABLE secrets (
    name       text PRIMARY KEY,
    sealed     blob NOT NULL,
    created_at integer NOT NULL
) STRICT;

CREATE TABLE clients (
    id            text PRIMARY KEY,
    version       integer NOT NULL,
    name          text NOT NULL,
    owner         text NOT NULL,
    registered_by text NOT NULL,
    metadata      text NOT NULL,
    secrets       text NOT NULL,
    created_at    integer NOT NULL,
    updated_at    integer NOT NULL,
    disabled_at   integer
) STRICT;

CREATE TABLE resources (
    audience    text PRIMARY KEY,
    version     integer NOT NULL,
    name        text NOT NULL,
    owner       text NOT NULL,
    scopes      text NOT NULL,
    introspects text NOT NULL,
    format      text NOT NULL,
    alg         text NOT NULL,
    lifetime    integer NOT NULL,
    created_at  integer NOT NULL,
    updated_at  integer NOT NULL
) STRICT;

CREATE TABLE persons (
    id          text PRIMARY KEY,
    sub         text NOT NULL UNIQUE,
    name        text NOT NULL,
    locale      text NOT NULL,
    claims      text NOT NULL,
    created_at  integer NOT NULL,
    updated_at  integer NOT NULL,
    disabled_at integer
) STRICT;

CREATE TABLE identifiers (
    kind        text NOT NULL,
    value       text NOT NULL,
    person_id   text NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
    display     text NOT NULL,
    verified_at integer,
    created_at  integer NOT NULL,
    PRIMARY KEY (kind, value)
) STRICT;
CREATE INDEX identifiers_person ON identifiers (person_id);

CREATE TABLE passwords (
    person_id  text PRIMARY KEY REFERENCES persons (id) ON DELETE CASCADE,
    hash       text NOT NULL,
    changed_at integer NOT NULL
) STRICT;

CREATE TABLE sessions (
    id          text PRIMARY KEY,
    secret_hash blob NOT NULL UNIQUE,
    person_id   text NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
    evidence    text NOT NULL,
    decision_id text,
    created_at  integer NOT NULL,
    seen_at     integer NOT NULL,
    expires_at  integer NOT NULL,
    ended_at    integer
) STRICT;
CREATE INDEX sessions_person ON sessions (person_id);
CREATE INDEX sessions_expires ON sessions (expires_at);

CREATE TABLE devices (
    id         text NOT NULL,
    person_id  text NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
    created_at integer NOT NULL,
    seen_at    integer NOT NULL,
    expires_at integer NOT NULL,
    PRIMARY KEY (id, person_id)
) STRICT;
CREATE INDEX devices_expires ON devices (expires_at);

CREATE TABLE interactions (
    id           text PRIMARY KEY,
    kind         text NOT NULL,
    browser_hash blob NOT NULL,
    client_id    text NOT NULL,
    request      text NOT NULL,
    progress     text NOT NULL,
    created_at   integer NOT NULL,
    expires_at   integer NOT NULL,
    spent_at     integer
) STRICT;
CREATE INDEX interactions_expires ON interactions (expires_at);

-- One row per authorization, from its code to its last refresh. No index covers a column that a refresh changes.
CREATE TABLE grants (
    id              text PRIMARY KEY,
    client_id       text NOT NULL,
    person_id       text NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
    session_id      text,
    sub             text NOT NULL,
    sid             text NOT NULL,
    scopes          text NOT NULL,
    resources       text NOT NULL,
    nonce           text NOT NULL,
    acr             text NOT NULL,
    amr             text NOT NULL,
    auth_time       integer,
    code_hash       blob,
    code_expires_at integer,
    code_used_at    integer,
    redirect_uri    text NOT NULL,
    code_challenge  text NOT NULL,
    offline         integer NOT NULL,
    refresh_hash    blob,
    refresh_gen     integer NOT NULL,
    rotated_at      integer,
    idle_expires_at integer,
    expires_at      integer NOT NULL,
    revoked_at      integer,
    revoked_why     text NOT NULL,
    created_at      integer NOT NULL
) STRICT;
CREATE UNIQUE INDEX grants_code ON grants (code_hash);
CREATE INDEX grants_person ON grants (person_id, client_id);
CREATE INDEX grants_session ON grants (session_id);
CREATE INDEX grants_expires ON grants (expires_at);

CREATE TABLE consents (
    person_id  text NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
    client_id  text NOT NULL,
    scopes     text NOT NULL,
    resources  text NOT NULL,
    created_at integer NOT NULL,
    updated_at integer NOT NULL,
    PRIMARY KEY (person_id, client_id)
) STRICT;

CREATE TABLE decisions (
    id         text PRIMARY KEY,
    person_id  text,
    client_id  text NOT NULL,
    outcome    text NOT NULL,
    rule       text NOT NULL,
    document   text NOT NULL,
    created_at integer NOT NULL
) STRICT;
CREATE INDEX decisions_created ON decisions (created_at);

CREATE TABLE histories (
    person_id  text PRIMARY KEY REFERENCES persons (id) ON DELETE CASCADE,
    document   text NOT NULL,
    updated_at integer NOT NULL
) STRICT;

CREATE TABLE revocations (
    kind       text NOT NULL,
    id         text NOT NULL,
    not_before integer NOT NULL,
    expires_at integer NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT;
CREATE INDEX revocations_expires ON revocations (expires_at);

CREATE TABLE throttles (
    key        blob PRIMARY KEY,
    due        integer NOT NULL,
    expires_at integer NOT NULL
) STRICT;
CREATE INDEX throttles_expires ON throttles (expires_at);

CREATE TABLE events (
    id         text PRIMARY KEY,
    kind       text NOT NULL,
    actor      text NOT NULL,
    person_id  text,
    client_id  text NOT NULL,
    request_id text NOT NULL,
    origin     blob,
    document   text NOT NULL,
    created_at integer NOT NULL
) STRICT;
CREATE INDEX events_created ON events (created_at);

-- +goose Down
DROP TABLE events;
DROP TABLE throttles;
DROP TABLE revocations;
DROP TABLE histories;
DROP TABLE decisions;
DROP TABLE consents;
DROP TABLE grants;
DROP TABLE interactions;
DROP TABLE devices;
DROP TABLE sessions;
DROP TABLE passwords;
DROP TABLE identifiers;
DROP TABLE persons;
DROP TABLE resources;
DROP TABLE clients;
DROP TABLE secrets;
DROP TABLE keys;

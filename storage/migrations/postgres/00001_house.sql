-- The first house: clients and resources, people and their sessions, grants, and what is remembered about sign-ins.
-- Times are microseconds since 1970 (UTC) in bigint, NULL for "not set"; documents are jsonb; secrets are hashes or ciphertext.

-- +goose Up
CREATE TABLE keys (
    kid        text PRIMARY KEY,
    alg        text NOT NULL,
    public     jsonb NOT NULL,
    sealed     bytea NOT NULL,
    created_at bigint NOT NULL,
    active_at  bigint NOT NULL,
    retired_at bigint,
    expires_at bigint
);

CREATE TABLE secrets (
    name       text PRIMARY KEY,
    sealed     bytea NOT NULL,
    created_at bigint NOT NULL
);

CREATE TABLE clients (
    id            text PRIMARY KEY,
    version       bigint NOT NULL,
    name          text NOT NULL,
    owner         text NOT NULL,
    registered_by text NOT NULL,
    metadata      jsonb NOT NULL,
    secrets       jsonb NOT NULL,
    created_at    bigint NOT NULL,
    updated_at    bigint NOT NULL,
    disabled_at   bigint
);

CREATE TABLE resources (
    audience    text PRIMARY KEY,
    version     bigint NOT NULL,
    name        text NOT NULL,
    owner       text NOT NULL,
    scopes      jsonb NOT NULL,
    introspects jsonb NOT NULL,
    format      text NOT NULL,
    alg         text NOT NULL,
    lifetime    bigint NOT NULL,
    created_at  bigint NOT NULL,
    updated_at  bigint NOT NULL
);

CREATE TABLE persons (
    id          uuid PRIMARY KEY,
    sub         text NOT NULL UNIQUE,
    name        text NOT NULL,
    locale      text NOT NULL,
    claims      jsonb NOT NULL,
    created_at  bigint NOT NULL,
    updated_at  bigint NOT NULL,
    disabled_at bigint
);

CREATE TABLE identifiers (
    kind        text NOT NULL,
    value       text NOT NULL,
    person_id   uuid NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
    display     text NOT NULL,
    verified_at bigint,
    created_at  bigint NOT NULL,
    PRIMARY KEY (kind, value)
);
CREATE INDEX identifiers_person ON identifiers (person_id);

CREATE TABLE passwords (
    person_id  uuid PRIMARY KEY REFERENCES persons (id) ON DELETE CASCADE,
    hash       text NOT NULL,
    changed_at bigint NOT NULL
);

CREATE TABLE sessions (
    id          uuid PRIMARY KEY,
    secret_hash bytea NOT NULL UNIQUE,
    person_id   uuid NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
    evidence    jsonb NOT NULL,
    decision_id uuid,
    created_at  bigint NOT NULL,
    seen_at     bigint NOT NULL,
    expires_at  bigint NOT NULL,
    ended_at    bigint
) WITH (fillfactor = 80);
CREATE INDEX sessions_person ON sessions (person_id);
CREATE INDEX sessions_expires ON sessions (expires_at);

CREATE TABLE devices (
    id         uuid NOT NULL,
    person_id  uuid NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
    created_at bigint NOT NULL,
    seen_at    bigint NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (id, person_id)
);
CREATE INDEX devices_expires ON devices (expires_at);

CREATE TABLE interactions (
    id           uuid PRIMARY KEY,
    kind         text NOT NULL,
    browser_hash bytea NOT NULL,
    client_id    text NOT NULL,
    request      jsonb NOT NULL,
    progress     jsonb NOT NULL,
    created_at   bigint NOT NULL,
    expires_at   bigint NOT NULL,
    spent_at     bigint
);
CREATE INDEX interactions_expires ON interactions (expires_at);

-- One row per authorization, from its code to its last refresh. No index covers a column that a refresh
-- changes, so that each refresh stays within its page.
CREATE TABLE grants (
    id              uuid PRIMARY KEY,
    client_id       text NOT NULL,
    person_id       uuid NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
    session_id      uuid,
    sub             text NOT NULL,
    sid             text NOT NULL,
    scopes          jsonb NOT NULL,
    resources       jsonb NOT NULL,
    nonce           text NOT NULL,
    acr             text NOT NULL,
    amr             jsonb NOT NULL,
    auth_time       bigint,
    code_hash       bytea,
    code_expires_at bigint,
    code_used_at    bigint,
    redirect_uri    text NOT NULL,
    code_challenge  text NOT NULL,
    offline         boolean NOT NULL,
    refresh_hash    bytea,
    refresh_gen     bigint NOT NULL,
    rotated_at      bigint,
    idle_expires_at bigint,
    expires_at      bigint NOT NULL,
    revoked_at      bigint,
    revoked_why     text NOT NULL,
    created_at      bigint NOT NULL
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX grants_code ON grants (code_hash);
CREATE INDEX grants_person ON grants (person_id, client_id);
CREATE INDEX grants_session ON grants (session_id);
CREATE INDEX grants_expires ON grants (expires_at);

CREATE TABLE consents (
    person_id  uuid NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
    client_id  text NOT NULL,
    scopes     jsonb NOT NULL,
    resources  jsonb NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (person_id, client_id)
);

CREATE TABLE decisions (
    id         uuid PRIMARY KEY,
    person_id  uuid,
    client_id  text NOT NULL,
    outcome    text NOT NULL,
    rule       text NOT NULL,
    document   jsonb NOT NULL,
    created_at bigint NOT NULL
);
CREATE INDEX decisions_created ON decisions (created_at);

CREATE TABLE histories (
    person_id  uuid PRIMARY KEY REFERENCES persons (id) ON DELETE CASCADE,
    document   jsonb NOT NULL,
    updated_at bigint NOT NULL
) WITH (fillfactor = 80);

CREATE TABLE revocations (
    kind       text NOT NULL,
    id         text NOT NULL,
    not_before bigint NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX revocations_expires ON revocations (expires_at);

CREATE TABLE throttles (
    key        bytea PRIMARY KEY,
    due        bigint NOT NULL,
    expires_at bigint NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX throttles_expires ON throttles (expires_at);

CREATE TABLE events (
    id         uuid PRIMARY KEY,
    kind       text NOT NULL,
    actor      text NOT NULL,
    person_id  uuid,
    client_id  text NOT NULL,
    request_id text NOT NULL,
    origin     bytea,
    document   jsonb NOT NULL,
    created_at bigint NOT NULL
);
CREATE INDEX events_created ON events (created_at);

-- +goose Down
DROP TABLE events, throttles, revocations, histories, decisions, consents, grants, interactions, devices, sessions,
    passwords, identifiers, persons, resources, clients, secrets, keys;

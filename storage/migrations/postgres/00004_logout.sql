-- Who has to be told when a session ends: every client that something was issued to in it, and what is still to be told.

-- +goose Up
CREATE TABLE session_clients (
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    client_id  text NOT NULL,
    sub        text NOT NULL,
    sid        text NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (session_id, client_id)
);

-- The sessions that live by now have their grants to tell of their clients.
INSERT INTO session_clients (session_id, client_id, sub, sid, created_at)
SELECT g.session_id, g.client_id, max(g.sub), max(g.sid), min(g.created_at)
FROM grants g JOIN sessions s ON s.id = g.session_id
WHERE s.ended_at IS NULL
GROUP BY g.session_id, g.client_id;

-- A row is gone once its client was told, or given up. It outlives its session, which may be swept meanwhile.
CREATE TABLE logout_notices (
    session_id uuid NOT NULL,
    client_id  text NOT NULL,
    sub        text NOT NULL,
    sid        text NOT NULL,
    attempts   bigint NOT NULL,
    due_at     bigint NOT NULL,
    expires_at bigint NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (session_id, client_id)
) WITH (fillfactor = 80);
CREATE INDEX logout_notices_due ON logout_notices (due_at);

-- +goose Down
DROP TABLE logout_notices, session_clients;

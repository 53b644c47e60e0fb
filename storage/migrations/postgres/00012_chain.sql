-- The chain of events: a number and a hash for each, given after its commit, signed heads of it, and the salts of people,
-- with which what is personal in their events is sealed.

-- +goose Up
ALTER TABLE events ADD COLUMN outcome text NOT NULL DEFAULT 'success';
ALTER TABLE events ADD COLUMN number bigint;
ALTER TABLE events ADD COLUMN personal bytea;
ALTER TABLE events ADD COLUMN hash bytea;

CREATE TABLE event_chains (
    name   text PRIMARY KEY,
    number bigint NOT NULL,
    hash   bytea NOT NULL,
    first  bigint NOT NULL,
    anchor text NOT NULL
) WITH (fillfactor = 50);
INSERT INTO event_chains (name, number, hash, first, anchor) VALUES ('events', 0, decode(repeat('00', 32), 'hex'), 1, '');

CREATE TABLE event_heads (
    number     bigint PRIMARY KEY,
    token      text NOT NULL,
    created_at bigint NOT NULL
);
CREATE INDEX event_heads_created ON event_heads (created_at);

CREATE TABLE person_salts (
    person_id  uuid PRIMARY KEY REFERENCES persons (id) ON DELETE CASCADE,
    salt       bytea NOT NULL,
    created_at bigint NOT NULL
);

-- +goose Down
DROP TABLE person_salts, event_heads, event_chains;
ALTER TABLE events DROP COLUMN hash;
ALTER TABLE events DROP COLUMN personal;
ALTER TABLE events DROP COLUMN number;
ALTER TABLE events DROP COLUMN outcome;

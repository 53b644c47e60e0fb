-- The chain of events: a number and a hash for each, given after its commit, signed heads of it, and the salts of people,
-- with which what is personal in their events is sealed.

-- +goose Up
ALTER TABLE events ADD COLUMN outcome text NOT NULL DEFAULT 'success';
ALTER TABLE events ADD COLUMN number integer;
ALTER TABLE events ADD COLUMN personal blob;
ALTER TABLE events ADD COLUMN hash blob;
CREATE INDEX events_unchained ON events (created_at, id) WHERE number IS NULL;
CREATE UNIQUE INDEX events_number ON events (number) WHERE number IS NOT NULL;
CREATE INDEX events_person ON events (person_id, number) WHERE number IS NOT NULL;
CREATE INDEX events_client ON events (client_id, number) WHERE number IS NOT NULL;
CREATE INDEX events_request ON events (request_id, number) WHERE number IS NOT NULL;

CREATE TABLE event_chains (
    name   text PRIMARY KEY,
    number integer NOT NULL,
    hash   blob NOT NULL,
    first  integer NOT NULL,
    anchor text NOT NULL
) STRICT;
INSERT INTO event_chains (name, number, hash, first, anchor) VALUES ('events', 0, zeroblob(32), 1, '');

CREATE TABLE event_heads (
    number     integer PRIMARY KEY,
    token      text NOT NULL,
    created_at integer NOT NULL
) STRICT;
CREATE INDEX event_heads_created ON event_heads (created_at);

CREATE TABLE person_salts (
    person_id  text PRIMARY KEY REFERENCES persons (id) ON DELETE CASCADE,
    salt       blob NOT NULL,
    created_at integer NOT NULL
) STRICT;

-- +goose Down
DROP TABLE person_salts;
DROP TABLE event_heads;
DROP TABLE event_chains;
DROP INDEX events_request;
DROP INDEX events_client;
DROP INDEX events_person;
DROP INDEX events_number;
DROP INDEX events_unchained;
ALTER TABLE events DROP COLUMN hash;
ALTER TABLE events DROP COLUMN personal;
ALTER TABLE events DROP COLUMN number;
ALTER TABLE events DROP COLUMN outcome;

-- What lists go by: a person's sessions that did not end, and grants that were not revoked, by id; people by the beginning
-- of an address, byte by byte, as SQLite compares. What erasing a person has to find. And, of the steps before, who owns a
-- client, sessions that just ended, and events by their numbers.
--
-- Indexes of tables that were there before are built while everybody writes, which no transaction can. Whoever waits for a
-- lock here stands in nobody's way, and may wait. A step that was killed begins again, without the broken index that is left.

-- +goose NO TRANSACTION

-- +goose Up
SET lock_timeout = 0;
DROP INDEX CONCURRENTLY IF EXISTS clients_owner;
CREATE INDEX CONCURRENTLY clients_owner ON clients (owner);
DROP INDEX CONCURRENTLY IF EXISTS sessions_settles;
CREATE INDEX CONCURRENTLY sessions_settles ON sessions (settles_at) WHERE settles_at IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS events_unchained;
CREATE INDEX CONCURRENTLY events_unchained ON events (created_at, id) WHERE number IS NULL;
DROP INDEX CONCURRENTLY IF EXISTS events_number;
CREATE UNIQUE INDEX CONCURRENTLY events_number ON events (number) WHERE number IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS events_person;
CREATE INDEX CONCURRENTLY events_person ON events (person_id, number) WHERE number IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS events_client;
CREATE INDEX CONCURRENTLY events_client ON events (client_id, number) WHERE number IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS events_request;
CREATE INDEX CONCURRENTLY events_request ON events (request_id, number) WHERE number IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS sessions_living;
CREATE INDEX CONCURRENTLY sessions_living ON sessions (person_id, id) WHERE ended_at IS NULL;
DROP INDEX CONCURRENTLY IF EXISTS grants_standing;
CREATE INDEX CONCURRENTLY grants_standing ON grants (person_id, id) WHERE revoked_at IS NULL;
DROP INDEX CONCURRENTLY IF EXISTS devices_person;
CREATE INDEX CONCURRENTLY devices_person ON devices (person_id);
DROP INDEX CONCURRENTLY IF EXISTS decisions_person;
CREATE INDEX CONCURRENTLY decisions_person ON decisions (person_id);
DROP INDEX CONCURRENTLY IF EXISTS identifiers_value;
CREATE INDEX CONCURRENTLY identifiers_value ON identifiers (kind, value COLLATE "C");

-- +goose Down
SET lock_timeout = 0;
DROP INDEX CONCURRENTLY IF EXISTS identifiers_value;
DROP INDEX CONCURRENTLY IF EXISTS decisions_person;
DROP INDEX CONCURRENTLY IF EXISTS devices_person;
DROP INDEX CONCURRENTLY IF EXISTS grants_standing;
DROP INDEX CONCURRENTLY IF EXISTS sessions_living;
DROP INDEX CONCURRENTLY IF EXISTS events_request;
DROP INDEX CONCURRENTLY IF EXISTS events_client;
DROP INDEX CONCURRENTLY IF EXISTS events_person;
DROP INDEX CONCURRENTLY IF EXISTS events_number;
DROP INDEX CONCURRENTLY IF EXISTS events_unchained;
DROP INDEX CONCURRENTLY IF EXISTS sessions_settles;
DROP INDEX CONCURRENTLY IF EXISTS clients_owner;

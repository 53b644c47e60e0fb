-- What lists go by: a person's sessions that did not end, and grants that were not revoked, by id; people by the
-- beginning of an address. And what erasing a person has to find.

-- +goose Up
CREATE INDEX sessions_living ON sessions (person_id, id) WHERE ended_at IS NULL;
CREATE INDEX grants_standing ON grants (person_id, id) WHERE revoked_at IS NULL;
CREATE INDEX devices_person ON devices (person_id);
CREATE INDEX decisions_person ON decisions (person_id);
CREATE INDEX identifiers_value ON identifiers (kind, value);

-- +goose Down
DROP INDEX identifiers_value;
DROP INDEX decisions_person;
DROP INDEX devices_person;
DROP INDEX grants_standing;
DROP INDEX sessions_living;

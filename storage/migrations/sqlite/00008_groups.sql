-- Groups: who is in them is told to clients, and what has an owner belongs to one.

-- +goose Up
CREATE TABLE groups (
    name        text PRIMARY KEY NOT NULL,
    version     integer NOT NULL,
    description text NOT NULL,
    created_at  integer NOT NULL,
    updated_at  integer NOT NULL
) STRICT;

CREATE TABLE members (
    group_name text NOT NULL REFERENCES groups (name) ON DELETE CASCADE,
    person_id  text NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
    created_at integer NOT NULL,
    PRIMARY KEY (group_name, person_id)
) STRICT;
CREATE INDEX members_person ON members (person_id, group_name);
CREATE INDEX clients_owner ON clients (owner);

-- The group that is always there, and those that own something by now and have the name of one.
INSERT INTO groups (name, version, description, created_at, updated_at)
SELECT name, 1, description, micros, micros
FROM (SELECT CAST(unixepoch('subsec') * 1000000 AS integer) AS micros) clock,
    (SELECT 'operators' AS name, 'Who runs this house' AS description
     UNION ALL
     SELECT owner, '' FROM (SELECT owner FROM clients UNION SELECT owner FROM resources) owners
     WHERE owner GLOB '[a-z0-9]*' AND owner NOT GLOB '*[^a-z0-9._-]*' AND length(owner) <= 64 AND owner <> 'operators') known;

-- +goose Down
DROP INDEX clients_owner;
DROP TABLE members;
DROP TABLE groups;

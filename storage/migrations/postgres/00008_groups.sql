-- Groups: who is in them is told to clients, and what has an owner belongs to one. Names are compared byte by byte, as
-- on SQLite, so that a list has the same order on both.

-- +goose Up
CREATE TABLE groups (
    name        text COLLATE "C" PRIMARY KEY,
    version     bigint NOT NULL,
    description text NOT NULL,
    created_at  bigint NOT NULL,
    updated_at  bigint NOT NULL
);

CREATE TABLE members (
    group_name text COLLATE "C" NOT NULL REFERENCES groups (name) ON DELETE CASCADE,
    person_id  uuid NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
    created_at bigint NOT NULL,
    PRIMARY KEY (group_name, person_id)
);
CREATE INDEX members_person ON members (person_id, group_name);

-- The group that is always there, and those that own something by now and have the name of one.
INSERT INTO groups (name, version, description, created_at, updated_at)
SELECT name, 1, description, micros, micros
FROM (SELECT CAST(extract(epoch FROM now()) * 1000000 AS bigint) AS micros) clock,
    (SELECT 'operators' AS name, 'Who runs this house' AS description
     UNION ALL
     SELECT owner, '' FROM (SELECT owner FROM clients UNION SELECT owner FROM resources) owners
     WHERE owner ~ '^[a-z0-9][a-z0-9._-]{0,63}$' AND owner <> 'operators') known;

-- +goose Down
DROP TABLE members, groups;

-- Mobiles that people showed to be theirs, by a code that was sent there: their E.164 numbers.

-- +goose Up
CREATE TABLE phones (
    id          text PRIMARY KEY,
    person_id   text NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
    number      text NOT NULL,
    verified_at integer NOT NULL,
    used_at     integer,
    doubted_at  integer,
    UNIQUE (person_id, number)
) STRICT;

-- +goose Down
DROP TABLE phones;

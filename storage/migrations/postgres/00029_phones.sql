-- Mobiles that people showed to be theirs, by a code that was sent there: their E.164 numbers.

-- +goose Up
CREATE TABLE phones (
    id          uuid PRIMARY KEY,
    person_id   uuid NOT NULL REFERENCES persons (id) ON DELETE CASCADE,
    number      text NOT NULL,
    verified_at bigint NOT NULL,
    used_at     bigint,
    doubted_at  bigint,
    UNIQUE (person_id, number)
);

-- +goose Down
DROP TABLE phones;

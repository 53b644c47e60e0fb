-- The oldest schema whose binary can still serve this one. A step that such a binary could not live with (one that
-- renames, narrows or drops what it reads or writes) raises it: UPDATE schema_floors SET oldest = ...

-- +goose Up
CREATE TABLE schema_floors (
    oldest integer PRIMARY KEY NOT NULL
) STRICT;
INSERT INTO schema_floors (oldest) VALUES (10);

-- +goose Down
DROP TABLE schema_floors;

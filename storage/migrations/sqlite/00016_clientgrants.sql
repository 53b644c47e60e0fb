-- What the list of a client's grants goes by.

-- +goose Up
CREATE INDEX grants_client ON grants (client_id, id) WHERE revoked_at IS NULL;

-- +goose Down
DROP INDEX grants_client;

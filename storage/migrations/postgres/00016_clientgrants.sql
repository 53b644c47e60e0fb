-- What the list of a client's grants goes by; see 00013_lists.sql for how it is built.

-- +goose NO TRANSACTION

-- +goose Up
SET lock_timeout = 0;
DROP INDEX CONCURRENTLY IF EXISTS grants_client;
CREATE INDEX CONCURRENTLY grants_client ON grants (client_id, id) WHERE revoked_at IS NULL;

-- +goose Down
SET lock_timeout = 0;
DROP INDEX CONCURRENTLY IF EXISTS grants_client;

-- What a request of the operators' API did that may be sent again (its Idempotency-Key), and what was answered, sealed.

-- +goose Up
CREATE TABLE idempotency_keys (
    hash       bytea PRIMARY KEY,
    request    bytea NOT NULL,
    answer     bytea,
    begun_at   bigint NOT NULL,
    done_at    bigint,
    expires_at bigint NOT NULL
);
CREATE INDEX idempotency_keys_expires ON idempotency_keys (expires_at);

-- +goose Down
DROP TABLE idempotency_keys;

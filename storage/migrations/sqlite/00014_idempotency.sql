-- What a request of the operators' API did that may be sent again (its Idempotency-Key), and what was answered, sealed.

-- +goose Up
CREATE TABLE idempotency_keys (
    hash       blob PRIMARY KEY,
    request    blob NOT NULL,
    answer     blob,
    begun_at   integer NOT NULL,
    done_at    integer,
    expires_at integer NOT NULL
) STRICT;
CREATE INDEX idempotency_keys_expires ON idempotency_keys (expires_at);

-- +goose Down
DROP TABLE idempotency_keys;

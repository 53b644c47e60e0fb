-- Mails that are to be sent, were sent a short while ago, or could not be sent. What they say is sealed, and goes with the sending.

-- +goose Up
CREATE TABLE mails (
    id         uuid PRIMARY KEY,
    recipient  text NOT NULL,
    person_id  uuid REFERENCES persons (id) ON DELETE CASCADE,
    kind       text NOT NULL,
    lang       text NOT NULL,
    sealed     bytea,
    attempts   bigint NOT NULL,
    due_at     bigint,
    lapses_at  bigint NOT NULL,
    sent_at    bigint,
    dead_at    bigint,
    reason     text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX mails_due ON mails (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX mails_dead ON mails (id) WHERE dead_at IS NOT NULL;
CREATE INDEX mails_person ON mails (person_id);
CREATE INDEX mails_expires ON mails (expires_at);

-- +goose Down
DROP TABLE mails;

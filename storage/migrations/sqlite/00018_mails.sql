-- Mails that are to be sent, were sent a short while ago, or could not be sent. What they say is sealed, and goes with the sending.

-- +goose Up
CREATE TABLE mails (
    id         text PRIMARY KEY,
    recipient  text NOT NULL,
    person_id  text REFERENCES persons (id) ON DELETE CASCADE,
    kind       text NOT NULL,
    lang       text NOT NULL,
    sealed     blob,
    attempts   integer NOT NULL,
    due_at     integer,
    lapses_at  integer NOT NULL,
    sent_at    integer,
    dead_at    integer,
    reason     text NOT NULL,
    created_at integer NOT NULL,
    expires_at integer NOT NULL
) STRICT;
CREATE INDEX mails_due ON mails (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX mails_dead ON mails (id) WHERE dead_at IS NOT NULL;
CREATE INDEX mails_person ON mails (person_id);
CREATE INDEX mails_expires ON mails (expires_at);

-- +goose Down
DROP TABLE mails;

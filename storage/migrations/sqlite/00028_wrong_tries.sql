-- How often, within an hour, somebody had a proof of a person wrong. A person_id refers to no row: tries at an account that
-- does not exist are kept as well.

-- +goose Up
CREATE TABLE wrong_tries (
    person_id  text NOT NULL,
    hour       integer NOT NULL,
    method     text NOT NULL,
    browser    text NOT NULL,
    system     text NOT NULL,
    times      integer NOT NULL,
    expires_at integer NOT NULL,
    PRIMARY KEY (person_id, hour, method, browser, system)
) STRICT;
CREATE INDEX wrong_tries_expires ON wrong_tries (expires_at);

-- +goose Down
DROP TABLE wrong_tries;

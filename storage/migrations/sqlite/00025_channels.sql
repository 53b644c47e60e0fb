-- Messages go by mail or by SMS, each with a queue of its own.

-- +goose Up
ALTER TABLE mails ADD COLUMN channel text NOT NULL DEFAULT 'mail';

-- +goose Down
DELETE FROM mails WHERE channel <> 'mail';
ALTER TABLE mails DROP COLUMN channel;

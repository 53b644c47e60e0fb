-- With what a browser is known, how well, and until when it spares its person from a second factor; and how often people
-- want to be asked for one. Of what was seen before nothing more is known.

-- +goose Up
ALTER TABLE devices ADD COLUMN browser text NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN system text NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN proven_at bigint;
ALTER TABLE devices ADD COLUMN bound_at bigint;
ALTER TABLE devices ADD COLUMN remembered_until bigint;
ALTER TABLE devices ADD COLUMN remembered_by uuid;
ALTER TABLE persons ADD COLUMN asking text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE persons DROP COLUMN asking;
ALTER TABLE devices DROP COLUMN remembered_by;
ALTER TABLE devices DROP COLUMN remembered_until;
ALTER TABLE devices DROP COLUMN bound_at;
ALTER TABLE devices DROP COLUMN proven_at;
ALTER TABLE devices DROP COLUMN system;
ALTER TABLE devices DROP COLUMN browser;

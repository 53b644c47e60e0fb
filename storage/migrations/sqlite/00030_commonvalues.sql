-- How common a value is among everybody's sign-ins: keyed hashes, and how many sign-ins had them. Newer ones weigh more,
-- so that nothing has to be made lighter: divide by what one of today weighs.

-- +goose Up
CREATE TABLE common_values (
    feature    integer NOT NULL,
    value      integer NOT NULL,
    weight     real NOT NULL,
    updated_at integer NOT NULL,
    PRIMARY KEY (feature, value)
) STRICT;

-- +goose Down
DROP TABLE common_values;

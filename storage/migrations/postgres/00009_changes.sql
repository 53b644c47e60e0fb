-- Whoever changes what servers keep in memory tells them, also a command, an older version and psql: see storage/watch.go.

-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION doorstep_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('doorstep_changes', TG_ARGV[0]);
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER tell_added AFTER INSERT ON clients FOR EACH STATEMENT EXECUTE FUNCTION doorstep_tell('clients_added');
CREATE TRIGGER tell AFTER UPDATE OR DELETE OR TRUNCATE ON clients FOR EACH STATEMENT EXECUTE FUNCTION doorstep_tell('clients');
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON resources FOR EACH STATEMENT EXECUTE FUNCTION doorstep_tell('resources');
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON keys FOR EACH STATEMENT EXECUTE FUNCTION doorstep_tell('keys');
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON revocations FOR EACH ROW WHEN (NEW.kind = 'key') EXECUTE FUNCTION doorstep_tell('keys');

-- +goose Down
DROP TRIGGER tell ON revocations;
DROP TRIGGER tell ON keys;
DROP TRIGGER tell ON resources;
DROP TRIGGER tell ON clients;
DROP TRIGGER tell_added ON clients;
DROP FUNCTION doorstep_tell;

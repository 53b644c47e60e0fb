-- How often that changed which servers keep in memory, whoever changed it: also a command, an older version and the sqlite3
-- shell. SQLite has nobody to tell: see storage/watch.go. The table has no entity, since only the triggers write it.

-- +goose Up
CREATE TABLE changes (
    kind  text PRIMARY KEY,
    times integer NOT NULL
) STRICT;
INSERT INTO changes (kind, times) VALUES ('clients_added', 0), ('clients', 0), ('resources', 0), ('keys', 0);
-- +goose StatementBegin
CREATE TRIGGER clients_told_added AFTER INSERT ON clients BEGIN UPDATE changes SET times = times + 1 WHERE kind = 'clients_added'; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER clients_told_changed AFTER UPDATE ON clients BEGIN UPDATE changes SET times = times + 1 WHERE kind = 'clients'; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER clients_told_gone AFTER DELETE ON clients BEGIN UPDATE changes SET times = times + 1 WHERE kind = 'clients'; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER resources_told_added AFTER INSERT ON resources BEGIN UPDATE changes SET times = times + 1 WHERE kind = 'resources'; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER resources_told_changed AFTER UPDATE ON resources BEGIN UPDATE changes SET times = times + 1 WHERE kind = 'resources'; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER resources_told_gone AFTER DELETE ON resources BEGIN UPDATE changes SET times = times + 1 WHERE kind = 'resources'; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER keys_told_added AFTER INSERT ON keys BEGIN UPDATE changes SET times = times + 1 WHERE kind = 'keys'; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER keys_told_changed AFTER UPDATE ON keys BEGIN UPDATE changes SET times = times + 1 WHERE kind = 'keys'; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER keys_told_gone AFTER DELETE ON keys BEGIN UPDATE changes SET times = times + 1 WHERE kind = 'keys'; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER revocations_told_added AFTER INSERT ON revocations WHEN NEW.kind = 'key' BEGIN UPDATE changes SET times = times + 1 WHERE kind = 'keys'; END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER revocations_told_changed AFTER UPDATE ON revocations WHEN NEW.kind = 'key' BEGIN UPDATE changes SET times = times + 1 WHERE kind = 'keys'; END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER revocations_told_changed;
DROP TRIGGER revocations_told_added;
DROP TRIGGER keys_told_gone;
DROP TRIGGER keys_told_changed;
DROP TRIGGER keys_told_added;
DROP TRIGGER resources_told_gone;
DROP TRIGGER resources_told_changed;
DROP TRIGGER resources_told_added;
DROP TRIGGER clients_told_gone;
DROP TRIGGER clients_told_changed;
DROP TRIGGER clients_told_added;
DROP TABLE changes;

package storage_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm/schema"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// The schema is what the entities say, goes up and down, and is checked.
var schemaTests = map[string]func(*testing.T, fixture){
	"the schema has the entities' columns": testColumns,
	"migrations go up, down and up":        testMigrations,
	"a schema that is behind is named":     testSchemaBehind,
	"a schema that is ahead is named":      testSchemaAhead,
	"every column of bytes is known":       testBytes,
}

// entities has one of each; a new one is added here with its table.
var entities = []any{
	storage.Key{}, storage.Secret{}, storage.Client{}, storage.Resource{}, storage.Person{}, storage.Identifier{}, storage.Password{},
	storage.Session{}, storage.Device{}, storage.Interaction{}, storage.Grant{}, storage.Consent{}, storage.Decision{}, storage.History{},
	storage.Revocation{}, storage.AccessToken{}, storage.Throttle{}, storage.Event{}, storage.SpentID{}, storage.IdempotencyKey{}, storage.SessionClient{}, storage.LogoutNotice{},
	storage.Group{}, storage.Member{}, storage.SchemaFloor{}, storage.EventChain{}, storage.EventHead{}, storage.PersonSalt{},
	storage.SetupLink{}, storage.TOTP{}, storage.RecoveryCode{}, storage.Passkey{}, storage.Phone{}, storage.Mail{}, storage.SentCode{}, storage.DisownLink{}, storage.WrongTry{}, storage.CommonValue{},
}

// A column as both databases can tell it.
type column struct {
	kind     string // integer, number, text or bytes
	nullable bool
	key      bool // part of the primary key
}

func testColumns(t *testing.T, f fixture) {
	got := f.columns()
	want := map[string][]string{}
	for _, e := range entities {
		s, err := schema.Parse(e, &sync.Map{}, schema.NamingStrategy{})
		f.must(err)
		want[s.Table] = slices.Sorted(slices.Values(s.DBNames))
		for _, name := range s.DBNames {
			if key := got[s.Table][name].key; key != s.FieldsByDBName[name].PrimaryKey {
				t.Errorf("%s.%s: the primary key has it: %v", s.Table, name, key)
			}
		}
	}
	have := map[string][]string{}
	for table, columns := range got {
		have[table] = slices.Sorted(maps.Keys(columns))
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("-entities +schema\n%s", diff)
	}
}

// hashed are the columns of bytes that hold a hash, which no key has to do with.
var hashed = []string{
	"access_tokens.hash", "disown_links.secret_hash", "event_chains.hash", "events.hash", "grants.code_hash", "grants.refresh_hash", "idempotency_keys.hash", "idempotency_keys.request", "interactions.browser_hash", "recovery_codes.hash", "sent_codes.hash", "sessions.secret_hash", "setup_links.secret_hash", "spent_ids.hash", "throttles.key",
}

// rooted are the columns of bytes that are sealed, or have to do with sealing, under
// the root secret, which stays when the key-encryption key changes.
var rooted = []string{"events.personal", "person_salts.salt"}

// public are the columns of bytes that are no secret.
var public = []string{"passkeys.credential_id", "passkeys.public_key"}

// testBytes: what is sealed is sealed anew when the key-encryption key changes, so
// every column of bytes is one of [storage.SealedColumns], a hash, sealed under the root secret, or no secret.
func testBytes(t *testing.T, f fixture) {
	var want []string
	for _, c := range storage.SealedColumns() {
		want = append(want, c.Table+"."+c.Column)
		if keys := f.columns()[c.Table]; !keys[c.Key].key || slices.ContainsFunc(slices.Collect(maps.Keys(keys)), func(name string) bool { return name != c.Key && keys[name].key }) {
			t.Errorf("%s: the key is not %s alone", c.Table, c.Key)
		}
	}
	var have []string
	for table, columns := range f.columns() {
		for name, c := range columns {
			if c.kind == "bytes" {
				have = append(have, table+"."+name)
			}
		}
	}
	want = slices.Concat(want, hashed, rooted, public)
	slices.Sort(want)
	slices.Sort(have)
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("a new column of bytes goes to storage.SealedColumns if the keys room seals what it holds, else to hashed, rooted or public here: -known +schema\n%s", diff)
	}
}

// TestSchemasAreAlike: the same tables, columns, NULLs, keys and indexes on both.
func TestSchemasAreAlike(t *testing.T) {
	sqlite, postgres := newFixture(t, providertest.SQLite(t)), newFixture(t, providertest.Postgres(t))
	if diff := cmp.Diff(sqlite.columns(), postgres.columns(), cmp.AllowUnexported(column{})); diff != "" {
		t.Errorf("-sqlite +postgres\n%s", diff)
	}
	if diff := cmp.Diff(sqlite.indexes(), postgres.indexes()); diff != "" {
		t.Errorf("-sqlite +postgres\n%s", diff)
	}
}

// TestMigrationsAreNumbered: 1, 2, 3 and so on, the same ones on both. What came late
// with a number below the newest could not be applied to a database that has that one.
func TestMigrationsAreNumbered(t *testing.T) {
	names := func(dialect string) (names []string) {
		t.Helper()
		files, err := os.ReadDir(filepath.Join("migrations", dialect))
		if err != nil {
			t.Fatal(err)
		}
		for i, file := range files {
			names = append(names, file.Name())
			if want := fmt.Sprintf("%05d_", i+1); !strings.HasPrefix(file.Name(), want) {
				t.Errorf("%s: %s, want one that begins with %s", dialect, file.Name(), want)
			}
		}
		return names
	}
	if diff := cmp.Diff(names("sqlite"), names("postgres")); diff != "" {
		t.Errorf("-sqlite +postgres\n%s", diff)
	}
}

// columns returns the columns of every table but the migrations' own, and that by
// which SQLite counts what Postgres notifies of.
func (f fixture) columns() map[string]map[string]column {
	f.t.Helper()
	query := `SELECT m.name, c.name, c.type, c."notnull" = 0 AND c.pk = 0, c.pk > 0 FROM sqlite_schema m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'goose%' AND m.name NOT LIKE 'sqlite%' AND m.name <> 'changes'`
	if f.onPostgres() {
		query = `SELECT c.table_name, c.column_name, c.data_type, c.is_nullable = 'YES', EXISTS (
				SELECT 1 FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
				WHERE i.indisprimary AND i.indrelid = c.table_name::regclass AND a.attname = c.column_name)
			FROM information_schema.columns c WHERE c.table_schema = 'public' AND c.table_name NOT LIKE 'goose%'`
	}
	kinds := map[string]string{"integer": "integer", "bigint": "integer", "boolean": "integer",
		"text": "text", "uuid": "text", "jsonb": "text", "blob": "bytes", "bytea": "bytes", "real": "number", "double precision": "number"}
	tables := map[string]map[string]column{}
	f.each(query, func(rows *sql.Rows) error {
		var table, name, kind string
		var c column
		if err := rows.Scan(&table, &name, &kind, &c.nullable, &c.key); err != nil {
			return err
		}
		if c.kind = kinds[strings.ToLower(kind)]; c.kind == "" {
			f.t.Errorf("%s.%s has a type of its own: %s", table, name, kind)
		}
		if tables[table] == nil {
			tables[table] = map[string]column{}
		}
		tables[table][name] = c
		return nil
	})
	return tables
}

// indexes returns the columns of every index that has a name of ours.
func (f fixture) indexes() map[string][]string {
	f.t.Helper()
	query := `SELECT m.name, i.name FROM sqlite_schema m, pragma_index_info(m.name) i
		WHERE m.type = 'index' AND m.name NOT LIKE 'sqlite%' ORDER BY m.name, i.seqno`
	if f.onPostgres() {
		query = `SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
			WHERE c.relkind = 'i' AND c.relnamespace = 'public'::regnamespace AND c.relname !~ '_(pkey|key)$' ORDER BY c.relname, a.attnum`
	}
	indexes := map[string][]string{}
	f.each(query, func(rows *sql.Rows) error {
		var index, column string
		err := rows.Scan(&index, &column)
		indexes[index] = append(indexes[index], column)
		return err
	})
	return indexes
}

func (f fixture) each(query string, row func(*sql.Rows) error) {
	f.t.Helper()
	rows, err := f.SQL().QueryContext(f.ctx, query)
	f.must(err)
	defer func() { f.must(rows.Close()) }()
	for rows.Next() {
		f.must(row(rows))
	}
	f.must(rows.Err())
}

func testMigrations(t *testing.T, f fixture) {
	f.must(f.CheckSchema(f.ctx))
	none, err := f.Migrate(f.ctx)
	f.must(err)
	if len(none) != 0 {
		t.Errorf("a migrated database was migrated by %v", none)
	}
	want := f.columns()
	known, err := f.Migrations(f.ctx)
	f.must(err)
	for i := range known {
		undone, err := f.MigrateDown(f.ctx)
		f.must(err)
		if last := known[len(known)-1-i]; len(undone) != 1 || undone[0].Version != last.Version || last.Applied.IsZero() {
			t.Errorf("undone %v, want %v", undone, last)
		}
	}
	if left := f.columns(); len(left) != 0 {
		t.Errorf("left after every migration was undone: %v", left)
	}
	nothing, err := f.MigrateDown(f.ctx)
	f.must(err)
	if len(nothing) != 0 {
		t.Errorf("undone below the first: %v", nothing)
	}
	pending, err := f.Migrations(f.ctx)
	f.must(err)
	for _, m := range pending {
		if !m.Applied.IsZero() {
			t.Errorf("undone, but applied: %v", m)
		}
	}
	again, err := f.Migrate(f.ctx)
	f.must(err)
	if len(again) != len(known) {
		t.Errorf("applied again: %v, want %v", again, known)
	}
	if diff := cmp.Diff(want, f.columns(), cmp.AllowUnexported(column{})); diff != "" {
		t.Errorf("-first +again\n%s", diff)
	}
}

func testSchemaBehind(t *testing.T, f fixture) {
	_, err := f.MigrateDown(f.ctx)
	f.must(err)
	f.want(storage.ErrSchemaBehind, f.CheckSchema(f.ctx))
	_, err = f.SQL().ExecContext(f.ctx, "DROP TABLE goose_db_version")
	f.must(err)
	f.want(storage.ErrSchemaBehind, f.CheckSchema(f.ctx)) // never migrated
}

func testSchemaAhead(_ *testing.T, f fixture) {
	exec := func(statement string) {
		_, err := f.SQL().ExecContext(f.ctx, statement)
		f.must(err)
	}
	exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)")
	f.must(f.CheckSchema(f.ctx)) // a newer one runs beside this one, and has taken nothing away
	exec("UPDATE schema_floors SET oldest = 99999")
	f.want(storage.ErrSchemaAhead, f.CheckSchema(f.ctx))
}

// narrowing is what a binary of before may not live with.
var narrowing = regexp.MustCompile(`(?is)\bDROP\s+(TABLE|COLUMN)|\bRENAME\b|\bSET\s+NOT\s+NULL|\bALTER\s+(COLUMN\s+)?\w+\s+(SET\s+DATA\s+)?TYPE|\bADD\s+(CONSTRAINT|UNIQUE)|\bADD\s+COLUMN\s+\w+\s+\w+\s+NOT\s+NULL(\s*[,;]|\s+REFERENCES)`)

// A step up takes nothing from the binaries that may run beside it, or says that
// they cannot.
func TestStepsOnlyWiden(t *testing.T) {
	files, err := filepath.Glob("migrations/*/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	const began = "00010" // there were no two versions before it
	looked := 0
	for _, file := range files {
		if filepath.Base(file) < began {
			continue
		}
		looked++
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		up, _, _ := strings.Cut(string(text), "-- +goose Down")
		_, up, _ = strings.Cut(up, "-- +goose Up")
		if found := narrowing.FindString(up); found != "" && !strings.Contains(up, "UPDATE schema_floors SET oldest") {
			t.Errorf("%s: %q without raising schema_floors", file, found)
		}
	}
	if looked == 0 {
		t.Error("no step was looked at")
	}
}

// indexed is an index that a step makes, and tabled a table.
var (
	indexed = regexp.MustCompile(`(?i)CREATE (?:UNIQUE )?INDEX (CONCURRENTLY )?(\w+) ON (\w+)`)
	tabled  = regexp.MustCompile(`(?i)CREATE TABLE (\w+)`)
)

// An index of a table that was there before is built while servers write, in a step
// that can be run again after it was killed.
func TestIndexesAreBuiltBesideWriters(t *testing.T) {
	files, err := filepath.Glob("migrations/postgres/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	beside := 0
	for _, file := range files {
		if filepath.Base(file) < "00007" {
			continue // the first ones of a house
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fresh := map[string]bool{}
		for _, table := range tabled.FindAllStringSubmatch(string(text), -1) {
			fresh[table[1]] = true
		}
		for _, index := range indexed.FindAllStringSubmatch(string(text), -1) {
			switch again := "DROP INDEX CONCURRENTLY IF EXISTS " + index[2] + ";\n" + index[0]; {
			case fresh[index[3]]:
			case index[1] == "":
				t.Errorf("%s: nobody can write to %s while %s is built: CREATE INDEX CONCURRENTLY", file, index[3], index[2])
			case !strings.Contains(string(text), again):
				t.Errorf("%s: an %s that is left half built stays so: want %q", file, index[2], again)
			default:
				beside++
			}
		}
	}
	if beside == 0 {
		t.Error("no index was looked at")
	}
}

// downTo undoes steps until the schema is at this version.
func (f fixture) downTo(version int64) {
	f.t.Helper()
	for {
		undone, err := f.MigrateDown(f.ctx)
		f.must(err)
		if len(undone) != 1 || undone[0].Version < version {
			f.t.Fatalf("undone %v", undone)
		}
		if undone[0].Version == version+1 {
			return
		}
	}
}

// TestMigrateBesideABackup: the step waits for what reads a table for long, and
// whoever writes to the table does not.
func TestMigrateBesideABackup(t *testing.T) {
	f := newFixture(t, providertest.Postgres(t))
	beside := open(t, f.url)
	for name, change := range map[string]func() error{
		"up":   func() error { _, err := f.Migrate(f.ctx); return err },
		"down": func() error { _, err := f.MigrateDown(f.ctx); return err },
	} {
		t.Run(name, func(t *testing.T) {
			f := f
			f.t, f.ctx = t, t.Context()
			_, err := f.Migrate(f.ctx)
			f.must(err)
			f.downTo(map[string]int64{"up": 11, "down": 12}[name]) // the step that widens events
			backup, err := beside.SQL().BeginTx(f.ctx, nil)
			f.must(err)
			_, err = backup.ExecContext(f.ctx, "LOCK TABLE events IN ACCESS SHARE MODE")
			f.must(err)
			done := make(chan error, 1)
			go func() { done <- change() }()
			waits := 0
			for waits == 0 && f.ctx.Err() == nil {
				f.must(beside.SQL().QueryRowContext(f.ctx, "SELECT count(*) FROM pg_locks WHERE relation = 'events'::regclass AND NOT granted").Scan(&waits))
			}
			soon, cancel := context.WithTimeout(f.ctx, 20*time.Second)
			defer cancel()
			_, err = beside.SQL().ExecContext(soon, "DELETE FROM events WHERE false")
			f.must(err)
			f.must(backup.Rollback())
			f.must(<-done)
		})
	}
}

// TestKilledIndexesAreBuiltAnew: what a step left behind that was killed.
func TestKilledIndexesAreBuiltAnew(t *testing.T) {
	f := newFixture(t, providertest.Postgres(t))
	want := f.indexes()
	f.downTo(12)
	for _, statement := range []string{
		"CREATE INDEX events_unchained ON events (id)",
		"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'events_unchained'::regclass",
		"CREATE INDEX sessions_living ON sessions (id)",
	} {
		_, err := f.SQL().ExecContext(f.ctx, statement)
		f.must(err)
	}
	_, err := f.Migrate(f.ctx)
	f.must(err)
	if diff := cmp.Diff(want, f.indexes()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	var broken int
	f.must(f.SQL().QueryRowContext(f.ctx, "SELECT count(*) FROM pg_index WHERE NOT indisvalid").Scan(&broken))
	if broken != 0 {
		t.Errorf("%d indexes are not valid", broken)
	}
}

// TestReplicasMigrateAtOnce: one migrates, the others wait and find it done.
func TestReplicasMigrateAtOnce(t *testing.T) {
	f := newFixture(t, providertest.Postgres(t))
	_, err := f.MigrateDown(f.ctx)
	f.must(err)
	stores := []*storage.Store{open(t, f.url), open(t, f.url), open(t, f.url)}
	for _, err := range race(len(stores), func(i int) error {
		_, err := stores[i].Migrate(f.ctx)
		return err
	}) {
		f.must(err)
	}
	f.must(f.CheckSchema(f.ctx))
}

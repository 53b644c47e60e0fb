package storage_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"reflect"
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

// A backup is the whole database, and a restore is all of a backup or nothing.
var backupTests = map[string]func(*testing.T, fixture){
	"a backup restored is the same":               testBackupIsTheSame,
	"a damaged backup is restored nowhere":        testDamagedBackup,
	"a backup of an older schema is brought up":   testOlderBackup,
	"a backup of a newer schema is refused":       testNewerBackup,
	"a backup needs what either version knows of": testKEKsOfBoth,
	"a backup is restored into nothing else":      testRestoreNotEmpty,
	"what ends in minutes does not live again":    testShortLived,
	"what was revoked does not live again":        testRevokeAll,
	"a backup that fails midway leaves nothing":   testRestoreFails,
	"what no schema has is no backup":             testForeignTable,
	"a backup without a table is none":            testMissingTable,
	"who may not read a table makes no backup":    testUnreadableTable,
	"a database without a schema has no backup":   testNothingToBackUp,
	"a backup sees one moment while others write": testBackupSnapshot,
}

// sealedWith takes every value for one that was sealed with the key of its first byte.
func sealedWith(sealed []byte) string {
	if len(sealed) == 0 {
		return ""
	}
	return hex.EncodeToString(sealed[:1])
}

// furnish gives every table three rows, whatever its columns are; of the third, what
// may be NULL is. All ids and names of a row have one number, so that it refers to
// rows of the same number.
func (f fixture) furnish() {
	f.t.Helper()
	nullable := f.columns()
	for _, entity := range f.inOrder() {
		s, err := schema.Parse(entity, &sync.Map{}, schema.NamingStrategy{})
		f.must(err)
		for i := range 3 {
			var names, marks []string
			var args []any
			for _, name := range s.DBNames {
				if i == 2 && nullable[s.Table][name].nullable {
					continue
				}
				names, marks = append(names, `"`+name+`"`), append(marks, fmt.Sprintf("$%d", len(marks)+1))
				args = append(args, sample(s.FieldsByDBName[name].FieldType, i))
			}
			_, err := f.SQL().ExecContext(f.ctx, "INSERT INTO "+s.Table+" ("+strings.Join(names, ", ")+") VALUES ("+strings.Join(marks, ", ")+")", args...)
			f.must(err)
		}
	}
}

// inOrder returns the entities, those first that others refer to. Nothing refers to what
// no backup has.
func (f fixture) inOrder() []any {
	order := f.backup().order
	place := func(e any) int {
		s, err := schema.Parse(e, &sync.Map{}, schema.NamingStrategy{})
		f.must(err)
		if i := slices.Index(order, s.Table); i >= 0 {
			return i
		}
		return len(order)
	}
	return slices.SortedStableFunc(slices.Values(entities), func(a, b any) int { return place(a) - place(b) })
}

func sample(t reflect.Type, i int) any {
	switch {
	case t == reflect.TypeFor[storage.ID]():
		return fmt.Sprintf("01980000-0000-7000-8000-%012d", i)
	case t == reflect.TypeFor[storage.Time]():
		return now.Add(time.Duration(i) * time.Second).UnixMicro()
	case t == reflect.TypeFor[storage.Strings]():
		return fmt.Sprintf(`["a", "<%d> & \u2028 å"]`, i)
	case strings.HasPrefix(t.Name(), "JSON["):
		return fmt.Sprintf(`{"n": %d, "big": 9007199254740993, "s": "\"ö"}`, i)
	case t.Kind() == reflect.Bool:
		return i%2 == 0
	case t.Kind() == reflect.Float64:
		return 0.1 + float64(i)*1e15
	case t.Kind() == reflect.Slice:
		return append(hash(fmt.Sprint(i)), 0, 255, '\n')
	case t.Kind() == reflect.String:
		return fmt.Sprintf("t%d \"quoted\"\n\t<å&>", i)
	}
	return int64(1)<<53 + int64(i) + 1
}

// made is a backup, read by what docs/operate.md says of it and no code of ours.
type made struct {
	file  []byte
	head  map[string]any
	order []string            // of the tables
	rows  map[string][]string // by table, sorted
}

func (f fixture) backup() made {
	f.t.Helper()
	var file bytes.Buffer
	about, err := f.Backup(f.ctx, &file, "test", sealedWith)
	f.must(err)
	m := made{file: file.Bytes(), rows: map[string][]string{}}
	zip, err := gzip.NewReader(&file)
	f.must(err)
	lines := bufio.NewScanner(zip)
	lines.Buffer(nil, 1<<20)
	var n int64
	for lines.Scan() {
		switch {
		case m.head == nil:
			f.must(json.Unmarshal(lines.Bytes(), &m.head))
			for _, t := range m.head["tables"].([]any) {
				m.order = append(m.order, t.(map[string]any)["name"].(string))
			}
		case lines.Bytes()[0] == '[':
			d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
			d.UseNumber()
			var row []any
			f.must(d.Decode(&row))
			for i, v := range row {
				if s, ok := v.(string); ok && strings.HasPrefix(s, "{") || ok && strings.HasPrefix(s, "[") {
					row[i] = string(canonical(f.t, storage.Raw(s))) // jsonb has its own spelling
				}
			}
			number, err := row[0].(json.Number).Int64()
			f.must(err)
			table := m.order[number]
			m.rows[table] = append(m.rows[table], fmt.Sprint(row[1:]...))
			n++
		}
	}
	f.must(lines.Err())
	if n != about.Rows {
		f.t.Errorf("%d rows, it says %d", n, about.Rows)
	}
	for _, rows := range m.rows {
		slices.Sort(rows)
	}
	return m
}

// restored is another database with the backup in it.
func (f fixture) restored(url string, file []byte, how storage.Restore) fixture {
	f.t.Helper()
	to := newFixture(f.t, url)
	how.SealedWith, how.Now = sealedWith, after(time.Minute)
	_, err := to.Restore(f.ctx, bytes.NewReader(file), how)
	f.must(err)
	f.must(to.CheckSchema(f.ctx))
	return to
}

// another is the URL of an empty database of the same kind.
func (f fixture) another() string {
	f.t.Helper()
	if f.onPostgres() {
		return providertest.Postgres(f.t)
	}
	return providertest.SQLite(f.t)
}

// unmigrated is the URL of an SQLite file that is not there yet.
func unmigrated(t *testing.T) string {
	t.Helper()
	return "sqlite://" + filepath.ToSlash(filepath.Join(t.TempDir(), "new.db"))
}

func testBackupIsTheSame(t *testing.T, f fixture) {
	f.furnish()
	for _, statement := range []string{"UPDATE grants SET code_used_at = 1", "UPDATE mails SET due_at = NULL", "DELETE FROM disown_links"} { // else they are taken away
		_, err := f.SQL().ExecContext(f.ctx, statement)
		f.must(err)
	}
	m := f.backup()
	want := slices.DeleteFunc(slices.Sorted(maps.Keys(f.columns())), func(name string) bool { return name == "interactions" || name == "sent_codes" || name == "changes" })
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(m.order))); diff != "" {
		t.Errorf("tables: -schema +backup\n%s", diff)
	}
	targets := map[string]string{"another": f.another(), "a new file": unmigrated(t)}
	if !f.onPostgres() {
		targets["Postgres"] = providertest.Postgres(t)
	}
	for name, url := range targets {
		t.Run(name, func(t *testing.T) {
			f := f
			f.t = t
			to := f.restored(url, m.file, storage.Restore{})
			if diff := cmp.Diff(m.rows, to.backup().rows); diff != "" {
				t.Errorf("-backed up +restored\n%s", diff)
			}
		})
	}
	read, err := storage.ReadBackup(bytes.NewReader(m.file), sealedWith)
	f.must(err)
	keks := []string{sealedWith(hash("0")), sealedWith(hash("1")), sealedWith(hash("2"))}
	slices.Sort(keks)
	if diff := cmp.Diff(keks, read.KEKs); diff != "" || !read.MadeAt.After(now.AddDate(0, -1, 0)) {
		t.Errorf("%+v, -want +got keks\n%s", read, diff)
	}
}

func testDamagedBackup(t *testing.T, f fixture) {
	f.furnish()
	file := f.backup().file
	to := newFixture(t, f.another())
	refused := func(what string, damaged []byte, restore bool) {
		t.Helper()
		if _, err := storage.ReadBackup(bytes.NewReader(damaged), sealedWith); !errors.Is(err, storage.ErrBackup) && !errors.Is(err, storage.ErrSchemaAhead) {
			t.Fatalf("%s: %v, want it refused", what, err)
		}
		if restore {
			if _, err := to.Restore(f.ctx, bytes.NewReader(damaged), storage.Restore{SealedWith: sealedWith, Now: now}); err == nil {
				t.Fatalf("%s was restored", what)
			}
			f.must(to.CheckEmpty(f.ctx))
		}
	}
	whole := unzip(t, file)
	for at := 0; at < len(file); at += 1 + len(file)/300 {
		refused(fmt.Sprintf("cut at %d of %d", at, len(file)), file[:at], at%10 == 0)
		other := bytes.Clone(file)
		other[at] ^= 4
		if text, err := gunzip(other); err != nil || !bytes.Equal(text, whole) { // some bits of gzip say nothing
			refused(fmt.Sprintf("another byte at %d of %d", at, len(file)), other, false)
		}
	}
	refused("cut before the last byte", file[:len(file)-1], true)
	refused("with something behind it", append(bytes.Clone(file), file...), true)
	lines := bytes.SplitAfter(whole, []byte("\n"))
	refused("without its last line", zip(t, bytes.Join(lines[:len(lines)-2], nil)), true)
	refused("without a row", zip(t, bytes.Join(append(slices.Clone(lines[:5]), lines[6:]...), nil)), true)
	refused("nothing", nil, true)
	refused("text", []byte("hello"), true)
	f.must(func() error {
		_, err := to.Restore(f.ctx, bytes.NewReader(file), storage.Restore{SealedWith: sealedWith, Now: now})
		return err
	}())
}

func unzip(t *testing.T, file []byte) []byte {
	t.Helper()
	text, err := gunzip(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func gunzip(file []byte) ([]byte, error) {
	zip, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(zip)
}

func zip(t testing.TB, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// signed ends lines as a backup does.
func signed(t testing.TB, lines ...string) []byte {
	t.Helper()
	text := strings.Join(lines, "\n") + "\n"
	sum := sha256.Sum256([]byte(text))
	return zip(t, fmt.Appendf([]byte(text), "{\"rows\":%d,\"keks\":null,\"sha256\":\"%x\"}\n", len(lines)-1, sum))
}

func testOlderBackup(t *testing.T, f fixture) {
	for range 3 {
		_, err := f.MigrateDown(f.ctx)
		f.must(err)
	}
	insert := "INSERT INTO persons (id, sub, name, locale, claims, created_at, updated_at) VALUES ('01980000-0000-7000-8000-000000000001', 'ada', 'Ada', '', '{}', 1, 1)"
	_, err := f.SQL().ExecContext(f.ctx, insert)
	f.must(err)
	m := f.backup()
	for name, url := range map[string]string{"one that is current": f.another(), "a new file": unmigrated(t)} {
		to := f.restored(url, m.file, storage.Restore{})
		var who string
		f.must(to.SQL().QueryRowContext(f.ctx, "SELECT name FROM persons").Scan(&who))
		if who != "Ada" {
			t.Errorf("in %s: %q", name, who)
		}
	}
}

func testNewerBackup(t *testing.T, f fixture) {
	newer := signed(t, `{"doorstep_backup":1,"schema":9999,"tables":[]}`)
	_, err := storage.ReadBackup(bytes.NewReader(newer), sealedWith)
	f.want(storage.ErrSchemaAhead, err)
	_, err = storage.ReadBackup(bytes.NewReader(signed(t, `{"doorstep_backup":2,"schema":1,"tables":[]}`)), sealedWith)
	f.want(storage.ErrSchemaAhead, err)
	_, err = f.Restore(f.ctx, bytes.NewReader(newer), storage.Restore{SealedWith: sealedWith})
	f.want(storage.ErrSchemaAhead, err)
	// It may be served, and is not backed up: what this version does not know of might be left out.
	for i, statement := range []string{"INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)", "UPDATE schema_floors SET oldest = 99999"} {
		_, err = f.SQL().ExecContext(f.ctx, statement)
		f.must(err)
		if err := f.CheckSchema(f.ctx); (err == nil) != (i == 0) {
			t.Errorf("it can be served: %v", err)
		}
		var file bytes.Buffer
		_, err = f.Backup(f.ctx, &file, "test", sealedWith)
		f.want(storage.ErrSchemaAhead, err)
		if !strings.Contains(err.Error(), "make the backup with the doorstep that migrated it") || file.Len() > 0 {
			t.Errorf("%v, %d bytes", err, file.Len())
		}
	}
	_, err = f.Restore(f.ctx, bytes.NewReader(signed(t, `{"doorstep_backup":1,"schema":1,"tables":[]}`)), storage.Restore{SealedWith: sealedWith})
	f.want(storage.ErrSchemaAhead, err)
}

// Another version may have known of other columns that something is sealed in: the keys
// that it named are needed, and those that this one finds.
func testKEKsOfBoth(t *testing.T, f fixture) {
	f.must(f.CreateSecret(f.ctx, &storage.Secret{Name: "s", Sealed: []byte{7, 7}, CreatedAt: now}))
	lines := bytes.SplitAfter(unzip(t, f.backup().file), []byte("\n"))
	last := len(lines) - 2
	for named, want := range map[string][]string{`["07"]`: {"07"}, `["01","09"]`: {"01", "07", "09"}, `null`: {"07"}} {
		other := slices.Clone(lines)
		other[last] = bytes.Replace(lines[last], []byte(`["07"]`), []byte(named), 1)
		read, err := storage.ReadBackup(bytes.NewReader(zip(t, bytes.Join(other, nil))), sealedWith)
		f.must(err)
		if !slices.Equal(read.KEKs, want) {
			t.Errorf("%s: needs %v, want %v", named, read.KEKs, want)
		}
	}
}

func testRestoreNotEmpty(t *testing.T, f fixture) {
	f.must(f.CheckEmpty(f.ctx))
	f.person("ada")
	f.want(storage.ErrNotEmpty, f.CheckEmpty(f.ctx))
	file := f.backup().file
	_, err := f.Restore(f.ctx, bytes.NewReader(file), storage.Restore{SealedWith: sealedWith})
	f.want(storage.ErrNotEmpty, err)
}

func testRestoreFails(t *testing.T, f fixture) {
	f.furnish()
	lines := strings.Split(strings.TrimSpace(string(unzip(t, f.backup().file))), "\n")
	last := lines[len(lines)-2]
	to := newFixture(t, f.another())
	for what, file := range map[string][]byte{
		"with a row twice":                 signed(t, append(lines[:len(lines)-1:len(lines)-1], last)...),
		"with a row that refers to nobody": signed(t, lines[0], lines[len(lines)-2]),
	} {
		if _, err := to.Restore(f.ctx, bytes.NewReader(file), storage.Restore{SealedWith: func([]byte) string { return "" }, Now: now}); err == nil {
			t.Errorf("%s: restored", what)
		}
		f.must(to.CheckEmpty(f.ctx))
	}
}

func testForeignTable(t *testing.T, f fixture) {
	for what, head := range map[string]string{
		"a foreign table":    `{"name":"goose_db_version","columns":[{"name":"id","kind":"integer"}]}`,
		"a foreign column":   `{"name":"secrets","columns":[{"name":"name","kind":"text"},{"name":"evil","kind":"bytes"},{"name":"created_at","kind":"integer"}]}`,
		"a missing column":   `{"name":"secrets","columns":[{"name":"name","kind":"text"}]}`,
		"another kind":       `{"name":"secrets","columns":[{"name":"name","kind":"text"},{"name":"sealed","kind":"text"},{"name":"created_at","kind":"integer"}]}`,
		"an unknown kind":    `{"name":"secrets","columns":[{"name":"name","kind":"date"}]}`,
		"a column twice":     `{"name":"secrets","columns":[{"name":"name","kind":"text"},{"name":"name","kind":"text"}]}`,
		"a table of nothing": `{"name":"secrets","columns":[]}`,
		"a table twice":      `{"name":"secrets","columns":[{"name":"name","kind":"text"}]},{"name":"secrets","columns":[{"name":"name","kind":"text"}]}`,
	} {
		file := signed(t, `{"doorstep_backup":1,"schema":1,"tables":[`+head+`]}`)
		if _, err := f.Restore(f.ctx, bytes.NewReader(file), storage.Restore{SealedWith: sealedWith}); !errors.Is(err, storage.ErrBackup) {
			t.Errorf("%s: %v, want ErrBackup", what, err)
		}
	}
}

// What a backup does not have would be emptied, and nobody would be told.
func testMissingTable(t *testing.T, f fixture) {
	lines := strings.Split(strings.TrimSpace(string(unzip(t, f.backup().file))), "\n")
	var head map[string]any
	f.must(json.Unmarshal([]byte(lines[0]), &head))
	all := head["tables"].([]any)
	last := all[len(all)-1].(map[string]any)["name"].(string)
	head["tables"] = all[:len(all)-1]
	text, err := json.Marshal(head)
	f.must(err)
	_, err = f.Restore(f.ctx, bytes.NewReader(signed(t, string(text))), storage.Restore{SealedWith: sealedWith})
	if !errors.Is(err, storage.ErrBackup) || !strings.Contains(err.Error(), "the table "+last+" is missing") {
		t.Errorf("%v, want that %s is missing", err, last)
	}
}

// On Postgres a role may have been made before a table was, and may not read that one.
func testUnreadableTable(t *testing.T, f fixture) {
	if strings.HasPrefix(f.url, "sqlite") {
		return // which knows no roles
	}
	f.SQL().SetMaxOpenConns(1) // the role is that of one connection
	for _, statement := range []string{
		"CREATE ROLE keeper", "GRANT USAGE ON SCHEMA public TO keeper", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO keeper",
		"REVOKE ALL ON person_salts FROM keeper", "SET ROLE keeper",
	} {
		_, err := f.SQL().ExecContext(f.ctx, statement)
		f.must(err)
	}
	if _, err := f.Backup(f.ctx, io.Discard, "test", sealedWith); err == nil || !strings.Contains(err.Error(), "person_salts") {
		t.Errorf("%v, want that person_salts cannot be read", err)
	}
	for _, statement := range []string{"RESET ROLE", "DROP OWNED BY keeper", "DROP ROLE keeper"} {
		_, err := f.SQL().ExecContext(f.ctx, statement)
		f.must(err)
	}
}

func testNothingToBackUp(t *testing.T, f fixture) {
	_, err := f.SQL().ExecContext(f.ctx, "DELETE FROM goose_db_version WHERE version_id > 0")
	f.must(err)
	if _, err := f.Backup(f.ctx, io.Discard, "test", sealedWith); err == nil || !strings.Contains(err.Error(), "nothing to back up") {
		t.Errorf("%v, want that there is nothing", err)
	}
}

func testShortLived(t *testing.T, f fixture) {
	p := f.person("ada")
	f.interaction(after(time.Hour))
	f.must(f.CreateGrant(f.ctx, newGrant(p, "unused")))
	used := newGrant(p, "used")
	used.CodeUsedAt = now
	f.must(f.CreateGrant(f.ctx, used))
	f.must(f.SpendID(f.ctx, &storage.SpentID{Hash: hash("jti"), ExpiresAt: after(time.Hour)}))
	to := f.restored(f.another(), f.backup().file, storage.Restore{})
	counts := map[string]int{}
	for what, query := range map[string]string{
		"interactions": "SELECT count(*) FROM interactions", "grants": "SELECT count(*) FROM grants",
		"codes": "SELECT count(*) FROM grants WHERE code_hash IS NOT NULL", "spent": "SELECT count(*) FROM spent_ids",
	} {
		var n int
		f.must(to.SQL().QueryRowContext(f.ctx, query).Scan(&n))
		counts[what] = n
	}
	if diff := cmp.Diff(map[string]int{"interactions": 0, "grants": 2, "codes": 1, "spent": 1}, counts); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func testRevokeAll(t *testing.T, f fixture) {
	f.must(f.CreateClient(f.ctx, &storage.Client{ID: "web", Version: 1, Metadata: storage.Document(storage.ClientMetadata{BackchannelLogoutURI: "https://web.example/bye"}), CreatedAt: now, UpdatedAt: now}))
	p := f.person("ada")
	se := f.session(p, "secret")
	g := newGrant(p, "code")
	g.SessionID = se.ID
	f.must(f.CreateGrant(f.ctx, g))
	f.must(f.KeepSessionClient(f.ctx, &storage.SessionClient{SessionID: se.ID, ClientID: "web", Sub: "ada", Sid: "sid", CreatedAt: now}))
	f.must(f.CreateAccessToken(f.ctx, &storage.AccessToken{Hash: hash("opaque"), ClientID: "web", Claims: doc(`{}`), CreatedAt: now, ExpiresAt: after(time.Hour)}))
	file := f.backup().file

	asItWas := f.restored(f.another(), file, storage.Restore{})
	state, err := asItWas.TokenState(f.ctx, storage.TokenIDs{GrantID: g.ID, ClientID: "web"})
	f.must(err)
	if !state.Alive(now.Time) || !state.RevokedBefore.IsZero() {
		t.Errorf("without: %+v, want it alive", state)
	}
	to := f.restored(f.another(), file, storage.Restore{RevokeAll: true, LongestToken: time.Hour})
	state, err = to.TokenState(f.ctx, storage.TokenIDs{GrantID: g.ID, ClientID: "web"})
	f.must(err)
	if state.Alive(now.Time) || state.SessionEndedAt != after(time.Minute) || state.RevokedBefore != after(time.Minute) {
		t.Errorf("with: %+v, want all of it ended at %s", state, after(time.Minute))
	}
	if _, err := to.AccessToken(f.ctx, hash("opaque")); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("the opaque token: %v", err)
	}
	told, err := to.LogoutNotices(f.ctx, se.ID)
	f.must(err)
	if len(told) != 1 || told[0].ClientID != "web" {
		t.Errorf("clients to be told: %+v", told)
	}
}

// testBackupSnapshot: two rows that are always written together are in the backup
// together, however long it takes.
func testBackupSnapshot(t *testing.T, f fixture) {
	stop, wrote := make(chan struct{}), make(chan int)
	var once sync.Once
	end := func() { once.Do(func() { close(stop) }) }
	defer end()
	started := make(chan struct{})
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				wrote <- n
				return
			default:
			}
			ctx := storage.WithUnit(f.ctx)
			e := event("pair")
			p := &storage.Person{ID: e.ID, Sub: string(e.ID), Claims: doc(`{}`), CreatedAt: now, UpdatedAt: now}
			if err := errors.Join(f.CreatePerson(ctx, p), f.CreateEvent(ctx, e), f.Flush(ctx)); err != nil {
				t.Error(err)
			}
			if n == 20 {
				close(started)
			}
		}
	}()
	<-started
	var m made
	for range 5 {
		m = f.backup()
		if p, e := len(m.rows["persons"]), len(m.rows["events"]); p != e || p < 20 {
			t.Errorf("%d persons, %d events", p, e)
		}
	}
	end()
	if n := <-wrote; n <= len(m.rows["persons"])-1 {
		t.Logf("%d pairs were written, the last backup has %d", n, len(m.rows["persons"]))
	}
	f.restored(f.another(), m.file, storage.Restore{})
}

// FuzzReadBackup: whatever is in a file, reading it ends with an error or with what
// the file says, and never in a panic.
func FuzzReadBackup(f *testing.F) {
	head := `{"doorstep_backup":1,"schema":1,"tables":[{"name":"secrets","columns":[{"name":"name","kind":"text"},{"name":"sealed","kind":"bytes"},{"name":"created_at","kind":"integer"}]}]}`
	for _, seed := range [][]byte{
		signed(f, head), signed(f, head, `[0,"a","AQ==",1]`), signed(f, head, `[0,null,null,null]`), signed(f, head, `[0]`), signed(f, head, `[]`),
		signed(f, head, `[1,"a","AQ==",1]`), signed(f, head, `[-1,"a","AQ==",1]`), signed(f, head, `[0.5,"a","AQ==",1]`), signed(f, head, `["0","a","AQ==",1]`),
		signed(f, head, `[0,1,"AQ==",1]`), signed(f, head, `[0,"a","!",1]`), signed(f, head, `[0,"a","AQ==",1e99]`), signed(f, head, `[0,"a","AQ==",{}]`),
		signed(f, `{"doorstep_backup":1}`), signed(f, `{}`), signed(f, `[]`), signed(f, `null`), zip(f, nil), zip(f, []byte("\n\n")), nil,
	} {
		f.Add(seed, true)
		if zipped, err := gzip.NewReader(bytes.NewReader(seed)); err == nil {
			text, err := io.ReadAll(zipped)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text, false)
		}
	}
	f.Fuzz(func(t *testing.T, file []byte, zipped bool) {
		if !zipped { // the fuzzer does not get past gzip's checksum by itself
			file = zip(t, file)
		}
		b, err := storage.ReadBackup(bytes.NewReader(file), sealedWith)
		if (b == nil) == (err == nil) {
			t.Fatalf("%+v, %v", b, err)
		}
		if err != nil && !errors.Is(err, storage.ErrBackup) && !errors.Is(err, storage.ErrSchemaAhead) {
			t.Fatalf("%v is none of the errors of a backup", err)
		}
	})
}

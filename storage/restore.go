package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

// ErrNotEmpty says that the database holds something already.
var ErrNotEmpty = errors.New("storage: the database is not empty")

// Restore is how a backup is restored.
type Restore struct {
	SealedWith SealedWith
	Now        Time
	// RevokeAll ends every session and grant in the backup and every access token that
	// was issued before Now, so that nothing lives again that ended after the backup.
	RevokeAll bool
	// LongestToken is how long an access token may live that was issued before Now.
	LongestToken time.Duration
	// Clients are ids whose tokens are revoked too, although the backup may be from
	// before the client: one of this id that is made later must not wake them.
	Clients []string
}

// filled are tables of which one has a row as soon as a database was used.
var filled = []string{"secrets", "keys", "clients", "persons", "events"}

// CheckEmpty returns ErrNotEmpty if anybody has used the database. One that has no
// schema is empty, and so is one that has no more than that.
func (s *Store) CheckEmpty(ctx context.Context) error { return s.checkEmpty(ctx, s.sql) }

func (s *Store) checkEmpty(ctx context.Context, q queryer) error {
	tables, err := s.tables(ctx, q)
	if err != nil {
		return err
	}
	for _, t := range tables {
		if !slices.Contains(filled, t.name) {
			continue
		}
		err := eachRow(ctx, q, "SELECT 1 FROM "+quoted(t.name)+" LIMIT 1", func(func(...any) error) error {
			return fmt.Errorf("%w: its table %s has rows", ErrNotEmpty, t.name)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Restore fills an empty database with a backup, all of it or nothing, and brings its
// schema up to this binary's. Codes that were not used are spent, whatever else is
// asked for: they may have been used since. ErrNotEmpty, ErrBackup, ErrSchemaAhead.
func (s *Store) Restore(ctx context.Context, r io.Reader, how Restore) (*Backup, error) {
	if err := s.CheckEmpty(ctx); err != nil {
		return nil, err
	}
	a, err := newArchiveReader(r, how.SealedWith)
	if err != nil {
		return nil, err
	}
	if err := s.migrateTo(ctx, a.head.Schema); err != nil {
		return nil, err
	}
	if err := s.fill(ctx, a, how); err != nil {
		return nil, err
	}
	_, err = s.Migrate(ctx)
	return &a.head, err
}

// migrateTo brings an empty database to a schema that this binary knows.
func (s *Store) migrateTo(ctx context.Context, version int64) error {
	p, err := s.migrator()
	if err != nil {
		return err
	}
	current, newest, err := p.GetVersions(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("storage: schema version: %w", err)
	case current > newest:
		return fmt.Errorf("%w (%d > %d)", ErrSchemaAhead, current, newest)
	case version < 1:
		return damaged("its schema is %d", version)
	case current < version:
		_, err = p.UpTo(ctx, version)
	case current > version:
		_, err = p.DownTo(ctx, version)
	}
	if err != nil && !errors.Is(err, goose.ErrNoNextVersion) {
		return fmt.Errorf("storage: migrate to %d: %w", version, err)
	}
	return nil
}

// fill adds the rows in one transaction.
func (s *Store) fill(ctx context.Context, a *archiveReader, how Restore) error {
	tx, err := s.sql.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("storage: restore: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing is left to do if it was committed
	if err := s.checkEmpty(ctx, tx); err != nil {
		return err
	}
	tables, err := s.tables(ctx, tx)
	if err != nil {
		return err
	}
	tables = backedUp(tables)
	for _, t := range slices.Backward(tables) { // what a migration put there is in the backup too
		if _, err := tx.ExecContext(ctx, "DELETE FROM "+quoted(t.name)); err != nil { //nolint:gosec // a name of the database's own catalog
			return fmt.Errorf("storage: restore: empty %s: %w", t.name, err)
		}
	}
	into, err := targets(tables, a.head.Tables)
	if err != nil {
		return err
	}
	f := &filler{ctx: ctx, tx: tx, dialect: s.dialect, into: into}
	if err := a.each(f.add); err != nil {
		return err
	}
	if err := f.flush(); err != nil {
		return err
	}
	if err := s.endOld(ctx, tx, tables, how); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("storage: restore: %w", err)
	}
	return nil
}

// target is a table with the columns of a backup, in the backup's order.
type target struct {
	table
	columns []tableColumn
}

// targets finds the tables of a backup among those of the database, all of which it
// has to have.
func targets(tables []table, of []BackupTable) ([]target, error) {
	var out []target
	for _, b := range of {
		i := slices.IndexFunc(tables, func(t table) bool { return t.name == b.Name })
		if i < 0 || len(tables[i].columns) != len(b.Columns) {
			return nil, damaged("its table %s is not the schema's", b.Name)
		}
		t := target{table: tables[i]}
		for _, c := range b.Columns {
			j := slices.IndexFunc(tables[i].columns, func(o tableColumn) bool { return o.name == c.Name && o.kind() == c.Kind })
			if j < 0 {
				return nil, damaged("its column %s.%s is not the schema's", b.Name, c.Name)
			}
			t.columns = append(t.columns, tables[i].columns[j])
		}
		out = append(out, t)
	}
	for _, t := range tables {
		if !slices.ContainsFunc(of, func(b BackupTable) bool { return b.Name == t.name }) {
			return nil, damaged("the table %s is missing", t.name)
		}
	}
	return out, nil
}

// Rows are added some at a time: as many as hold together, in values and in bytes.
const (
	fillValues = 4000
	fillBytes  = 1 << 20
)

// filler adds rows.
type filler struct {
	ctx     context.Context //nolint:containedctx // of the one restore that it is made for
	tx      *sql.Tx
	dialect dialect
	into    []target
	table   int
	rows    int
	bytes   int
	args    []any
}

func (f *filler) add(table int, values []any) error {
	if table != f.table || len(f.args)+len(values) > fillValues || f.bytes > fillBytes {
		if err := f.flush(); err != nil {
			return err
		}
		f.table = table
	}
	for _, v := range values {
		switch v := v.(type) {
		case string:
			f.bytes += len(v)
		case []byte:
			f.bytes += len(v)
		}
	}
	f.args = append(f.args, values...)
	f.rows++
	return nil
}

func (f *filler) flush() error {
	if f.rows == 0 {
		return nil
	}
	t := f.into[f.table]
	if _, err := f.tx.ExecContext(f.ctx, t.insert(f.dialect, t.columns, f.rows), f.args...); err != nil {
		return fmt.Errorf("storage: restore %s: %w", t.name, translate(err))
	}
	f.rows, f.bytes, f.args = 0, 0, f.args[:0]
	return nil
}

// endOld ends what must not live again. The schema may be an older one: its tables are
// asked for, and columns are named that every schema has.
func (s *Store) endOld(ctx context.Context, tx *sql.Tx, tables []table, how Restore) error {
	writes := []write{{text: "UPDATE grants SET code_hash = NULL WHERE code_used_at IS NULL"}}
	has := func(name string) bool {
		return slices.ContainsFunc(tables, func(t table) bool { return t.name == name })
	}
	if has("mails") { // they were sent since, or are old news
		writes = append(writes, write{text: "DELETE FROM mails WHERE due_at IS NOT NULL"})
	}
	if has("disown_links") { // they may have been used since
		writes = append(writes, write{text: "DELETE FROM disown_links"})
	}
	if how.RevokeAll {
		if has("logout_notices") {
			writes = append(writes, write{
				text: "INSERT INTO logout_notices (session_id, client_id, sub, sid, attempts, due_at, expires_at, created_at)" +
					" SELECT t.session_id, t.client_id, t.sub, t.sid, 0, ?, ?, ? FROM session_clients t JOIN clients c ON c.id = t.client_id JOIN sessions s ON s.id = t.session_id" +
					" WHERE c.metadata ->> 'backchannel_logout_uri' <> '' AND s.ended_at IS NULL AND s.expires_at > ?",
				args: []any{how.Now, At(how.Now.Add(noticeLifetime)), how.Now, how.Now},
				rest: " ON CONFLICT (session_id, client_id) DO NOTHING",
			}, write{text: "DELETE FROM session_clients"})
		}
		writes = append(writes,
			write{text: "UPDATE sessions SET ended_at = ? WHERE ended_at IS NULL", args: []any{how.Now}},
			write{text: "UPDATE grants SET revoked_at = ?, revoked_why = 'restored' WHERE revoked_at IS NULL", args: []any{how.Now}},
			write{
				text: "INSERT INTO revocations (kind, id, not_before, expires_at) SELECT '" + RevokedClient + "', id, ?, ? FROM clients WHERE true",
				args: []any{how.Now, At(how.Now.Add(how.LongestToken))}, rest: onRevokedBefore,
			})
		for _, id := range how.Clients {
			writes = append(writes, write{
				text: "INSERT INTO revocations (kind, id, not_before, expires_at) VALUES ('" + RevokedClient + "', ?, ?, ?)",
				args: []any{id, how.Now, At(how.Now.Add(how.LongestToken))}, rest: onRevokedBefore,
			})
		}
		if has("access_tokens") {
			writes = append(writes, write{text: "DELETE FROM access_tokens"})
		}
	}
	for _, w := range writes {
		if _, err := tx.ExecContext(ctx, s.numbered(w.render("", "")), w.args...); err != nil {
			return fmt.Errorf("storage: restore: end what is old: %w", translate(err))
		}
	}
	return nil
}

// numbered writes a statement's question marks as this database wants them.
func (s *Store) numbered(statement string) string {
	if s.dialect == onSQLite {
		return statement
	}
	parts := strings.Split(statement, "?")
	var b strings.Builder
	for i, part := range parts {
		if i > 0 {
			fmt.Fprintf(&b, "$%d", i)
		}
		b.WriteString(part)
	}
	return b.String()
}

package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
)

// leftOut are tables that no backup has. An interaction lives for minutes in one
// browser, and one that was answered after the backup must not be answered again;
// changes counts what happened to this SQLite file, for whoever watches it.
var leftOut = []string{"interactions", "sent_codes", "changes"}

// Backup writes everything that the database holds at one moment to w, while others
// read and write, and says what that is. Rows are streamed. It works on every schema
// up to this binary's; ErrSchemaAhead: on no newer one. On SQLite the log of writes
// (-wal) grows meanwhile.
func (s *Store) Backup(ctx context.Context, w io.Writer, version string, sealedWith SealedWith) (*Backup, error) {
	if err := s.CheckSchema(ctx); err != nil && !errors.Is(err, ErrSchemaBehind) && !errors.Is(err, ErrSchemaAhead) {
		return nil, err
	}
	newest, err := newestSchema()
	if err != nil {
		return nil, err
	}
	at, err := s.Now(ctx)
	if err != nil {
		return nil, err
	}
	// SQLite's is a snapshot whatever it is called, and read-only ones let others write.
	options := &sql.TxOptions{ReadOnly: true}
	if s.dialect == onPostgres {
		options.Isolation = sql.LevelRepeatableRead
	}
	tx, err := s.sql.BeginTx(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("storage: backup: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // it changed nothing
	head := &Backup{Format: backupFormat, Database: string(s.dialect), Version: version, MadeAt: at}
	if head.Schema, err = schemaVersion(ctx, tx); err != nil {
		return nil, err
	}
	if head.Schema > newest { // what it has to know of it, such as what is sealed in it, it does not
		return nil, fmt.Errorf("%w (%d > %d): it can be served, perhaps, and not be backed up; make the backup with the doorstep that migrated it", ErrSchemaAhead, head.Schema, newest)
	}
	tables, err := s.tables(ctx, tx)
	if err != nil {
		return nil, err
	}
	tables = backedUp(tables)
	for _, t := range tables {
		described := BackupTable{Name: t.name}
		for _, c := range t.columns {
			described.Columns = append(described.Columns, BackupColumn{c.name, c.kind()})
		}
		head.Tables = append(head.Tables, described)
	}
	a, err := newArchiveWriter(w, head, sealedWith)
	if err != nil {
		return nil, err
	}
	for i, t := range tables {
		if err := a.addTable(ctx, tx, i, t); err != nil {
			return nil, fmt.Errorf("storage: backup of %s: %w", t.name, err)
		}
	}
	return head, a.close()
}

func backedUp(tables []table) []table {
	return slices.DeleteFunc(tables, func(t table) bool { return slices.Contains(leftOut, t.name) })
}

func (a *archiveWriter) addTable(ctx context.Context, tx queryer, number int, t table) error {
	values := make([]any, len(t.columns))
	into := make([]any, len(values))
	for i := range values {
		into[i] = &values[i]
	}
	return eachRow(ctx, tx, t.selectAll(), func(scan func(...any) error) error {
		if err := scan(into...); err != nil {
			return err
		}
		return a.row(number, values)
	})
}

// schemaVersion is the newest migration that was applied, as q sees it.
func schemaVersion(ctx context.Context, q queryer) (version int64, err error) {
	err = eachRow(ctx, q, "SELECT max(version_id) FROM goose_db_version WHERE is_applied", func(scan func(...any) error) error { return scan(&version) })
	if err == nil && version == 0 {
		err = errors.New("storage: the database has no schema yet: there is nothing to back up")
	}
	return version, err
}

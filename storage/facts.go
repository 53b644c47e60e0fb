package storage

import (
	"context"
	"fmt"
)

// Facts are what an operator may want to know of a database.
type Facts struct {
	Engine   string // sqlite or postgres
	Version  string
	Bytes    int64 // of everything
	Tables   []TableSize
	Unsafe   []string // settings by which a crash could take what was written
	Damaged  string   // what SQLite's own check found; "" for nothing, or for a file too large to check
	MaxConns int      // that Postgres takes; 0 for SQLite
}

// TableSize is a table with the space that it takes.
type TableSize struct {
	Name  string
	Bytes int64
}

// maxChecked is how large an SQLite file may be that is read as a whole.
const maxChecked = 256 << 20

// Facts returns what there is to know of the database, the largest tables first.
func (s *Store) Facts(ctx context.Context) (*Facts, error) {
	f := &Facts{Engine: string(s.dialect)}
	if s.dialect == onSQLite {
		return f, s.sqliteFacts(ctx, f)
	}
	return f, s.postgresFacts(ctx, f)
}

func (s *Store) sqliteFacts(ctx context.Context, f *Facts) error {
	var journal, synchronous string
	for query, into := range map[string]any{
		"SELECT sqlite_version()": &f.Version, "PRAGMA journal_mode": &journal, "PRAGMA synchronous": &synchronous,
		"SELECT p.page_count * s.page_size FROM pragma_page_count() p, pragma_page_size() s": &f.Bytes,
	} {
		if err := s.sql.QueryRowContext(ctx, query).Scan(into); err != nil {
			return fmt.Errorf("storage: %s: %w", query, err)
		}
	}
	if journal != "wal" {
		f.Unsafe = append(f.Unsafe, "journal_mode is "+journal+", not wal: the file system does not take it, as network file systems do not")
	}
	if synchronous != "2" {
		f.Unsafe = append(f.Unsafe, "synchronous is "+synchronous+", not 2 (FULL)")
	}
	if f.Bytes > maxChecked {
		return nil
	}
	var found string
	if err := s.sql.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found); err != nil {
		found = err.Error()
	}
	if found != "ok" {
		f.Damaged = found
	}
	return nil
}

func (s *Store) postgresFacts(ctx context.Context, f *Facts) error {
	for query, into := range map[string]any{
		"SHOW server_version": &f.Version, "SELECT pg_database_size(current_database())": &f.Bytes,
		"SELECT current_setting('max_connections')::int": &f.MaxConns,
	} {
		if err := s.sql.QueryRowContext(ctx, query).Scan(into); err != nil {
			return fmt.Errorf("storage: %s: %w", query, err)
		}
	}
	for _, setting := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		var value string
		if err := s.sql.QueryRowContext(ctx, "SELECT current_setting($1)", setting).Scan(&value); err != nil {
			return fmt.Errorf("storage: %s: %w", setting, err)
		}
		if value == "off" {
			f.Unsafe = append(f.Unsafe, setting+" is off")
		}
	}
	return eachRow(ctx, s.sql, `SELECT c.relname, pg_total_relation_size(c.oid) FROM pg_class c
		WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace ORDER BY 2 DESC, 1 LIMIT 5`, func(scan func(...any) error) error {
		var t TableSize
		err := scan(&t.Name, &t.Bytes)
		f.Tables = append(f.Tables, t)
		return err
	})
}

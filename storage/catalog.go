package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Kinds of columns, as a backup names them: what both databases can hold.
const (
	kindInteger = "integer" // also a moment, and true and false
	kindNumber  = "number"  // that need not be whole
	kindText    = "text"    // also an id and a document
	kindBytes   = "bytes"
)

var kinds = map[string]string{
	"integer": kindInteger, "bigint": kindInteger, "boolean": kindInteger,
	"real": kindNumber, "double precision": kindNumber,
	"text": kindText, "uuid": kindText, "jsonb": kindText,
	"blob": kindBytes, "bytea": kindBytes,
}

// table is a table of ours as the database describes it, whatever its schema.
type table struct {
	name    string
	columns []tableColumn
}

type tableColumn struct {
	name     string
	declared string // as this database names the type
}

func (c tableColumn) kind() string { return kinds[c.declared] }

// queryer is a database or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// tables returns the tables of ours, those of the migrations' runner aside, each
// behind those that its rows refer to.
func (s *Store) tables(ctx context.Context, q queryer) ([]table, error) {
	described, references := `SELECT m.name, c.name, lower(c.type) FROM sqlite_schema m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'goose%' AND m.name NOT LIKE 'sqlite%' ORDER BY m.name, c.cid`,
		`SELECT m.name, f."table" FROM sqlite_schema m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table'`
	if s.dialect == onPostgres {
		// Not information_schema, which says nothing of a table that this role may not read.
		described = `SELECT t.relname, c.attname, format_type(c.atttypid, NULL) FROM pg_class t JOIN pg_attribute c ON c.attrelid = t.oid
			WHERE t.relkind = 'r' AND t.relnamespace = current_schema()::regnamespace AND t.relname NOT LIKE 'goose%' AND c.attnum > 0 AND NOT c.attisdropped
			ORDER BY t.relname, c.attnum`
		references = `SELECT a.relname, b.relname FROM pg_constraint f JOIN pg_class a ON a.oid = f.conrelid JOIN pg_class b ON b.oid = f.confrelid
			WHERE f.contype = 'f' AND f.connamespace = current_schema()::regnamespace`
	}
	var all []table
	err := eachRow(ctx, q, described, func(scan func(...any) error) error {
		var name string
		var c tableColumn
		if err := scan(&name, &c.name, &c.declared); err != nil {
			return err
		}
		if c.kind() == "" {
			return fmt.Errorf("storage: %s.%s has the type %s, which is none of ours", name, c.name, c.declared)
		}
		if len(all) == 0 || all[len(all)-1].name != name {
			all = append(all, table{name: name})
		}
		last := &all[len(all)-1]
		last.columns = append(last.columns, c)
		return nil
	})
	if err != nil {
		return nil, err
	}
	needs := map[string][]string{}
	err = eachRow(ctx, q, references, func(scan func(...any) error) error {
		var from, to string
		err := scan(&from, &to)
		needs[from] = append(needs[from], to)
		return err
	})
	if err != nil {
		return nil, err
	}
	return inOrder(all, needs)
}

// inOrder sorts tables so that each stands behind those that it needs.
func inOrder(all []table, needs map[string][]string) ([]table, error) {
	var (
		out  []table
		done []string
	)
	for len(out) < len(all) {
		before := len(out)
		for _, t := range all {
			ready := !slices.ContainsFunc(needs[t.name], func(n string) bool { return !slices.Contains(done, n) })
			if ready && !slices.Contains(done, t.name) {
				out, done = append(out, t), append(done, t.name)
			}
		}
		if len(out) == before {
			return nil, errors.New("storage: tables refer to each other in a circle")
		}
	}
	return out, nil
}

func eachRow(ctx context.Context, q queryer, query string, row func(scan func(...any) error) error) error {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return translate(err)
	}
	defer rows.Close() //nolint:errcheck // Err says what there is to say
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return translate(err)
	}
	return ctx.Err() // SQLite's driver may stop, and say nothing, when ctx ends
}

// quoted is a name that the database gave us, for a statement.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// selectAll is the query of every row of a table, in types that both databases have.
func (t table) selectAll() string {
	exprs := make([]string, len(t.columns))
	for i, c := range t.columns {
		exprs[i] = quoted(c.name)
		switch c.declared {
		case "uuid", "jsonb":
			exprs[i] += "::text"
		case "boolean":
			exprs[i] += "::int"
		}
	}
	return "SELECT " + strings.Join(exprs, ", ") + " FROM " + quoted(t.name)
}

// insert is the statement that adds rows of these columns.
func (t table) insert(d dialect, columns []tableColumn, rows int) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = quoted(c.name)
	}
	var b strings.Builder
	b.WriteString("INSERT INTO " + quoted(t.name) + " (" + strings.Join(names, ", ") + ") VALUES ")
	n := 0
	for row := range rows {
		b.WriteString([]string{"(", ", ("}[min(row, 1)])
		for i, c := range columns {
			n++
			if i > 0 {
				b.WriteString(", ")
			}
			switch {
			case d == onSQLite:
				b.WriteString("?")
			case c.declared == "boolean":
				fmt.Fprintf(&b, "($%d::int)::boolean", n)
			default:
				fmt.Fprintf(&b, "$%d::%s", n, c.declared)
			}
		}
		b.WriteString(")")
	}
	return b.String()
}

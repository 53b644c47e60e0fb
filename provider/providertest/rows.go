package providertest

import (
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"; storage brings "sqlite"
)

// CountRows returns how many rows each table of a database has.
func CountRows(t testing.TB, databaseURL string) map[string]int64 {
	t.Helper()
	counts := map[string]int64{}
	eachTable(t, databaseURL, func(db *sql.DB, table string) {
		var n int64
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM "`+table+`"`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		counts[table] = n
	})
	return counts
}

// ReadRows returns all that each table of a database holds, as text: what
// somebody sees who steals it.
func ReadRows(t testing.TB, databaseURL string) map[string]string {
	t.Helper()
	texts := map[string]string{}
	eachTable(t, databaseURL, func(db *sql.DB, table string) {
		rows, err := db.QueryContext(t.Context(), `SELECT * FROM "`+table+`"`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close() //nolint:errcheck // rows.Err tells
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for rows.Next() {
			cells, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range cells {
				into[i] = &cells[i]
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			for i, cell := range cells {
				if raw, ok := cell.([]byte); ok {
					cell = string(raw)
				}
				fmt.Fprintf(&text, "%s=%v\n", columns[i], cell)
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		texts[table] = text.String()
	})
	return texts
}

// Meddle runs a statement behind the store's back: a trigger or a table that is
// lost makes it fail at the moment that a test is about.
func Meddle(t testing.TB, databaseURL, statement string) {
	t.Helper()
	around(t, databaseURL, func(db *sql.DB) {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	})
}

// MeddleInOne is Meddle for several statements on one connection, which share its
// temporary tables.
func MeddleInOne(t testing.TB, databaseURL string, statements ...string) {
	t.Helper()
	around(t, databaseURL, func(db *sql.DB) {
		db.SetMaxOpenConns(1)
		for _, statement := range statements {
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("%v: %s", err, statement)
			}
		}
	})
}

// Query hands each row of a query, asked behind the store's back, to read.
func Query(t testing.TB, databaseURL, query string, read func(*sql.Rows) error) {
	t.Helper()
	around(t, databaseURL, func(db *sql.DB) {
		rows, err := db.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close() //nolint:errcheck // rows.Err tells
		for rows.Next() {
			if err := read(rows); err != nil {
				t.Fatal(err)
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	})
}

// eachTable goes around the store: what it does not know of counts too.
func eachTable(t testing.TB, databaseURL string, do func(db *sql.DB, table string)) {
	t.Helper()
	list := "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
	if isSQLite(databaseURL) {
		list = "SELECT name FROM sqlite_schema WHERE type = 'table'"
	}
	around(t, databaseURL, func(db *sql.DB) {
		for _, table := range column(t, db, list) {
			do(db, table)
		}
	})
}

func isSQLite(databaseURL string) bool { return strings.HasPrefix(databaseURL, "sqlite:") }

// around opens a database without the store.
func around(t testing.TB, databaseURL string, do func(db *sql.DB)) {
	t.Helper()
	driver, dsn := "pgx", databaseURL
	if isSQLite(databaseURL) {
		u, err := url.Parse(databaseURL)
		if err != nil {
			t.Fatal(err)
		}
		driver, dsn = "sqlite", u.Path+"?_pragma=busy_timeout(5000)"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	do(db)
}

func column(t testing.TB, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return names
}

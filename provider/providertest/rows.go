package providertest

import (
	"database/sql"
	"net/url"
	"strings"
	"testing"

	_ "github.com/glebarez/go-sqlite"  // the driver "sqlite"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// CountRows returns how many rows each table of a database has.
func CountRows(t testing.TB, databaseURL string) map[string]int64 {
	t.Helper()
	driver, dsn, list := "pgx", databaseURL, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
	if strings.HasPrefix(databaseURL, "sqlite:") {
		u, err := url.Parse(databaseURL)
		if err != nil {
			t.Fatal(err)
		}
		driver, dsn, list = "sqlite", u.Path, "SELECT name FROM sqlite_schema WHERE type = 'table'"
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
	counts := map[string]int64{}
	for _, table := range column(t, db, list) {
		var n int64
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM "`+table+`"`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		counts[table] = n
	}
	return counts
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

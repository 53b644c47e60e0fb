package providertest

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/storage"
)

// Names of the databases, as DOORSTEP_TEST_DATABASES and subtests have them.
const (
	onSQLite   = "sqlite"
	onPostgres = "postgres"
)

// matrix returns the databases that tests run on.
func matrix(t testing.TB) []string {
	t.Helper()
	names, err := namedIn("DOORSTEP_TEST_DATABASES", onSQLite, onPostgres)
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		return []string{onSQLite, onPostgres}
	}
	return names
}

// Databases runs a test on every database of the matrix, as a subtest of its
// name, with the URL of a migrated, empty one of its own.
func Databases(t *testing.T, run func(t *testing.T, url string)) {
	t.Helper()
	for _, name := range matrix(t) {
		t.Run(name, func(t *testing.T) { run(t, database(t, name)) })
	}
}

// Database returns the URL of a migrated, empty database that is this test's
// own, for a test that needs no particular one: SQLite, unless the matrix has
// it left out.
func Database(t testing.TB) string {
	t.Helper()
	names := matrix(t)
	if slices.Contains(names, onSQLite) {
		return SQLite(t)
	}
	return database(t, names[0])
}

func database(t testing.TB, name string) string {
	t.Helper()
	if name == onPostgres {
		return Postgres(t)
	}
	return SQLite(t)
}

// SQLite returns the URL of a migrated, empty database that is this test's own.
func SQLite(t testing.TB) string {
	t.Helper()
	url := "sqlite:///" + strings.TrimPrefix(filepath.ToSlash(filepath.Join(t.TempDir(), "doorstep.db")), "/")
	s, err := storage.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return url
}

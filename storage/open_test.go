package storage_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// TestSQLitePaths: the file is where the URL says, whatever is in its name.
func TestSQLitePaths(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for url, want := range map[string]string{
		"sqlite://" + dir + "/plain.db":              "plain.db",
		"sqlite://" + dir + "/a b/c d.db":            "a b/c d.db",
		"sqlite://" + dir + "/a%20b/e%3Ff%23g%25.db": "a b/e?f#g%.db",
		"sqlite://" + dir + "/å&x=y;z.db":            "å&x=y;z.db",
		"sqlite:///./relative.db":                    "relative.db",
		"sqlite:///./made/for/it.db":                 "made/for/it.db",
	} {
		s := open(t, url)
		if _, err := s.Migrate(t.Context()); err != nil {
			t.Errorf("%s: %v", url, err)
		}
		if info, err := os.Stat(filepath.Join(dir, want)); err != nil || info.Size() == 0 {
			t.Errorf("%s: no database in %q: %v", url, want, err)
		}
	}
}

// TestDatabaseURLIsRefused: with a sentence that names what is wrong and keeps
// the password to itself.
func TestDatabaseURLIsRefused(t *testing.T) {
	for url, says := range map[string]string{
		"":                            "scheme",
		"mysql://x/y":                 "mysql",
		"doorstep.db":                 "scheme",
		"sqlite://doorstep.db":        "sqlite:///",
		"sqlite:":                     "sqlite:///",
		"sqlite:relative.db":          "sqlite:///",
		"postgres://u:hunter2@h:x/db": "postgres://",
	} {
		s, err := storage.Open(t.Context(), url)
		if err == nil {
			t.Errorf("%q was opened (%v)", url, s.Close())
			continue
		}
		if !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: error %q, want it to say %q", url, err, says)
		}
	}
}

// TestUnreachablePostgresIsAnError at once, without the password.
func TestUnreachablePostgresIsAnError(t *testing.T) {
	_, err := storage.Open(t.Context(), "postgres://u:hunter2@/db?host="+t.TempDir())
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v", err)
	}
}

// TestSQLiteSettings: every connection of the pool has them, not only the first.
func TestSQLiteSettings(t *testing.T) {
	db := open(t, providertest.SQLite(t)).SQL()
	for range db.Stats().MaxOpenConnections {
		conn, err := db.Conn(t.Context()) // kept, so that the next one is another
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		})
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000"} {
			var got string
			if err := conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
				t.Errorf("PRAGMA %s is %q (%v), want %q", pragma, got, err, want)
			}
		}
	}
}

// TestSQLiteTransactionsBeginImmediate: those that read before they write, as
// migrations do, wait for each other. Deferred ones would begin together, and all
// that did not write first would fail.
func TestSQLiteTransactionsBeginImmediate(t *testing.T) {
	const writers = 32
	f := newFixture(t, providertest.SQLite(t))
	db := f.SQL()
	for _, err := range race(writers, func(int) error {
		tx, err := db.BeginTx(f.ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // does nothing after the commit
		var seen int
		if err := tx.QueryRowContext(f.ctx, "SELECT count(*) FROM throttles").Scan(&seen); err != nil {
			return err
		}
		// The key is taken if another found as many.
		if _, err := tx.ExecContext(f.ctx, "INSERT INTO throttles (key, due, expires_at) VALUES (?, 0, 0)", []byte{byte(seen)}); err != nil {
			return err
		}
		return tx.Commit()
	}) {
		f.must(err)
	}
}

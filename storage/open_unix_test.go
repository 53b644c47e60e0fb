//go:build unix

package storage_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestSQLiteFilesAreTheirOwners: whoever else has an account on the machine reads
// no password hashes. A file that was there keeps the mode that it was given.
func TestSQLiteFilesAreTheirOwners(t *testing.T) {
	mode := func(name string) fs.FileMode {
		t.Helper()
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	made, given := filepath.Join(t.TempDir(), "made.db"), filepath.Join(t.TempDir(), "given.db")
	if err := os.WriteFile(given, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(given, 0o640); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{made: 0o600, given: 0o640} {
		s := open(t, "sqlite://"+name)
		if _, err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{name, name + "-wal", name + "-shm"} {
			if got := mode(file); got != want {
				t.Errorf("%s has mode %o, want %o", filepath.Base(file), got, want)
			}
		}
	}
}

package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

// databaseSettings are what a command needs that works on the database.
var databaseSettings = []string{"issuer", "database.url", "keys.kek"}

// open opens the database whatever its schema.
func (c *config) open(ctx context.Context) (*storage.Store, error) {
	return storage.Open(ctx, c.Database, storage.WithMaxConns(c.MaxConnections))
}

// openStore opens the database with this binary's schema.
func (c *config) openStore(ctx context.Context) (*storage.Store, error) {
	store, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.fitSchema(ctx, store); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// schema is what a store knows of its own.
type schema interface {
	CheckSchema(ctx context.Context) error
	Migrations(ctx context.Context) ([]storage.Migration, error)
	Migrate(ctx context.Context) ([]storage.Migration, error)
}

// fitSchema makes the schema in a new SQLite file. Whatever has one is the operator's
// to bring up: a server, or another replica, may be running that needs it as it is.
func (c *config) fitSchema(ctx context.Context, s schema) error {
	err := s.CheckSchema(ctx)
	switch {
	case errors.Is(err, storage.ErrSchemaAhead):
		return c.refuse("database.url", "%v: a newer doorstep migrated it; run that one, or have it undo its steps with `doorstep migrate down`", err)
	case !errors.Is(err, storage.ErrSchemaBehind):
		return err
	}
	may := c.migrates
	if !may && !isPostgres(c.Database) {
		steps, err := s.Migrations(ctx)
		if err != nil {
			return err
		}
		may = !slices.ContainsFunc(steps, func(m storage.Migration) bool { return !m.Applied.IsZero() })
	}
	if !may {
		return c.refuse("database.url", "%v: back it up, run `doorstep migrate up` once, then start again", err)
	}
	_, err = s.Migrate(ctx)
	if err != nil && s.CheckSchema(ctx) == nil {
		return nil // another process was first
	}
	return err
}

// keyEncryptionKey returns the configured key. If there is none, the database is
// SQLite and the key is the file kek beside it, made here on the first start.
func (c *config) keyEncryptionKey(ctx context.Context, store *storage.Store) ([]byte, error) {
	if c.KEK != nil {
		return c.KEK, nil
	}
	path, err := c.kekPath()
	if err != nil {
		return nil, err
	}
	text, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		// A fresh key opens nothing that an older one sealed: say what is missing instead.
		sealed, storeErr := store.Keys(ctx)
		if storeErr != nil {
			return nil, storeErr
		}
		if len(sealed) > 0 {
			return nil, c.refuse("keys.kek", "is missing: the keys in %s were sealed with the key in %s, which is gone; put it back from your backup", redact(c.Database), path)
		}
		text, err = makeKEK(path)
	}
	if err != nil {
		return nil, fmt.Errorf("key-encryption key: %w", err)
	}
	kek, err := parseKEK(string(text))
	if err != nil {
		return nil, c.refuse("keys.kek", "the content of %s %v", path, err)
	}
	return kek, nil
}

// kekPath is the file beside the SQLite database.
func (c *config) kekPath() (string, error) {
	u, err := url.Parse(c.Database)
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(strings.TrimPrefix(u.Path, "/./")), "kek"), nil
}

// makeKEK writes a fresh key to path unless another process was first, and returns
// what stands there. The file appears whole or not at all.
func makeKEK(path string) ([]byte, error) {
	// CreateTemp makes files that only their owner may read or write.
	temp, err := os.CreateTemp(filepath.Dir(path), ".kek-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // under its real name it stays
	_, err = temp.WriteString(base64.StdEncoding.EncodeToString(keys.NewKEK()) + "\n")
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return nil, err
	}
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return readFile(path)
}

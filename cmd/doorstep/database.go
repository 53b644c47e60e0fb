package main

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/doorstep-id/doorstep/storage"
)

// databaseSettings are what a command needs that works on the database.
var databaseSettings = []string{"issuer", "database.url", "keys.kek", "keys.kek_accepted"}

// sqlitePath is the database's file; "" with Postgres.
func (c *config) sqlitePath() string {
	u, err := url.Parse(c.Database)
	if err != nil || isPostgres(c.Database) {
		return ""
	}
	return strings.TrimPrefix(u.Path, "/./")
}

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

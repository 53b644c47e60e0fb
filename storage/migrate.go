package storage

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations
var migrations embed.FS

// What is wrong with a schema that this binary cannot serve.
var (
	// ErrSchemaBehind: the database misses migrations that this binary has.
	ErrSchemaBehind = errors.New("storage: the database's schema is behind this binary")
	// ErrSchemaAhead: the database has migrations that this binary does not know, and
	// cannot live with.
	ErrSchemaAhead = errors.New("storage: the database's schema is ahead of this binary")
)

// Migration is one step of the schema.
type Migration struct {
	Version int64
	Name    string
	Applied time.Time // zero: pending
}

func (s *Store) migrator() (*goose.Provider, error) {
	sub, err := fs.Sub(migrations, "migrations/"+string(s.dialect))
	if err != nil {
		return nil, fmt.Errorf("storage: migrations: %w", err)
	}
	dialect, opts := goose.DialectSQLite3, []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if s.dialect == onPostgres {
		dialect = goose.DialectPostgres
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300)) // asked each second
		if err != nil {
			return nil, fmt.Errorf("storage: migration lock: %w", err)
		}
		opts = append(opts, goose.WithSessionLocker(briefLocks{locker}))
	}
	p, err := goose.NewProvider(dialect, s.sql, sub, opts...)
	if err != nil {
		return nil, fmt.Errorf("storage: migrations: %w", err)
	}
	return p, nil
}

// A step that changes a table waits for whoever reads it, such as a backup, and
// whoever wants the table meanwhile waits behind it: servers, too. So it waits but
// for a moment, lets them all by, and tries again.
const (
	lockWait  = time.Second
	lockPause = 2 * time.Second
	lockTries = 600 // half an hour
)

// briefLocks has the connection that migrates wait for no lock longer than lockWait.
type briefLocks struct{ lock.SessionLocker }

// SessionLock begins a session.
func (b briefLocks) SessionLock(ctx context.Context, conn *sql.Conn) error {
	if err := b.SessionLocker.SessionLock(ctx, conn); err != nil {
		return err
	}
	_, err := conn.ExecContext(ctx, fmt.Sprintf("SET lock_timeout = %d", lockWait.Milliseconds()))
	if err != nil {
		err = errors.Join(err, b.SessionLocker.SessionUnlock(context.WithoutCancel(ctx), conn))
	}
	return err
}

// SessionUnlock ends it: the connection goes back to the pool as it was.
func (b briefLocks) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "RESET lock_timeout")
	return errors.Join(err, b.SessionLocker.SessionUnlock(ctx, conn))
}

// patiently runs one step until it gets its locks.
func patiently[T any](ctx context.Context, step func(context.Context) (T, error)) (result T, err error) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for range lockTries {
		var pg *pgconn.PgError
		if result, err = step(ctx); !errors.As(err, &pg) || pg.Code != pgLockTimeout && pg.Code != pgDeadlock {
			return result, err
		}
		pause.Reset(lockPause)
		select {
		case <-ctx.Done():
			return result, errors.Join(ctx.Err(), err)
		case <-pause.C:
		}
	}
	return result, fmt.Errorf("something that takes long, such as a backup, holds a table that it changes; try again when that is over: %w", err)
}

// What Postgres says of a lock that was not got in time.
const (
	pgLockTimeout = "55P03"
	pgDeadlock    = "40P01"
)

// newestSchema is the last migration that this binary knows: they are numbered
// without a gap, the same on both databases.
func newestSchema() (int64, error) {
	steps, err := fs.ReadDir(migrations, "migrations/sqlite")
	if err != nil {
		return 0, fmt.Errorf("storage: migrations: %w", err)
	}
	return int64(len(steps)), nil
}

// Migrate brings the schema up to this binary's version and returns what it
// applied. Of several at once one runs, the others wait (Postgres). Servers may read and
// write meanwhile: each step has a session of its own, and waits but briefly for locks.
func (s *Store) Migrate(ctx context.Context) ([]Migration, error) {
	p, err := s.migrator()
	if err != nil {
		return nil, err
	}
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return nil, fmt.Errorf("storage: schema version: %w", err)
	}
	var done []Migration
	for version := current + 1; version <= target; version++ {
		results, err := patiently(ctx, func(ctx context.Context) ([]*goose.MigrationResult, error) { return p.UpTo(ctx, version) })
		if err != nil {
			return done, fmt.Errorf("storage: migrate up: %w", err)
		}
		done = append(done, applied(results)...)
	}
	return done, nil
}

// MigrateDown undoes the newest migration; nothing left to undo is no error.
func (s *Store) MigrateDown(ctx context.Context) ([]Migration, error) {
	p, err := s.migrator()
	if err != nil {
		return nil, err
	}
	result, err := patiently(ctx, p.Down)
	switch {
	case errors.Is(err, goose.ErrNoNextVersion):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("storage: migrate down: %w", err)
	}
	return applied([]*goose.MigrationResult{result}), nil
}

func applied(results []*goose.MigrationResult) []Migration {
	var ms []Migration
	for _, r := range results {
		ms = append(ms, Migration{Version: r.Source.Version, Name: r.Source.Path})
	}
	return ms
}

// Migrations returns every step that this binary knows, with when it was applied.
func (s *Store) Migrations(ctx context.Context) ([]Migration, error) {
	p, err := s.migrator()
	if err != nil {
		return nil, err
	}
	status, err := p.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("storage: migration status: %w", err)
	}
	var ms []Migration
	for _, st := range status {
		ms = append(ms, Migration{Version: st.Source.Version, Name: st.Source.Path, Applied: st.AppliedAt})
	}
	return ms, nil
}

// SchemaFloor is the one row that says which binaries can serve the schema: those
// that know the migration Oldest. A migration that a binary of before could not live
// with raises it.
type SchemaFloor struct {
	Oldest int64 `gorm:"primaryKey"`
}

// CheckSchema returns nil if this binary can serve the database: it is at the
// binary's version, or a newer binary migrated it and nothing that this one needs is
// gone, as while replicas are replaced one by one. Else ErrSchemaBehind or
// ErrSchemaAhead.
func (s *Store) CheckSchema(ctx context.Context) error {
	p, err := s.migrator()
	if err != nil {
		return err
	}
	current, target, err := p.GetVersions(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("storage: schema version: %w", err)
	case current < target:
		return fmt.Errorf("%w (%d < %d)", ErrSchemaBehind, current, target)
	case current == target:
		return nil
	}
	var floor SchemaFloor
	if err := s.db(ctx).Take(&floor).Error; err != nil {
		return fmt.Errorf("storage: schema floor: %w", translate(err))
	}
	if target < floor.Oldest {
		return fmt.Errorf("%w (%d > %d, and it serves from %d on)", ErrSchemaAhead, current, target, floor.Oldest)
	}
	return nil
}

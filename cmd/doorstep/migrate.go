package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/storage"
)

func (a *app) migrateCommand() *cobra.Command {
	up := &cobra.Command{
		Use:     "up",
		Short:   "Bring the database's schema up to this binary",
		Example: "  doorstep migrate up --database-url postgres://doorstep@db/doorstep",
		RunE:    a.migrates((*storage.Store).Migrate),
	}
	status := &cobra.Command{
		Use:     "status",
		Short:   "List the steps of the schema and when each was applied",
		Example: "  doorstep migrate status -o json",
		RunE:    a.onDatabase(a.printSchema),
	}
	down := &cobra.Command{
		Use:   "down",
		Short: "Undo the newest step of the schema",
		Long: `Undo the newest step of the schema, and with it whatever only that step's
tables and columns hold. Make a backup first.`,
		Example: "  doorstep migrate down",
		RunE:    a.migrates((*storage.Store).MigrateDown),
	}
	for _, cmd := range []*cobra.Command{up, status, down} {
		cmd.Args = cobra.NoArgs
		addSettingFlags(cmd, "database.url")
	}
	return a.group("migrate", "Change the database's schema", up, status, down)
}

// onDatabase runs f on the database whatever its schema.
func (a *app) onDatabase(f func(ctx context.Context, store *storage.Store) error) func(*cobra.Command, []string) error {
	return a.configured(func(ctx context.Context, cfg *config, _ []string) error {
		store, err := cfg.open(ctx)
		if err != nil {
			return err
		}
		return errors.Join(f(ctx, store), store.Close())
	})
}

// migrates runs one change of the schema and prints what is then.
func (a *app) migrates(change func(*storage.Store, context.Context) ([]storage.Migration, error)) func(*cobra.Command, []string) error {
	return a.onDatabase(func(ctx context.Context, store *storage.Store) error {
		if _, err := change(store, ctx); err != nil {
			return err
		}
		return a.printSchema(ctx, store)
	})
}

// schemaState says whether this binary can serve the schema.
func schemaState(ctx context.Context, store *storage.Store) (string, error) {
	switch err := store.CheckSchema(ctx); {
	case err == nil:
		return "current", nil
	case errors.Is(err, storage.ErrSchemaBehind):
		return "behind", nil
	case errors.Is(err, storage.ErrSchemaAhead):
		return "ahead", nil
	default:
		return "", err
	}
}

type printedMigration struct {
	Version int64   `json:"version"`
	Name    string  `json:"name"`
	Applied *string `json:"applied_at"`
}

func (a *app) printSchema(ctx context.Context, store *storage.Store) error {
	steps, err := store.Migrations(ctx)
	if err != nil {
		return err
	}
	state, err := schemaState(ctx, store)
	if err != nil {
		return err
	}
	out := struct {
		Schema string             `json:"schema"` // current, behind or ahead
		Steps  []printedMigration `json:"steps"`
	}{state, []printedMigration{}}
	for _, m := range steps {
		out.Steps = append(out.Steps, printedMigration{m.Version, m.Name, moment(storage.At(m.Applied))})
	}
	return a.print(out, func(w io.Writer) {
		for _, m := range out.Steps {
			row(w, strconv.FormatInt(m.Version, 10), m.Name, show(m.Applied))
		}
		fmt.Fprintf(w, "the schema is %s\n", state)
	})
}

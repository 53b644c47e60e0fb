package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

func (a *app) backupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write the whole database to a file, while servers run",
		Long: `Write the whole database to a file (- is stdout), as it is at one moment, while servers
run. The file is the same whichever database it is of, so that it also moves a house from
SQLite to Postgres. What is sealed stays sealed: 'doorstep restore' needs the key-encryption
key, which is not in the file. All else is in it in the clear, such as addresses and
password hashes: keep it as you keep the database.`,
		Example: `  doorstep backup /var/backups/doorstep-$(date +%F).backup
  doorstep backup - | age -r age1... > doorstep.backup.age`,
		Args: cobra.ExactArgs(1),
		RunE: a.configured(a.backup),
	}
	addSettingFlags(cmd, "database.url")
	return cmd
}

func (a *app) backup(ctx context.Context, cfg *config, args []string) (err error) {
	store, err := cfg.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	var made *storage.Backup
	write := func(w io.Writer) error {
		made, err = store.Backup(ctx, w, provider.ReadBuild().Version, keys.SealedWith)
		return err
	}
	if args[0] == "-" {
		return write(a.stdout)
	}
	if _, err := os.Lstat(args[0]); err == nil {
		return fmt.Errorf("%s is there already: name a file that is not", args[0])
	}
	if err := writeOnce(args[0], write); err != nil {
		return err
	}
	return a.printBackup(made, "")
}

func (a *app) printBackup(b *storage.Backup, more string) error {
	out := struct {
		MadeAt   *string  `json:"made_at"`
		Database string   `json:"database"`
		Schema   int64    `json:"schema"`
		Rows     int64    `json:"rows"`
		KEKs     []string `json:"keks"` // the key-encryption keys that it needs
	}{moment(storage.At(b.MadeAt)), b.Database, b.Schema, b.Rows, append([]string{}, b.KEKs...)}
	return a.print(out, func(w io.Writer) {
		fmt.Fprintf(w, "%d rows of %s as it was at %s.\n", b.Rows, b.Database, show(out.MadeAt))
		if len(b.KEKs) > 0 {
			fmt.Fprintf(w, "To restore them takes the key-encryption key %s, which is not in the file.\n", strings.Join(b.KEKs, " and "))
		}
		if more != "" {
			fmt.Fprintln(w, more)
		}
	})
}

func (a *app) restoreCommand() *cobra.Command {
	var revokeAll bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Fill an empty database from a backup",
		Long: `Fill an empty database from a backup of whichever kind of database: all of it, or with
an error nothing. It needs the key-encryption key that the backup names: beside an SQLite
database as the file kek, or as keys.kek. A backup of an older version is brought up to
this one's schema.

What ended after the backup was made lives again. --revoke-all ends every session and
grant in it and every access token that was issued until now: everybody signs in again.
People that were disabled, passwords, consents and signing keys that were changed since
are as they were: 'doorstep user disable' and 'doorstep key revoke' them again.`,
		Example: `  doorstep restore doorstep-2027-01-31.backup
  doorstep restore --revoke-all --database-url postgres://doorstep@db/doorstep doorstep-2027-01-31.backup`,
		Args: cobra.ExactArgs(1),
		RunE: a.configured(func(ctx context.Context, cfg *config, args []string) error {
			return a.restore(ctx, cfg, args[0], revokeAll)
		}),
	}
	cmd.Flags().BoolVar(&revokeAll, "revoke-all", false, "end every session, grant and access token that was made until now")
	addSettingFlags(cmd, databaseSettings...)
	return cmd
}

func (a *app) restore(ctx context.Context, cfg *config, path string, revokeAll bool) error {
	file, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it is only read
	// Everything is known to be good before anything is written, the file of an SQLite database included.
	found, err := storage.ReadBackup(file, keys.SealedWith)
	if err != nil {
		return explainBackup(err, path)
	}
	if err := cfg.canOpen(found); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := a.fill(ctx, cfg, file, revokeAll); err != nil {
		return explainBackup(err, path)
	}
	var chained int64
	err = a.withServices(ctx, cfg, func(s *provider.Services) error {
		chain, err := s.Store.Chain(ctx)
		if err != nil {
			return err
		}
		chained = chain.Number
		return s.Events.Record(ctx, events.Event{Kind: events.DatabaseRestored, Actor: events.ActorOperator, Data: map[string]string{
			"made_at": show(moment(storage.At(found.MadeAt))), "revoked_all": strconv.FormatBool(revokeAll), "chained": strconv.FormatInt(chained, 10),
		}})
	})
	if err != nil {
		return fmt.Errorf("everything was restored, but cannot be used: %w", err)
	}
	more := "What ended since then lives again: see 'doorstep restore --help'."
	if revokeAll {
		more = "Every session, grant and access token in it has ended: everybody signs in again."
	}
	more += fmt.Sprintf("\nEvents go on with number %d, whatever had that number after the backup was made: signed heads of the events from then\n"+
		"on do not fit, nor does a list that was read by number. Keep a new head: 'doorstep events head'.", chained+1)
	return a.printBackup(found, "They are in "+redact(cfg.Database)+". "+more)
}

func (a *app) fill(ctx context.Context, cfg *config, file io.Reader, revokeAll bool) (err error) {
	store, err := cfg.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	now, err := provider.MeasuredClock(ctx, store, a.now)
	if err != nil {
		return err
	}
	_, err = store.Restore(ctx, file, provider.Restoration(storage.At(now()), revokeAll))
	return err
}

// canOpen refuses a backup that needs a key-encryption key which is not given.
func (c *config) canOpen(b *storage.Backup) error {
	current, accepted, err := c.givenKEKs()
	if errors.Is(err, fs.ErrNotExist) {
		dir, _ := c.kekDir()
		return c.refuse("keys.kek", "is missing: the backup was sealed with the key %s; put it into %s as the file kek, or name its file in %s_FILE. Nothing was written",
			strings.Join(b.KEKs, " and "), dir, envName("keys.kek"))
	}
	if err != nil {
		return c.refuse("keys.kek", "%v", err)
	}
	given := []string{keys.KEKID(current)}
	for _, kek := range accepted {
		given = append(given, keys.KEKID(kek))
	}
	for _, id := range b.KEKs {
		if !slices.Contains(given, id) {
			return c.refuse("keys.kek", "is not the key-encryption key that the backup was sealed with: that has the id %s, given is %s. Nothing was written", id, strings.Join(given, " and "))
		}
	}
	return nil
}

// explainBackup says what an operator can do.
func explainBackup(err error, path string) error {
	switch {
	case errors.Is(err, storage.ErrBackup):
		return fmt.Errorf("%s cannot be restored, and nothing was written: %w", path, err)
	case errors.Is(err, storage.ErrSchemaAhead):
		return fmt.Errorf("%s is of a newer doorstep, and nothing was written: restore it with that one: %w", path, err)
	case errors.Is(err, storage.ErrNotEmpty):
		return fmt.Errorf("nothing was written: restore into a new database: %w", err)
	}
	return err
}

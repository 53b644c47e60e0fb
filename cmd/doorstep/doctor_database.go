package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

// database looks at the database and what hangs on it.
func (d *doctor) database(ctx context.Context) {
	const check = "database"
	if path := d.cfg.sqlitePath(); path != "" {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) { // to open it would make it
			d.warning(check, "`doorstep serve` makes it", "there is no %s yet", path)
			return
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 12*checkTime)
	defer cancel()
	store, err := d.cfg.open(ctx)
	if err != nil {
		d.fault(check, "start it, or correct database.url", "%s does not answer: %v", redact(d.cfg.Database), err)
		return
	}
	defer store.Close() //nolint:errcheck // it was only read
	facts, err := store.Facts(ctx)
	switch {
	case err != nil:
		d.fault(check, "look at the database's own log", "%v", err)
		return
	case facts.Damaged != "":
		d.fault(check, "stop the server, keep the file, and restore a backup", "the file is damaged: %s", facts.Damaged)
		return
	}
	d.ok(check, "%s %s answers, %s%s", facts.Engine, facts.Version, size(facts.Bytes), largest(facts.Tables))
	d.durability(facts)
	if !d.schema(ctx, store) {
		return
	}
	d.clock(ctx, store)
	d.keys(ctx, store)
	d.mails(ctx, store, "mails", storage.ByMail, d.cfg.SMTP != nil)
	if d.cfg.SMSURL != "" {
		d.mails(ctx, store, "text messages", storage.BySMS, true)
	}
	d.passkeys(ctx, store)
}

func largest(tables []storage.TableSize) string {
	if len(tables) == 0 {
		return ""
	}
	return fmt.Sprintf(", of which %s in %s", size(tables[0].Bytes), tables[0].Name)
}

func (d *doctor) durability(facts *storage.Facts) {
	const check = "durability"
	for _, setting := range facts.Unsafe {
		d.fault(check, "what a client was told may be gone after a crash; put it right", "%s", setting)
	}
	if len(facts.Unsafe) == 0 {
		d.ok(check, "what was written stays after a crash")
	}
	if facts.MaxConns > 0 && d.cfg.MaxConnections > facts.MaxConns/2 {
		d.warning("connections", "lower it, or raise max_connections of Postgres", "database.max_connections is %d for each replica, and Postgres takes %d", d.cfg.MaxConnections, facts.MaxConns)
	}
}

func (d *doctor) schema(ctx context.Context, store *storage.Store) (current bool) {
	const check = "schema"
	switch err := store.CheckSchema(ctx); {
	case errors.Is(err, storage.ErrSchemaBehind):
		d.fault(check, "run `doorstep backup`, then `doorstep migrate up`", "%v", err)
	case errors.Is(err, storage.ErrSchemaAhead):
		d.fault(check, "run the newer doorstep that migrated it", "%v", err)
	case err != nil:
		d.fault(check, "look at the database's own log", "%v", err)
	default:
		d.ok(check, "this binary can serve it")
		return true
	}
	return false
}

func (d *doctor) clock(ctx context.Context, store *storage.Store) {
	const check = "clock"
	drift, err := provider.Drift(ctx, store, d.now)
	switch {
	case err != nil:
		d.fault(check, "a server here is not ready until it is right", "%v", err)
	case drift.Abs() > 250*time.Millisecond:
		d.warning(check, "synchronise it (timedatectl set-ntp true)", "this machine is %s away from the database", drift.Round(time.Millisecond))
	default:
		d.ok(check, "this machine is %s away from the database", drift.Round(time.Millisecond))
	}
}

// keys looks at everything that is sealed, and at the keys that sign.
func (d *doctor) keys(ctx context.Context, store *storage.Store) {
	const check = "key-encryption key"
	made, err := store.Keys(ctx)
	if err != nil {
		d.fault(check, "look at the database's own log", "%v", err)
		return
	}
	current, accepted, err := d.cfg.givenKEKs()
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(made) == 0:
		d.warning(check, "`doorstep serve` makes it", "there is none yet")
		return
	case errors.Is(err, fs.ErrNotExist):
		d.fault(check, "put it back from your backup: without it what is sealed is lost", "it is missing: %v", err)
		return
	case err != nil:
		d.fault(check, "correct the file, or put it back from your backup", "%v", err)
		return
	}
	report, err := keys.Examine(ctx, keys.Config{KEK: current, AcceptedKEKs: accepted, RotateEvery: d.cfg.RotateEvery}, store, d.now)
	if err != nil {
		d.fault(check, "", "%v", err)
		return
	}
	for _, missing := range report.Missing() {
		d.fault(check, "give the key of that id as keys.kek or keys.kek_accepted", "%d records are sealed with the key %s, which is not given", missing.Records, missing.ID)
	}
	if len(report.Damaged) > 0 {
		d.fault(check, "restore a backup", "%d records that are sealed cannot be opened: %s", len(report.Damaged), strings.Join(report.Damaged, ", "))
	}
	if len(report.Missing()) > 0 || len(report.Damaged) > 0 {
		return
	}
	if older := slices.ContainsFunc(report.KEKs, func(u keys.KEKUse) bool { return !u.Current && u.Records > 0 }); older {
		d.warning(check, "run `doorstep key rotate-kek`", "it opens everything, but not everything is sealed with the current key %s", report.KEKs[0].ID)
	} else {
		d.ok(check, "%s opens all %d records", report.KEKs[0].ID, report.Records)
	}
	d.signingKeys(report.Keys)
	d.events(ctx, store, report)
}

// events looks at what keeps them from their place in the chain, and old ones from
// being deleted.
func (d *doctor) events(ctx context.Context, store *storage.Store, signed events.Verifier) {
	look, err := events.Examine(ctx, store, signed)
	if err != nil {
		d.fault("events", "look at the database's own log", "%v", err)
		return
	}
	d.eventHealth(look)
}

func (d *doctor) eventHealth(look events.Health) {
	const check = "events"
	switch {
	case look.Fault != nil:
		d.fault(check, "somebody wrote to the database; old events stay until it is mended (`doorstep events verify` walks them all)", "%v", look.Fault)
	case !look.Waiting.IsZero() && d.now().Sub(look.Waiting) > time.Minute:
		d.warning(check, "start a server; if one runs, its log's lines of the job events say why", "the oldest has been waiting for its number since %s", look.Waiting.Format(time.RFC3339))
	default:
		d.ok(check, "%d are chained", look.Number)
	}
}

func (d *doctor) signingKeys(all []keys.Key) {
	const check = "signing keys"
	var signing []string
	for _, k := range all {
		if k.State != keys.StateSigning {
			continue
		}
		next := "never"
		if !k.RotatesAt.IsZero() {
			next = k.RotatesAt.UTC().Format(time.DateOnly)
		}
		successor := slices.ContainsFunc(all, func(o keys.Key) bool { return o.Alg == k.Alg && o.State == keys.StateNext })
		if !k.RotatesAt.IsZero() && d.now().Sub(k.RotatesAt) > day && !successor {
			d.warning(check, "start a server, or run `doorstep key rotate`", "the %s key %s was due for a successor on %s, and no server has made one", k.Alg, k.KID, next)
		}
		signing = append(signing, fmt.Sprintf("%s since %s (next %s)", k.Alg, k.ActiveAt.UTC().Format(time.DateOnly), next))
	}
	if len(signing) == 0 {
		d.warning(check, "`doorstep serve` makes them", "there are none yet")
		return
	}
	d.ok(check, "%s", strings.Join(signing, ", "))
}

// kekFiles sees to it that nobody else reads the key-encryption keys.
func (d *doctor) kekFiles() {
	if runtime.GOOS == "windows" {
		return // it has no modes
	}
	for _, path := range d.kekPaths() {
		info, err := os.Stat(path)
		if err != nil {
			continue // that it is missing is said elsewhere
		}
		d.kekFile(path, info.Mode().Perm(), mountedReadOnly(path))
	}
}

// kekFile judges the mode of one. Compose, Swarm, Kubernetes and systemd mount secrets read-only
// for one container or service alone, with modes by which it can read them whoever it
// runs as: who else is on the machine does not see the mount.
func (d *doctor) kekFile(path string, mode fs.FileMode, mounted bool) {
	const check = "key file"
	switch {
	case mode&0o022 != 0:
		d.fault(check, "chmod 600 "+path, "others on this machine may change %s (mode %o)", path, mode)
	case mode&0o077 == 0:
		d.ok(check, "%s is its owner's alone", path)
	case mounted:
		d.ok(check, "%s (mode %o) is mounted read-only, as secrets of containers are", path, mode)
	case mode&0o007 == 0:
		d.warning(check, "see that nobody but the server is in it, or chmod 600 "+path, "the group of %s may read it (mode %o)", path, mode)
	default:
		d.fault(check, "chmod 600 "+path, "others on this machine may read %s (mode %o)", path, mode)
	}
}

// kekPaths are the files that hold key-encryption keys.
func (d *doctor) kekPaths() (paths []string) {
	for _, key := range []string{"keys.kek", "keys.kek_accepted"} {
		if _, path, ok := strings.Cut(d.cfg.values[key].from, " ("); ok { // NAME (path), as layers.go has it
			paths = append(paths, strings.TrimSuffix(path, ")"))
		}
	}
	dir, err := d.cfg.kekDir()
	if d.cfg.KEK != nil || isPostgres(d.cfg.Database) || err != nil {
		return paths
	}
	beside, _ := filepath.Glob(filepath.Join(dir, kekName+"*")) // the pattern is right
	return append(paths, beside...)
}

// Less free space than this is a fault, or worth a warning; in bytes.
const (
	tooFull    = 100 << 20
	nearlyFull = 1 << 30
)

// disk looks at the space that an SQLite database has to grow.
func (d *doctor) disk() {
	path := d.cfg.sqlitePath()
	if path == "" {
		return
	}
	if free, known := freeSpace(filepath.Dir(path)); known {
		d.space(filepath.Dir(path), free)
	}
}

func (d *doctor) space(dir string, free uint64) {
	const check, do = "disk", "make room, or move the database"
	is := fmt.Sprintf("%s free in %s", size(int64(min(free, 1<<62))), dir)
	switch {
	case free < tooFull:
		d.fault(check, do, "only %s: writes fail when it is full", is)
	case free < nearlyFull:
		d.warning(check, do, "%s", is)
	default:
		d.ok(check, "%s", is)
	}
}

// size writes a number of bytes as people do.
func size(bytes int64) string {
	for _, unit := range []struct {
		name string
		of   int64
	}{{"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}} {
		if bytes >= unit.of {
			return fmt.Sprintf("%.1f %s", float64(bytes)/float64(unit.of), unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", bytes)
}

package providertest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doorstep-id/doorstep/storage"
)

// A cluster is a Postgres of this process's own. It speaks on a socket only.
type cluster struct {
	bin      string // its programs
	dir      string // its data, its log and its socket
	settings []string
	attr     *syscall.SysProcAttr
	made     atomic.Int64 // databases so far
}

// quick keeps nothing safe; safe is what an operator has.
var (
	quick = []string{"fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off", "max_connections=200"}
	safe  = []string{"max_connections=200"}
)

const templateDatabase = "doorstep_template"

var postgres = sync.OnceValues(func() (*cluster, error) {
	root, err := scratch()
	if err != nil {
		return nil, err
	}
	return startPostgres(filepath.Join(root, "pg"), quick)
})

// postgresBin returns the directory of the newest Postgres here.
func postgresBin() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	newest, bin := 0, ""
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // Debian keeps it off PATH
	if err != nil {
		return "", err
	}
	for _, path := range found {
		dir := filepath.Dir(path)
		if version, err := strconv.Atoi(filepath.Base(filepath.Dir(dir))); err == nil && version > newest {
			newest, bin = version, dir
		}
	}
	if bin == "" {
		return "", missing{"no initdb on PATH or in /usr/lib/postgresql/*/bin; apt-get install postgresql"}
	}
	return bin, nil
}

// startPostgres starts a cluster in a new directory and makes the migrated database
// that each test gets a copy of.
func startPostgres(dir string, settings []string) (*cluster, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	attr, give, err := unprivileged()
	if err != nil {
		return nil, err
	}
	c := &cluster{bin: bin, dir: dir, attr: attr}
	c.settings = append([]string{"listen_addresses=''", "unix_socket_directories=" + c.dir}, settings...)
	if err := os.Mkdir(c.dir, 0o700); err != nil {
		return nil, err
	}
	if err := give(c.dir); err != nil {
		return nil, err
	}
	if err := c.run("initdb", "-D", c.data(), "-U", "doorstep", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"); err != nil {
		return nil, err
	}
	if err := atEnd(stopPostgres(c.data())); err != nil {
		return nil, err
	}
	if err := c.start(); err != nil {
		return nil, err
	}
	return c, c.makeTemplate()
}

func (c *cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *cluster) start() error {
	err := c.run("pg_ctl", "-D", c.data(), "-w", "-l", filepath.Join(c.dir, "log"), "-o", "-c "+strings.Join(c.settings, " -c "), "start")
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(c.dir, "log"))
		return fmt.Errorf("%w\n%s", err, log)
	}
	return nil
}

// stopPostgres is the shell line that stops a cluster at once, and waits for it
// to be gone, so that its files can be removed.
func stopPostgres(data string) string {
	pidFile := quote(filepath.Join(data, "postmaster.pid"))
	return fmt.Sprintf("if pid=$(head -n 1 %s 2>/dev/null); then kill -QUIT $pid; for i in $(seq 50); do kill -0 $pid 2>/dev/null || break; sleep 0.1; done; fi", pidFile)
}

func (c *cluster) run(program string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, program), args...)
	cmd.SysProcAttr, cmd.Dir = c.attr, c.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, out)
	}
	return nil
}

func (c *cluster) makeTemplate() error {
	ctx := context.Background()
	if err := c.exec(ctx, "CREATE DATABASE "+templateDatabase); err != nil {
		return err
	}
	s, err := storage.Open(ctx, c.url(templateDatabase))
	if err != nil {
		return err
	}
	if _, err := s.Migrate(ctx); err != nil {
		return err
	}
	return s.Close() // a database that is in use cannot be copied
}

// exec runs one statement outside of any test's database.
func (c *cluster) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}

// url returns the database URL of one of the cluster's databases.
func (c *cluster) url(database string) string {
	q := url.Values{"host": {c.dir}, "sslmode": {"disable"}}
	return (&url.URL{Scheme: "postgres", User: url.User("doorstep"), Path: "/" + database, RawQuery: q.Encode()}).String()
}

// Postgres returns the URL of a migrated, empty database that is this test's
// own, dropped when the test ends.
func Postgres(t testing.TB) string {
	t.Helper()
	c, err := postgres()
	need(t, needPostgres, err)
	name, err := c.copyTemplate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The test's own context is over by now. FORCE: a replica may still be connected.
		if err := c.exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return c.url(name)
}

func (c *cluster) copyTemplate(ctx context.Context) (string, error) {
	name := fmt.Sprintf("doorstep_%d", c.made.Add(1))
	return name, c.exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+templateDatabase)
}

// CutListeners ends the connections on which servers listen to what others change in
// a database of [Postgres], and returns how many there were.
func CutListeners(t testing.TB, databaseURL string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // it only asks
	const cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'doorstep (listening)'"
	if err := conn.QueryRow(t.Context(), cut).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

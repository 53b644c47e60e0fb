package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/glebarez/sqlite"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// Store is the database. It is safe for concurrent use.
type Store struct {
	gorm    *gorm.DB
	sql     *sql.DB
	dialect dialect
	// listening is how the one connection is made that Watch has on Postgres.
	listening *pgx.ConnConfig
	watch     watchTimes
	observer  atomic.Pointer[Observer]
	clock     func() time.Time // in place of the database's, if not nil
}

type dialect string

const (
	onPostgres dialect = "postgres"
	onSQLite   dialect = "sqlite"
)

// Option changes how a store is opened.
type Option func(*options)

type options struct {
	tracer   pgx.QueryTracer
	maxConns int
	clock    func() time.Time
}

// WithTracer has every statement that goes over a Postgres connection, BEGIN
// and COMMIT included, reported to t. SQLite has no tracer.
func WithTracer(t pgx.QueryTracer) Option { return func(o *options) { o.tracer = t } }

// WithMaxConns bounds the connections to Postgres, that of [Store.Watch] aside; the
// default is 8, near which its commits peak on a small machine.
func WithMaxConns(n int) Option { return func(o *options) { o.maxConns = n } }

// WithClock has [Store.Now] tell this time instead of the database's: for tests whose
// time moves when they say so.
func WithClock(now func() time.Time) Option { return func(o *options) { o.clock = now } }

// Open opens the database at rawURL, "sqlite:///path/to/file" or
// "postgres://user:password@host/name?options", and checks that it answers. It
// does not migrate: see [Store.Migrate] and [Store.CheckSchema].
func Open(ctx context.Context, rawURL string, opts ...Option) (*Store, error) {
	o := options{maxConns: 8}
	for _, opt := range opts {
		opt(&o)
	}
	scheme, _, _ := strings.Cut(rawURL, ":")
	var (
		s   *Store
		err error
	)
	switch scheme {
	case "sqlite":
		s, err = openSQLite(rawURL)
	case "postgres", "postgresql":
		s, err = openPostgres(rawURL, o)
	default:
		return nil, fmt.Errorf("storage: database URL: scheme %q is neither sqlite nor postgres", scheme)
	}
	if err != nil {
		return nil, err
	}
	s.clock = o.clock
	if err := s.Ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("storage: open database: %w", err), s.Close())
	}
	return s, nil
}

// gormConfig has gorm prepare nothing. pgx keeps its statements prepared itself, and
// SQLite's driver prepares at each use whatever one asks; and whoever waits for a
// connection to prepare a statement with would keep all others from that statement,
// the one included that they all wait for: the writer on SQLite.
func gormConfig() *gorm.Config {
	return &gorm.Config{
		SkipDefaultTransaction: true,
		TranslateError:         true,
		Logger:                 logger.Discard,
		DisableAutomaticPing:   true,
	}
}

// sqliteConns is the connections to SQLite: four that read and write, and that of Watch.
const sqliteConns = 5

// openSQLite opens a file with one writer at a time. Transactions begin
// immediate: a deferred one that reads, then writes, fails at once when another
// wrote in between, whatever the busy timeout.
func openSQLite(rawURL string) (*Store, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("storage: database URL: %w", err)
	}
	path := u.Path
	if u.Host != "" || path == "" {
		return nil, errors.New("storage: database URL: write sqlite:///absolute/path or sqlite:///./relative/path")
	}
	path = strings.TrimPrefix("/"+strings.TrimLeft(path, "/"), "/./") // four slashes, as others write it, mean three
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("storage: database directory: %w", err)
	}
	if err := createPrivate(path); err != nil {
		return nil, fmt.Errorf("storage: database file: %w", err)
	}
	q := url.Values{
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "cache_size(-2000)"},
		"_txlock": {"immediate"},
	}
	dsn := (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: q.Encode()}).String()
	dsn = strings.ReplaceAll(dsn, "%2F", "/")
	db, err := sql.Open(sqlite.DriverName, dsn)
	if err != nil {
		return nil, fmt.Errorf("storage: open %s: %w", path, err)
	}
	db.SetMaxOpenConns(sqliteConns)
	db.SetMaxIdleConns(sqliteConns)
	g, err := gorm.Open(&sqlite.Dialector{Conn: db}, gormConfig())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("storage: open %s: %w", path, err), db.Close())
	}
	return newStore(g, db, onSQLite), nil
}

// createPrivate makes the file of a new database, for its owner alone: it holds
// password hashes and addresses, and the driver would leave it to the umask. The
// files beside it (-wal, -shm) take its mode. One that exists keeps its own, and
// is not opened here: closing it would drop the locks that this process has on it.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the operator names the file
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

func openPostgres(rawURL string, o options) (*Store, error) {
	cfg, err := pgx.ParseConfig(rawURL)
	if err != nil {
		// The parser's own message may repeat the URL with its password.
		return nil, errors.New("storage: database URL: not a valid postgres:// URL")
	}
	cfg.Tracer = o.tracer
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "doorstep"
	}
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(o.maxConns)
	db.SetMaxIdleConns(o.maxConns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	g, err := gorm.Open(postgres.New(postgres.Config{Conn: db}), gormConfig())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("storage: open postgres: %w", err), db.Close())
	}
	// What listens is seen by no tracer: it runs no statement of a request.
	listening := cfg.Copy()
	listening.Tracer = nil
	s := newStore(g, db, onPostgres)
	s.listening = listening
	return s, nil
}

// newStore puts itself between gorm and the connections.
func newStore(g *gorm.DB, db *sql.DB, d dialect) *Store {
	s := &Store{gorm: g, sql: db, dialect: d, watch: defaultWatchTimes}
	g.ConnPool = connections{g.ConnPool, s}
	g.Statement.ConnPool = g.ConnPool
	return s
}

// Close closes every connection.
func (s *Store) Close() error { return s.sql.Close() }

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.sql.PingContext(ctx) }

// Now returns the database's clock; on SQLite it is this machine's own.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	if s.clock != nil {
		return s.clock(), nil
	}
	query := "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"
	if s.dialect == onSQLite {
		query = "SELECT CAST(unixepoch('subsec') * 1000000 AS integer)"
	}
	var micros int64
	if err := s.sql.QueryRowContext(ctx, query).Scan(&micros); err != nil {
		return time.Time{}, fmt.Errorf("read the database's clock: %w", err)
	}
	return time.UnixMicro(micros).UTC(), nil
}

// bytewise is how text is to be compared byte by byte, whatever the database's
// language.
func (s *Store) bytewise() string {
	if s.dialect == onSQLite {
		return " COLLATE BINARY"
	}
	return ` COLLATE "C"`
}

// among is the condition that the id in a column is one of a JSON[[]ID]: one
// statement to prepare, not one for each number of ids.
func (s *Store) among(column string) string {
	if s.dialect == onSQLite {
		return column + " IN (SELECT value FROM json_each(?))"
	}
	return column + " IN (SELECT CAST(v AS uuid) FROM jsonb_array_elements_text(CAST(? AS jsonb)) AS v)"
}

// db returns the handle for ctx.
func (s *Store) db(ctx context.Context) *gorm.DB { return s.gorm.WithContext(ctx) }

// translate turns the driver's errors into the sentinels that callers know.
func translate(err error) error {
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, gorm.ErrRecordNotFound), errors.Is(err, sql.ErrNoRows):
		return ErrNotFound
	case errors.Is(err, gorm.ErrDuplicatedKey), errors.As(err, &pg) && pg.Code == "23505":
		return fmt.Errorf("%w: %w", ErrConflict, err)
	case errors.Is(err, gorm.ErrForeignKeyViolated), errors.As(err, &pg) && pg.Code == "23503":
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}

// take reads the one row that the query selects into dst.
func take(query *gorm.DB, dst any) error { return translate(query.Take(dst).Error) }

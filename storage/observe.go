package storage

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
)

// An Observer is told of what goes over to the database. Its methods are called
// by many goroutines at once.
type Observer interface {
	// Begin is told of a statement that is about to be sent, and returns the ctx
	// that it is sent with. A statement has marks in the place of every value.
	Begin(ctx context.Context, statement string) context.Context
	// End is told of its end: ctx is what Begin returned, and err nil or the
	// driver's error. What a query's rows take to read is not in took.
	End(ctx context.Context, statement string, took time.Duration, err error)
	// Swept is told how many lapsed rows of a table one sweep deleted.
	Swept(table string, rows int64)
}

// Observe has o told from now on; there is one observer at most.
func (s *Store) Observe(o Observer) { s.observer.Store(&o) }

// Verb returns what a statement does, in one word of a few: select, insert, update,
// delete, begin, commit, rollback, with (a unit of several writes), or other.
func Verb(statement string) string {
	word, _, _ := strings.Cut(strings.TrimLeft(statement, "( \n\t"), " ")
	for _, known := range verbs {
		if strings.EqualFold(word, known) {
			return known
		}
	}
	return verbOther
}

const verbOther = "other"

var verbs = []string{"select", "insert", "update", "delete", "with", "begin", "commit", "rollback", verbOther}

// Verbs are all that [Verb] returns.
func Verbs() []string { return slices.Clone(verbs) }

// Pool says what the connections to the database do.
type Pool struct {
	InUse, Idle, Max int
	Waits            int64         // for a free connection, so far
	Waited           time.Duration // altogether
}

// Pool returns the state of the connections.
func (s *Store) Pool() Pool {
	p := s.sql.Stats()
	return Pool{InUse: p.InUse, Idle: p.Idle, Max: p.MaxOpenConnections, Waits: p.WaitCount, Waited: p.WaitDuration}
}

// connections are what gorm sends statements over, observed.
type connections struct {
	gorm.ConnPool
	s *Store
}

// observed sends a statement and tells the observer, if there is one.
func observed[T any](c connections, ctx context.Context, statement string, send func(context.Context) (T, error)) (T, error) { //nolint:revive // the receiver comes first
	told := c.s.observer.Load()
	if told == nil {
		return send(ctx)
	}
	began := time.Now() //nolint:forbidigo // how long it takes, not when it is
	ctx = (*told).Begin(ctx, statement)
	out, err := send(ctx)
	(*told).End(ctx, statement, time.Since(began), err) //nolint:forbidigo // as above
	return out, err
}

func (c connections) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return observed(c, ctx, query, func(ctx context.Context) (sql.Result, error) { return c.ConnPool.ExecContext(ctx, query, args...) })
}

func (c connections) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return observed(c, ctx, query, func(ctx context.Context) (*sql.Rows, error) { return c.ConnPool.QueryContext(ctx, query, args...) })
}

func (c connections) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	row, _ := observed(c, ctx, query, func(ctx context.Context) (*sql.Row, error) { // the row has its error
		row := c.ConnPool.QueryRowContext(ctx, query, args...)
		return row, row.Err()
	})
	return row
}

// BeginTx begins a transaction whose statements are observed too.
func (c connections) BeginTx(ctx context.Context, opts *sql.TxOptions) (gorm.ConnPool, error) {
	outer := context.WithoutCancel(ctx)
	return observed(c, ctx, "BEGIN", func(ctx context.Context) (gorm.ConnPool, error) {
		begins, ok := c.ConnPool.(gorm.TxBeginner)
		if !ok {
			return nil, errNoTx
		}
		tx, err := begins.BeginTx(ctx, opts)
		if err != nil {
			return nil, err
		}
		// The end of a transaction has no ctx of its own, and belongs where it began.
		return &transaction{connections{tx, c.s}, outer}, nil
	})
}

// GetDBConn serves gorm, which asks for what is below.
func (c connections) GetDBConn() (*sql.DB, error) { return c.s.sql, nil }

var errNoTx = errors.New("storage: the connection cannot begin a transaction")

// transaction is one that gorm began; a pointer, as gorm asks whether it is nil.
type transaction struct {
	connections
	ctx context.Context //nolint:containedctx // of its BEGIN
}

// Commit ends it for good.
func (t *transaction) Commit() error { return t.end("COMMIT", gorm.TxCommitter.Commit) }

// Rollback ends it as if it had not been.
func (t *transaction) Rollback() error { return t.end("ROLLBACK", gorm.TxCommitter.Rollback) }

func (t *transaction) end(statement string, end func(gorm.TxCommitter) error) error {
	_, err := observed(t.connections, t.ctx, statement, func(context.Context) (struct{}, error) {
		tx, ok := t.ConnPool.(gorm.TxCommitter)
		if !ok {
			return struct{}{}, errNoTx
		}
		return struct{}{}, end(tx)
	})
	return err
}

package providertest

import (
	"context"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
)

// Statements counts what reaches Postgres, BEGIN and COMMIT included; give it
// to storage.WithTracer. A statement is prepared once a connection, without
// being counted: run what is counted once before.
type Statements struct {
	mu  sync.Mutex
	log []string
}

var _ pgx.QueryTracer = (*Statements)(nil)

// TraceQueryStart implements pgx.QueryTracer.
func (s *Statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, data.SQL)
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (s *Statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// During returns the SQL of the statements that were sent while do ran, oldest
// first. Nothing else may use the store meanwhile.
func (s *Statements) During(do func()) []string {
	s.mu.Lock()
	before := len(s.log)
	s.mu.Unlock()
	do()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log[before:])
}

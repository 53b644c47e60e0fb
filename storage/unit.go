package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	"gorm.io/gorm/schema"
)

// Unit gathers the writes of one request until Flush carries them out
// together. It travels in ctx and belongs to one goroutine. No two of its writes
// may touch the same row: within one statement Postgres carries out one of them.
type Unit struct {
	writes []write
	then   []func()
}

type (
	unitKey  struct{}
	riderKey struct{} // of a write that goes with every unit, see [Store.DoOnce]
)

// WithUnit returns a ctx whose writes are gathered until [Store.Flush].
func WithUnit(ctx context.Context) context.Context {
	u := &Unit{}
	if rider, ok := ctx.Value(riderKey{}).(write); ok {
		u.writes = append(u.writes, rider)
	}
	return context.WithValue(ctx, unitKey{}, u)
}

// WithoutUnit returns a ctx whose writes are carried out at once, whatever unit ctx
// is in: for what has to be there although the unit may yet come to nothing.
func WithoutUnit(ctx context.Context) context.Context {
	return context.WithValue(ctx, unitKey{}, nil)
}

// Then runs fn once the unit in ctx was carried out, and not at all if it was not;
// without a unit at once. It is for waking somebody, who finds what was written.
func Then(ctx context.Context, fn func()) {
	if u, ok := ctx.Value(unitKey{}).(*Unit); ok {
		u.then = append(u.then, fn)
		return
	}
	fn()
}

// Together runs fn with a unit in its ctx and flushes it, so that a change and
// its event happen together. Inside another unit it joins that one and leaves
// the flushing to its owner.
func (s *Store) Together(ctx context.Context, fn func(ctx context.Context) error) error {
	if _, ok := ctx.Value(unitKey{}).(*Unit); ok {
		return fn(ctx)
	}
	ctx = WithUnit(ctx)
	if err := fn(ctx); err != nil {
		return err
	}
	return s.Flush(ctx)
}

// write is one statement, in a form that stands alone as well as inside a CTE.
type write struct {
	// For an insert: table, columns, one value per column, and what follows
	// (ON CONFLICT ...); in when, if set, without which it does nothing, and then
	// that one's values. For anything else text and args, ending in its WHERE
	// clause, and in rest what follows that.
	table   string
	columns []string
	args    []any
	when    string
	text    string
	rest    string
	// as, if set, is under which name the write after it finds what it returns. Only
	// Postgres knows how, and a unit holds one of each name.
	as, returns string
	// guard, if set, is what Flush returns, with nothing done, unless exactly
	// one row was touched.
	guard error
	// locks are taken before anything of the unit is read or written: what its
	// conditions found is so until it is done.
	locks []waitFor
}

// waitFor is a statement that makes others on Postgres wait, who send it as well, until
// the transaction ends. SQLite needs none: it has one writer at a time.
type waitFor struct {
	text string
	args []any
}

// Provided is what was read before a unit, and must still be so when that is carried out.
type Provided struct {
	condition string
	args      []any
}

// provided is w for whoever relies on all of that: its guard says that something is not so
// any more.
func (w write) provided(all []Provided) write {
	for _, one := range all {
		w = w.onlyIf(one.condition, one.args...)
	}
	return w
}

// onlyIf is w with another condition, without which it does nothing, and its values.
func (w write) onlyIf(condition string, args ...any) write {
	switch {
	case w.table == "":
		w.text += " AND " + condition
	case w.when == "":
		w.when = condition
	default:
		w.when += " AND " + condition
	}
	w.args = append(w.args, args...)
	return w
}

// do carries the write out now, or lets the unit in ctx carry it out at Flush.
func (s *Store) do(ctx context.Context, w write) error {
	if u, ok := ctx.Value(unitKey{}).(*Unit); ok {
		u.writes = append(u.writes, w)
		return nil
	}
	return s.locked(ctx, []write{w}, func(db *gorm.DB) error { return s.exec(db, w) })
}

// doAll is do for the writes of one change: all of them or none.
func (s *Store) doAll(ctx context.Context, writes ...write) error {
	return s.Together(ctx, func(ctx context.Context) error {
		for _, w := range writes {
			if err := s.do(ctx, w); err != nil {
				return err
			}
		}
		return nil
	})
}

// unitTries is how often writes are tried that wait for others who wait for them: such as those
// of two people who sign in with one browser at once. Postgres undoes those of one of the two.
const unitTries = 3

// locked runs fn with the locks of these writes, again where Postgres undid all of it. A statement
// sees what was committed when it began, so a lock that it took itself would come too late for
// what it reads.
func (s *Store) locked(ctx context.Context, writes []write, fn func(db *gorm.DB) error) (err error) {
	for range unitTries {
		var pg *pgconn.PgError
		if err = s.lockedOnce(ctx, writes, fn); !errors.As(err, &pg) || pg.Code != pgDeadlock {
			return err
		}
	}
	return err
}

func (s *Store) lockedOnce(ctx context.Context, writes []write, fn func(db *gorm.DB) error) error {
	var locks []waitFor
	for _, w := range writes {
		for _, l := range w.locks {
			if !slices.ContainsFunc(locks, func(had waitFor) bool { return had.text == l.text && slices.Equal(had.args, l.args) }) {
				locks = append(locks, l)
			}
		}
	}
	if s.dialect != onPostgres || len(locks) == 0 {
		return fn(s.db(ctx))
	}
	return translate(s.db(ctx).Transaction(func(tx *gorm.DB) error {
		for _, l := range locks {
			if err := tx.Exec(l.text, l.args...).Error; err != nil {
				return err
			}
		}
		return fn(tx)
	}))
}

// exec runs one write on its own.
func (s *Store) exec(db *gorm.DB, w write) error {
	res := db.Exec(w.render("", ""), w.args...)
	if res.Error != nil {
		return translate(res.Error)
	}
	// SQLite's driver may run nothing, and say nothing, when ctx ends between
	// taking the connection and using it.
	if err := db.Statement.Context.Err(); err != nil && s.dialect == onSQLite {
		return err
	}
	if w.guard != nil && res.RowsAffected != 1 {
		return w.guard
	}
	return nil
}

// render returns the statement; with given set it does nothing unless the CTE
// of that name has a row.
func (w write) render(given, returning string) string {
	var b strings.Builder
	if w.table == "" {
		b.WriteString(w.text)
		if given != "" {
			b.WriteString(" AND EXISTS (SELECT 1 FROM " + given + ")")
		}
		b.WriteString(w.rest)
	} else {
		b.WriteString("INSERT INTO " + w.table + " (" + strings.Join(w.columns, ", ") + ") ")
		marks := strings.TrimSuffix(strings.Repeat("?, ", len(w.columns)), ", ")
		var when []string
		if w.when != "" {
			when = append(when, w.when)
		}
		if given != "" {
			when = append(when, "EXISTS (SELECT 1 FROM "+given+")")
		}
		if len(when) == 0 {
			b.WriteString("VALUES ( " + marks + ")") // gorm spreads bytes that stand right after a parenthesis
		} else {
			b.WriteString("SELECT " + marks + " WHERE " + strings.Join(when, " AND "))
		}
		if w.text != "" {
			b.WriteString(" " + w.text)
		}
	}
	b.WriteString(returning)
	return b.String()
}

// Flush carries out every write gathered in ctx: all of them or none. It
// returns the error of the guard that failed (such as [ErrSpent]), if one did.
func (s *Store) Flush(ctx context.Context) error {
	u, ok := ctx.Value(unitKey{}).(*Unit)
	if !ok || len(u.writes) == 0 {
		return nil
	}
	writes, guards := guardFirst(u.writes)
	then := u.then
	u.writes, u.then = nil, nil
	if guards > 1 {
		return errors.New("storage: a unit can hold one guarded write only")
	}
	err := s.locked(ctx, writes, func(db *gorm.DB) error {
		switch {
		case len(writes) == 1:
			return s.exec(db, writes[0])
		case s.dialect == onPostgres:
			return flushPostgres(db, writes)
		default:
			return s.flushSQLite(db, writes)
		}
	})
	if err != nil {
		return err
	}
	for _, fn := range then {
		fn()
	}
	return nil
}

func guardFirst(in []write) (out []write, guards int) {
	for _, w := range in {
		if w.guard != nil {
			out = append(out, w)
			guards++
		}
	}
	for _, w := range in {
		if w.guard == nil {
			out = append(out, w)
		}
	}
	return out, guards
}

// flushPostgres sends one data-modifying statement: the guard's CTE is read by
// every other write, so that none of them happens unless it touched its row.
func flushPostgres(db *gorm.DB, writes []write) error {
	var (
		ctes  []string
		args  []any
		given string
	)
	if writes[0].guard != nil {
		given = writes[0].name(0)
	}
	for i, w := range writes {
		on := given
		if i == 0 {
			on = ""
		}
		ctes = append(ctes, w.name(i)+" AS ("+w.render(on, " RETURNING "+cmp.Or(w.returns, "1"))+")")
		args = append(args, w.args...)
	}
	var touched int64
	stmt := "WITH " + strings.Join(ctes, ", ") + " SELECT count(*) FROM " + writes[0].name(0)
	if err := db.Raw(stmt, args...).Row().Scan(&touched); err != nil {
		return translate(err)
	}
	if given != "" && touched != 1 {
		return writes[0].guard
	}
	return nil
}

// name is what the write in that place is called within the statement.
func (w write) name(place int) string { return cmp.Or(w.as, "w"+strconv.Itoa(place)) }

func (s *Store) flushSQLite(db *gorm.DB, writes []write) error {
	return translate(db.Transaction(func(tx *gorm.DB) error {
		for _, w := range writes {
			if err := s.exec(tx, w); err != nil {
				return err
			}
		}
		return nil
	}))
}

var schemas sync.Map

// insert returns the write that adds row, a pointer to an entity; onConflict
// is what follows VALUES.
func (s *Store) insert(ctx context.Context, row any, onConflict string) write {
	sch, err := schema.Parse(row, &schemas, s.gorm.NamingStrategy)
	if err != nil {
		panic(fmt.Sprintf("storage: entity %T: %v", row, err)) // a fault of our own struct
	}
	w := write{table: sch.Table, columns: sch.DBNames, text: onConflict}
	value := reflectValue(row)
	for _, name := range sch.DBNames {
		v, _ := sch.FieldsByDBName[name].ValueOf(ctx, value)
		w.args = append(w.args, v)
	}
	return w
}

package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
)

// Unavailable reports whether err says that the database could not answer, so
// that the same call may succeed later: unreachable, closed, overloaded, busy,
// full or read-only, or another transaction was in the way. Nothing was learned from it, neither yes nor no.
func Unavailable(err error) bool {
	var (
		network  net.Error
		connect  *pgconn.ConnectError
		postgres interface{ SQLState() string }
		lite     interface{ Code() int }
	)
	switch {
	case err == nil:
		return false
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone), errors.Is(err, sql.ErrTxDone),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return true
	case errors.As(err, &connect), errors.As(err, &network):
		return true
	case errors.As(err, &postgres):
		return unavailableState(postgres.SQLState())
	case errors.As(err, &lite):
		return unavailableCode(lite.Code())
	}
	return isClosed(err)
}

// Failed reports whether err, of a statement that an [Observer] is told of, says that
// the database failed. It did not when whoever asked went away, nor when a row was
// there already, which is an answer.
func Failed(err error) bool {
	var lite interface{ Code() int }
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(translate(err), ErrConflict):
		return false
	case errors.As(err, &lite):
		return lite.Code() != 1555 && lite.Code() != 2067 // SQLITE_CONSTRAINT_PRIMARYKEY, _UNIQUE
	}
	return true
}

// unavailableState reads a SQLSTATE (PostgreSQL, Appendix A): connection
// exception, transaction rollback (a deadlock, two that cannot be put in order),
// insufficient resources, operator intervention, system error, and a standby that
// cannot write.
func unavailableState(state string) bool {
	if state == "25006" {
		return true
	}
	switch state[:min(2, len(state))] {
	case "08", "40", "53", "57", "58":
		return true
	}
	return false
}

// unavailableCode reads an SQLite result code, extended or not.
func unavailableCode(code int) bool {
	switch code & 0xff {
	case 5, 6, 8, 9, 10, 13, 14: // BUSY, LOCKED, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN
		return true
	}
	return false
}

// isClosed knows the one error that database/sql keeps to itself.
func isClosed(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if err.Error() == "sql: database is closed" {
			return true
		}
	}
	return false
}

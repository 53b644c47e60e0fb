package storage

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Changes says of what there may be something new: of what servers keep in memory.
type Changes struct {
	ClientsAdded bool // registered: what was known of others holds
	Clients      bool // changed or deleted
	Resources    bool
	Keys         bool // signing keys, revoked ones included
}

// Everything is what may have changed while nobody watched.
var Everything = Changes{ClientsAdded: true, Clients: true, Resources: true, Keys: true}

// add notes a kind of change as the triggers of the migrations name it. Another name
// is one of a newer version, about something that this one does not keep.
func (c *Changes) add(kind string) {
	switch kind {
	case "clients_added":
		c.ClientsAdded = true
	case "clients":
		c.Clients = true
	case "resources":
		c.Resources = true
	case "keys":
		c.Keys = true
	}
}

// ErrDeaf says that what Postgres notifies of does not arrive, so that nothing can be
// watched.
var ErrDeaf = errors.New("storage: notifications of Postgres do not arrive: a connection pooler in transaction mode is in between, or the connection is dead")

// watchTimes are the times of [Store.Watch].
type watchTimes struct {
	poll     time.Duration // between two looks at SQLite
	gather   time.Duration // for which what Postgres tells of is gathered: bounds how often tell is called
	check    time.Duration // between two checks that notifications arrive
	patience time.Duration // for one to arrive, and for anything else on the way
}

var defaultWatchTimes = watchTimes{poll: 250 * time.Millisecond, gather: 50 * time.Millisecond, check: 10 * time.Second, patience: 3 * time.Second}

// Watch calls tell with what changed, whoever changed it, this process included,
// within a fraction of a second after the commit. It begins with [Everything], once
// it is sure to hear of what comes after that. It returns nil when ctx ends, else why
// it can watch no longer: what happens until it is called again goes unnoticed, so
// whoever keeps something in memory has an age limit for it too. ErrDeaf: trying
// again soon is of no use.
//
// It holds one connection: on Postgres one of its own, on which it listens to what
// the triggers notify of; on SQLite one of the pool, which never writes, so that it
// sees every commit of others, other processes included, by PRAGMA data_version. tell
// must not take long.
func (s *Store) Watch(ctx context.Context, tell func(Changes)) error {
	watch := s.watchSQLite
	if s.dialect == onPostgres {
		watch = s.watchPostgres
	}
	if err := watch(ctx, tell); ctx.Err() == nil {
		return err
	}
	return nil
}

// watchSQLite looks again and again. The version is in shared memory, and costs no
// read of the file; what was counted is asked for only when there was a commit.
func (s *Store) watchSQLite(ctx context.Context, tell func(Changes)) error {
	conn, err := s.sql.Conn(ctx)
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	defer conn.Close() //nolint:errcheck // it goes back to the pool
	tick := time.NewTicker(s.watch.poll)
	defer tick.Stop()
	version, counted := int64(-1), map[string]int64(nil)
	for {
		// Before the counts: what is committed in between is counted, and looked at once more.
		var latest int64
		if err := conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&latest); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		if latest != version {
			times, err := countChanges(ctx, conn)
			if err != nil {
				return fmt.Errorf("watch: %w", err)
			}
			if news := newsIn(times, counted); news != (Changes{}) {
				tell(news)
			}
			version, counted = latest, times
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// countChanges returns how often each kind of change happened.
func countChanges(ctx context.Context, conn *sql.Conn) (times map[string]int64, err error) {
	rows, err := conn.QueryContext(ctx, "SELECT kind, times FROM changes")
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err has it
	times = map[string]int64{}
	for rows.Next() {
		var kind string
		var n int64
		if err := rows.Scan(&kind, &n); err != nil {
			return nil, err
		}
		times[kind] = n
	}
	return times, rows.Err()
}

// newsIn says what happened since it was counted before; nil: never.
func newsIn(times, before map[string]int64) (news Changes) {
	if before == nil {
		return Everything
	}
	for kind, n := range times {
		if n != before[kind] {
			news.add(kind)
		}
	}
	return news
}

// watchPostgres listens. Now and then it notifies itself by way of the pool, as
// others would: a listener that fell silent, behind a pooler or on a connection that
// died without a word, looks like one who has nothing to tell.
func (s *Store) watchPostgres(ctx context.Context, tell func(Changes)) error {
	own := "doorstep_" + strings.ToLower(rand.Text()) // the channel of this listener
	l, err := s.listen(ctx, "doorstep_changes", own)
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	defer l.end()
	return s.attend(l, own, tell, func() error { return s.notify(ctx, own) })
}

// attend tells of what a listener hears until that ends. ask has something sent to the
// channel of its own.
func (s *Store) attend(l *listener, own string, tell func(Changes), ask func() error) error {
	var (
		sure, asked bool
		news        Changes
	)
	check, gathered := time.NewTimer(0), time.NewTimer(time.Hour)
	gathered.Stop()
	hear := func(told heard) {
		if told.Channel == own {
			asked = false
			check.Reset(s.watch.check)
			if !sure {
				sure = true
				tell(Everything)
			}
			return
		}
		if asked { // it hears, and what was asked comes later in the queue
			check.Reset(s.watch.patience)
		}
		if news == (Changes{}) {
			gathered.Reset(s.watch.gather)
		}
		news.add(told.Payload)
	}
	for {
		select {
		case <-l.done:
			return fmt.Errorf("watch: %w", l.err)
		case told := <-l.heard:
			hear(told)
		case <-gathered.C:
			if sure { // else it is part of everything
				tell(news)
			}
			news = Changes{}
		case <-check.C:
			if asked { // long ago; but tell, or this machine, may have taken that long, and what arrived is in the queue
				late := time.NewTimer(s.watch.gather)
				select {
				case told := <-l.heard:
					late.Stop()
					hear(told)
					continue
				case <-late.C:
					return ErrDeaf
				}
			}
			if err := ask(); err == nil {
				asked = true
				check.Reset(s.watch.patience)
			} else if !sure {
				return fmt.Errorf("watch: %w", err)
			} else {
				check.Reset(s.watch.check) // a pool in need says nothing about the listener
			}
		}
	}
}

// notify tells a channel nothing but that it can be heard.
func (s *Store) notify(ctx context.Context, channel string) error {
	ctx, cancel := context.WithTimeout(ctx, s.watch.patience)
	defer cancel()
	_, err := s.sql.ExecContext(ctx, "SELECT pg_notify($1, '')", channel)
	return err
}

// listener is a connection to Postgres that only hears.
type listener struct {
	heard chan heard
	done  chan struct{} // closed at its end
	err   error         // why it ended
	stop  func()
}

// heard is a notification.
type heard struct{ Channel, Payload string }

// listen opens a listener to these channels, which are names that need no quotes.
func (s *Store) listen(ctx context.Context, channels ...string) (*listener, error) {
	opening, cancel := context.WithTimeout(ctx, s.watch.patience)
	defer cancel()
	cfg := s.listening.Copy()
	cfg.RuntimeParams["application_name"] += " (listening)"
	cfg.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol // several statements at once
	conn, err := pgx.ConnectConfig(opening, cfg)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(opening, "LISTEN "+strings.Join(channels, "; LISTEN ")); err != nil {
		return nil, errors.Join(err, conn.Close(opening))
	}
	ctx, stop := context.WithCancel(ctx)
	l := &listener{heard: make(chan heard), done: make(chan struct{}), stop: stop}
	go func() {
		defer close(l.done)
		l.err = l.receive(ctx, conn)
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.watch.patience)
		defer cancel()
		_ = conn.Close(closing) // nothing was under way on it
	}()
	return l, nil
}

// receive passes on what is heard until ctx or the connection ends.
func (l *listener) receive(ctx context.Context, conn *pgx.Conn) error {
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		select {
		case l.heard <- heard{n.Channel, n.Payload}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// end closes the connection and returns when nothing of the listener is left.
func (l *listener) end() {
	l.stop()
	<-l.done
}

package storage

import (
	"database/sql"
	"errors"
	"time"
)

// SessionsWithLateClients is the query, for a test that asks how it is carried out.
const SessionsWithLateClients = sessionsWithLateClients

// SQL is the pool of connections, for tests that look behind the store.
func (s *Store) SQL() *sql.DB { return s.sql }

// WatchOften has Watch check all the time that it hears.
func (s *Store) WatchOften() { s.watch.check = 10 * time.Millisecond }

// WatchImpatiently has Watch wait for nothing that long.
func (s *Store) WatchImpatiently() { s.watch.patience = 500 * time.Millisecond }

// Heard is a notification.
type Heard = heard

// Attend is how Watch attends to a listener on Postgres, in very little time: to what
// arrives, until done is closed.
func Attend(arrives chan Heard, done chan struct{}, own string, tell func(Changes), ask func() error) error {
	s := &Store{watch: watchTimes{gather: time.Millisecond, check: time.Millisecond, patience: 20 * time.Millisecond}}
	return s.attend(&listener{heard: arrives, done: done, err: errEnded}, own, tell, ask)
}

var errEnded = errors.New("it ended")

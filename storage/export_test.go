package storage

import (
	"database/sql"
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

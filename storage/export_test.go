package storage

import "database/sql"

// SQL is the pool of connections, for tests that look behind the store.
func (s *Store) SQL() *sql.DB { return s.sql }

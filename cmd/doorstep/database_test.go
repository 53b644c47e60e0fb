package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// steps is the schema of a database that lacks, or has, some steps.
type steps struct {
	pending  int // the last ones
	foreign  bool
	raced    bool // another process makes it meanwhile
	all      []storage.Migration
	migrated bool
}

func (s *steps) CheckSchema(context.Context) error {
	switch {
	case s.foreign:
		return storage.ErrSchemaAhead
	case s.pending > 0 && !s.migrated:
		return storage.ErrSchemaBehind
	}
	return nil
}

func (s *steps) Migrations(context.Context) ([]storage.Migration, error) {
	s.all = make([]storage.Migration, 3)
	for i := range len(s.all) - s.pending {
		s.all[i].Applied = time.Unix(1, 0)
	}
	return s.all, nil
}

func (s *steps) Migrate(context.Context) ([]storage.Migration, error) {
	if s.raced {
		s.pending = 0
		return nil, errors.New("table keys already exists")
	}
	s.migrated = true
	return s.all, nil
}

// TestOnlyNewDatabasesAreMigratedUnasked: who has data decides when its schema
// changes, and makes a backup first.
func TestOnlyNewDatabasesAreMigratedUnasked(t *testing.T) {
	const sqlite, postgres = "sqlite:///./doorstep.db", "postgres://db/doorstep"
	for _, tc := range []struct {
		name, database string
		is             steps
		demo           bool
		migrates       bool
		says           string // a part of the refusal; "" for none
	}{
		{name: "current SQLite", database: sqlite},
		{name: "new SQLite", database: sqlite, is: steps{pending: 3}, migrates: true},
		{name: "new SQLite that another start made meanwhile", database: sqlite, is: steps{pending: 3, raced: true}},
		{name: "older SQLite", database: sqlite, is: steps{pending: 1}, says: "run `doorstep migrate up` once"},
		{name: "the demo's older SQLite", database: sqlite, is: steps{pending: 1}, demo: true, migrates: true},
		{name: "the demo's newer SQLite", database: sqlite, is: steps{foreign: true}, demo: true, says: "a newer doorstep migrated it"},
		{name: "newer SQLite", database: sqlite, is: steps{foreign: true}, says: "a newer doorstep migrated it"},
		{name: "new Postgres", database: postgres, is: steps{pending: 3}, says: "run `doorstep migrate up` once"},
		{name: "older Postgres", database: postgres, is: steps{pending: 1}, says: "run `doorstep migrate up` once"},
	} {
		cfg := &config{settings: settings{Database: tc.database}, migrates: tc.demo}
		err := cfg.fitSchema(t.Context(), &tc.is)
		var refused *configError
		switch {
		case tc.says == "" && err != nil:
			t.Errorf("%s: %v", tc.name, err)
		case tc.says != "" && (!errors.As(err, &refused) || !strings.Contains(err.Error(), tc.says)):
			t.Errorf("%s: %v, want a fault of the configuration that says %q", tc.name, err, tc.says)
		}
		if tc.is.migrated != tc.migrates {
			t.Errorf("%s: migrated: %v", tc.name, tc.is.migrated)
		}
	}
}

// TestDemoBringsItsDatabaseUp: nobody operates a demo.
func TestDemoBringsItsDatabaseUp(t *testing.T) {
	cfg, err := (&demo{data: t.TempDir(), port: 8080, shopPort: 8081}).config()
	if err != nil || !cfg.migrates {
		t.Errorf("%v, %v", cfg.migrates, err)
	}
}

package main

import (
	"database/sql" //nolint:depguard // it plays somebody who goes around the house
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// meddle FILE STATEMENT runs a statement on a SQLite database behind doorstep's back.
func meddle(ts *testscript.TestScript, _ bool, args []string) {
	db, err := sql.Open("sqlite", filepath.ToSlash(ts.MkAbs(args[0]))+"?_pragma=foreign_keys(1)")
	ts.Check(err)
	defer func() { ts.Check(db.Close()) }()
	_, err = db.Exec(args[1])
	ts.Check(err)
}

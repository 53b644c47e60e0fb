package main_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	command "github.com/doorstep-id/doorstep/cmd/doorstep"
	"github.com/doorstep-id/doorstep/provider/providertest"
)

// TestScriptsOfMeddling runs testdata/meddled: somebody goes around the house, by
//
//	meddle FILE STATEMENT
//
// which runs a statement on a SQLite database behind doorstep's back.
func TestScriptsOfMeddling(t *testing.T) {
	params := command.ScriptParams("meddled")
	params.Cmds["meddle"] = func(ts *testscript.TestScript, _ bool, args []string) {
		database := "sqlite:///" + strings.TrimPrefix(filepath.ToSlash(ts.MkAbs(args[0])), "/")
		providertest.Meddle(t, database, args[1])
	}
	testscript.Run(t, params)
}

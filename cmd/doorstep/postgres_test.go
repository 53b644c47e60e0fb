package main_test

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	command "github.com/doorstep-id/doorstep/cmd/doorstep"
	"github.com/doorstep-id/doorstep/provider/providertest"
)

// TestScriptsOnPostgres runs testdata/postgres on a database of its own.
func TestScriptsOnPostgres(t *testing.T) {
	testscript.Run(t, command.ScriptParams("postgres", "DOORSTEP_DATABASE__URL="+providertest.Postgres(t)))
}

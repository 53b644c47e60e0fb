package main_test

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	command "github.com/doorstep-id/doorstep/cmd/doorstep"
	"github.com/doorstep-id/doorstep/provider/providertest"
)

// TestScriptsOnPostgres runs testdata/postgres, each script on a database of its own.
func TestScriptsOnPostgres(t *testing.T) {
	scripts, err := filepath.Glob("testdata/postgres/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("%d scripts: %v", len(scripts), err)
	}
	for _, script := range scripts {
		params := command.ScriptParams("", "DOORSTEP_DATABASE__URL="+providertest.Postgres(t))
		params.Dir, params.Files = "", []string{script}
		testscript.Run(t, params)
	}
}

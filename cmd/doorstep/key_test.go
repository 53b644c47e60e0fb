package main

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

// TestRotatePrintsWhatItMadeBeforeAnError: those keys are published, and who
// rotates has to know. A rival retires the next key while this one makes its successor.
func TestRotatePrintsWhatItMadeBeforeAnError(t *testing.T) {
	database := "sqlite://" + filepath.ToSlash(filepath.Join(t.TempDir(), "doorstep.db"))
	var stdout, stderr bytes.Buffer
	a := &app{
		stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, now: time.Now,
		environ: []string{"DOORSTEP_DATABASE__URL=" + database, "DOORSTEP_KEYS__KEK=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="},
	}
	if code := a.run([]string{"key", "list"}); code != exitOK {
		t.Fatal(stderr.String())
	}
	rival, err := storage.Open(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := rival.Close(); err != nil {
			t.Error(err)
		}
	}()
	came := false
	a.now = func() time.Time {
		all, err := rival.Keys(t.Context())
		if err != nil {
			t.Error(err)
		}
		if len(all) > 3 && !came { // the first successor is there
			came = true
			for _, k := range all {
				if at := storage.At(time.Now()); k.Alg == keys.EdDSA {
					if err := rival.RetireKey(t.Context(), k.KID, at, at); err != nil {
						t.Error(err)
					}
				}
			}
		}
		return time.Now()
	}
	stdout.Reset()
	if code := a.run([]string{"key", "rotate"}); code != exitFailure {
		t.Errorf("exit code %d, want %d", code, exitFailure)
	}
	if got := stdout.String(); strings.Count(got, " next ") != 1 || !strings.Contains(got, " ES256 ") {
		t.Errorf("printed %q, want the one key that was made", got)
	}
	if got := stderr.String(); !strings.Contains(got, "somebody else is rotating the EdDSA key") {
		t.Errorf("said %q", got)
	}
}

// A command that signs nothing has no RSA key made: that would be most of its time.
func TestCommandsMakeNoKeyThatTheyDoNotNeed(t *testing.T) {
	database := "sqlite://" + filepath.ToSlash(filepath.Join(t.TempDir(), "doorstep.db"))
	var stdout, stderr bytes.Buffer
	a := &app{
		stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, now: time.Now,
		environ: []string{"DOORSTEP_DATABASE__URL=" + database},
	}
	if code := a.run([]string{"client", "create", "--id", "job", "--name", "Night job", "--type", "service"}); code != exitOK {
		t.Fatal(stderr.String())
	}
	store, err := storage.Open(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	made, err := store.Keys(t.Context())
	if err := errors.Join(err, store.Close()); err != nil {
		t.Fatal(err)
	}
	for _, k := range made {
		if k.Alg == keys.RS256 {
			t.Error("an RSA key was made")
		}
	}
	if len(made) == 0 {
		t.Error("no key was made, so the key-encryption key is not tied to the database")
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
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

// TestRevokingTheKeyThatSignsSaysWhatItBreaks: in words before it is done, and as
// data with the successor's id.
func TestRevokingTheKeyThatSignsSaysWhatItBreaks(t *testing.T) {
	database := "sqlite://" + filepath.ToSlash(filepath.Join(t.TempDir(), "doorstep.db"))
	var stdout, stderr bytes.Buffer
	a := &app{
		stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, now: time.Now,
		environ: []string{"DOORSTEP_DATABASE__URL=" + database, "DOORSTEP_KEYS__JWKS_MAX_AGE=20m"},
	}
	run := func(code int, args ...string) (out, said string) {
		t.Helper()
		stdout.Reset()
		stderr.Reset()
		if got := a.run(args); got != code {
			t.Fatalf("%v: exit code %d, want %d: %s", args, got, code, stderr.String())
		}
		return stdout.String(), stderr.String()
	}
	list := func() (all []printedKey) {
		t.Helper()
		out, _ := run(exitOK, "key", "list", "-o", "json")
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := list()
	kid := before[slices.IndexFunc(before, func(k printedKey) bool { return k.Alg == keys.ES256 })].KID
	for _, want := range []string{"Access tokens that it signed are refused", "nobody has to sign in again", "20m at most", "--yes"} {
		if _, said := run(exitUsage, "key", "revoke", kid); !strings.Contains(said, want) {
			t.Errorf("said %q, want %q", said, want)
		}
	}
	if len(list()) != len(before) {
		t.Fatal("something was done without --yes")
	}
	out, _ := run(exitOK, "key", "revoke", kid, "--yes", "-o", "json")
	var told struct {
		KID, State string
		Successor  printedKey
		Breaks     []string
	}
	if err := json.Unmarshal([]byte(out), &told); err != nil {
		t.Fatal(err)
	}
	if told.KID != kid || told.State != "revoked" || told.Successor.State != "signing" || !strings.Contains(strings.Join(told.Breaks, " "), told.Successor.KID) {
		t.Errorf("told %+v", told)
	}
	for _, k := range list() {
		if k.KID == kid && k.State != "revoked" || k.KID == told.Successor.KID && k.State != "signing" {
			t.Errorf("listed %+v", k)
		}
	}
}

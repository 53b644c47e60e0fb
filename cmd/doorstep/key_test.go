package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

// TestRotatePrintsWhatItMadeBeforeAnError: those keys are published, and who
// rotates has to know. A rival changes the next key while this one makes its successor.
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
			all = slices.DeleteFunc(all, func(k storage.Key) bool { return k.Alg != keys.EdDSA })
			if err := rival.ReplanKeys(t.Context(), all, storage.At(time.Now()), nil); err != nil {
				t.Error(err)
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
// data with the successor's id. A new key is unknown to all who cached the published
// keys; a next one to those who did so before it was published.
func TestRevokingTheKeyThatSignsSaysWhatItBreaks(t *testing.T) {
	database := "sqlite://" + filepath.ToSlash(filepath.Join(t.TempDir(), "doorstep.db"))
	var stdout, stderr bytes.Buffer
	a := &app{
		stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, now: time.Now,
		environ: []string{"DOORSTEP_DATABASE__URL=" + database, "DOORSTEP_KEYS__KEK=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "DOORSTEP_KEYS__JWKS_MAX_AGE=20m"},
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
	unknown := regexp.MustCompile(`(\S+) at most`)
	// revoke revokes the key that signs, whose successor some do not know for so
	// long, and returns that one.
	revoke := func(atLeast, atMost time.Duration) string {
		t.Helper()
		wantUnknown := func(text string) {
			t.Helper()
			found := unknown.FindStringSubmatch(text)
			if found == nil {
				t.Errorf("%q does not say how long", text)
			} else if d, err := time.ParseDuration(found[1]); err != nil || d < atLeast || d > atMost || d%time.Second != 0 {
				t.Errorf("%q: %v, %v, want %v to %v", text, d, err, atLeast, atMost)
			}
		}
		before := list()
		kid := before[slices.IndexFunc(before, func(k printedKey) bool { return k.Alg == keys.ES256 && k.State == "signing" })].KID
		wants := []string{"Access tokens that it signed are refused", "nobody has to sign in again", "may not know", " at most"}
		_, said := run(exitUsage, "key", "revoke", kid)
		for _, want := range append(wants, "--yes") {
			if !strings.Contains(said, want) {
				t.Errorf("said %q, want %q", said, want)
			}
		}
		wantUnknown(said)
		if !slices.EqualFunc(list(), before, func(a, b printedKey) bool { return a.KID == b.KID && a.State == b.State }) {
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
		if told.KID != kid || told.State != "revoked" || told.Successor.State != "signing" || told.Successor.KID == kid {
			t.Errorf("told %+v", told)
		}
		breaks := strings.Join(told.Breaks, " ")
		for _, want := range wants {
			if !strings.Contains(breaks, want) {
				t.Errorf("told %q, want %q", breaks, want)
			}
		}
		wantUnknown(breaks)
		for _, k := range list() {
			if k.KID == kid && k.State != "revoked" || k.KID == told.Successor.KID && k.State != "signing" {
				t.Errorf("listed %+v", k)
			}
		}
		return told.Successor.KID
	}
	revoke(20*time.Minute+5*time.Second, 20*time.Minute+5*time.Second)
	next := rotatedAgo(t, database, 20*time.Minute, 6*time.Minute)
	if signs := revoke(13*time.Minute, 14*time.Minute+5*time.Second); signs != next {
		t.Errorf("%s signs now, want the next key, %s", signs, next)
	}
}

// rotatedAgo does what 'key rotate --algorithm ES256' did that long ago, and returns
// the next key.
func rotatedAgo(t *testing.T, database string, maxAge, ago time.Duration) string {
	t.Helper()
	store, err := storage.Open(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	then, err := keys.New(t.Context(), keys.Config{KEK: []byte("01234567890123456789012345678901"), JWKSMaxAge: maxAge}, store,
		func() time.Time { return time.Now().Add(-ago) })
	if err != nil {
		t.Fatal(err)
	}
	var next keys.Key
	if err := store.Together(t.Context(), func(ctx context.Context) (err error) {
		next, err = then.Rotate(ctx, keys.ES256)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return next.KID
}

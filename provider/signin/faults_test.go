package signin_test

import (
	"database/sql"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/throttle"
)

// behind is a way to the tables around the store. Tests of what happens when it
// fails run on SQLite: there a trigger can fail in the right moment.
func behind(t *testing.T, databaseURL string) func(statement string) {
	t.Helper()
	u, err := url.Parse(databaseURL)
	must(t, err)
	db, err := sql.Open("sqlite", u.Path+"?_pragma=busy_timeout(5000)")
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return func(statement string) {
		t.Helper()
		_, err := db.ExecContext(t.Context(), statement)
		must(t, err)
	}
}

// Nobody guessed at anything when we could not look: a person who tries again
// and again while the house is in trouble is not slowed down for it afterwards.
func TestOurOwnFaultsCostNoTries(t *testing.T) {
	databaseURL := providertest.SQLite(t)
	h := open(t, databaseURL)
	do := behind(t, databaseURL)
	b := h.browser()
	path := b.start("")
	tries := func(password string, status int) {
		t.Helper()
		for i := range throttle.SignInAddress.Burst + 1 {
			if res := b.signIn(path, ada, password); res.StatusCode != status {
				t.Fatalf("try %d: %d, want %d", i, res.StatusCode, status)
			}
		}
	}
	tries(strings.Repeat("x", 2000), http.StatusRequestEntityTooLarge)
	do("ALTER TABLE passwords RENAME TO lost")
	tries(rightPassword, http.StatusInternalServerError)
	do("ALTER TABLE lost RENAME TO passwords")
	for i := range throttle.SignInStrangers.Burst {
		if res := b.signIn(path, ada, "guess"); res.StatusCode != http.StatusUnprocessableEntity {
			t.Fatalf("guess %d: %d", i, res.StatusCode)
		}
	}
	if res := b.signIn(path, ada, "guess"); res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a guess too many: %d", res.StatusCode)
	}
}

// A proof replaced the session's secret: whatever fails after that, the browser
// gets the new one, or it would hold one that opens nothing.
func TestAProofReachesTheBrowserWhateverComesAfter(t *testing.T) {
	databaseURL := providertest.SQLite(t)
	b := open(t, databaseURL).browser().signedIn()
	path := b.start("prompt=login")
	before := b.cookie("session")
	// The same request is answered in another tab, between the proof and its answer.
	behind(t, databaseURL)(`CREATE TRIGGER other_tab AFTER UPDATE OF secret_hash ON sessions
		BEGIN UPDATE interactions SET spent_at = NEW.seen_at; END`)
	if res := b.signIn(path, ada, rightPassword); res.StatusCode != http.StatusGone {
		t.Fatalf("%d %s, want the page that says so", res.StatusCode, res.body)
	}
	if home := b.get("/"); b.cookie("session") == before || !strings.Contains(home.body, ada) {
		t.Error("who just signed in is signed out")
	}
	if b.cookie("device") == "" {
		t.Error("the browser was forgotten")
	}
}

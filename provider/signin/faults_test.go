package signin_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/throttle"
)

// Nobody guessed at anything when we could not look: a person who tries again
// and again while the house is in trouble is not slowed down for it afterwards.
func TestOurOwnFaultsCostNoTries(t *testing.T) {
	databaseURL := providertest.SQLite(t)
	h := open(t, databaseURL)
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
	providertest.Meddle(t, databaseURL, "ALTER TABLE passwords RENAME TO lost")
	tries(rightPassword, http.StatusInternalServerError)
	providertest.Meddle(t, databaseURL, "ALTER TABLE lost RENAME TO passwords")
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
	providertest.Meddle(t, databaseURL, `CREATE TRIGGER other_tab AFTER UPDATE OF secret_hash ON sessions
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

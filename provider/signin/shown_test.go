package signin_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// bothSignedIn has ada sign in, up to consent, and then bob in another tab: he
// is the current one. It returns where ada's request waits.
func (b *browser) bothSignedIn() (waits string) {
	b.t.Helper()
	b.person(bob, rightPassword)
	b.wantStep(b.signIn(b.start(""), ada, rightPassword), "/signin/consent")
	waits = b.start("prompt=consent")
	if page := b.get(waits); !strings.Contains(page.body, ada) {
		b.t.Fatalf("not ada's: %s", page.body)
	}
	return waits
}

// otherTab has bob sign in beside ada.
func (b *browser) otherTab() {
	b.t.Helper()
	path := b.start("prompt=select_account")
	b.wantStep(b.send(path, "account", "other"), "/signin/password")
	_, query, _ := strings.Cut(path, "?")
	b.wantStep(b.signIn("/signin/password?"+query, bob, rightPassword), "/signin/consent")
}

// A yes is that of the person on the page: whoever signs in in another tab before
// the button is pressed has agreed to nothing, and is asked.
func TestConsentIsGivenByWhomThePageShowed(t *testing.T) {
	h := open(t, providertest.Database(t))
	consented := func(email string) bool {
		t.Helper()
		person, err := h.Directory.ByEmail(t.Context(), email)
		must(t, err)
		_, err = h.Store.ConsentOf(t.Context(), person.ID, clientID)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	b := h.browser()
	path := b.bothSignedIn()
	adas := b.filled(path, "decision", "allow")
	b.otherTab()
	for name, session := range map[string][]string{"ada's page": adas["session"], "no session": nil, "none of this browser": {string(storage.NewID())}} {
		adas["session"] = session
		if again := b.post(path, adas); again.to() != path {
			t.Errorf("%s: %d to %q, want the page again", name, again.StatusCode, again.to())
		}
	}
	adas.Set("decision", "deny")
	b.wantStep(b.post(path, adas), "/signin/consent") // a no is hers as well
	if page := b.get(path); page.StatusCode != http.StatusOK || !strings.Contains(page.body, bob) || strings.Contains(page.body, ada) {
		t.Fatalf("bob is not asked: %s", page.body)
	}
	if consented(ada) || consented(bob) {
		t.Fatalf("ada agreed %v, bob agreed %v", consented(ada), consented(bob))
	}
	if got := b.finish(b.send(path, "decision", "allow")); got.Get("code") == "" {
		t.Errorf("bob's own yes: %v", got)
	}
	if consented(ada) || !consented(bob) {
		t.Errorf("ada agreed %v, bob agreed %v", consented(ada), consented(bob))
	}
}

// Who is signed out is whom the page named, asked by a client or not.
func TestSignOutIsOfWhomThePageShowed(t *testing.T) {
	for name, asked := range map[string]string{
		"by the person": "/signout",
		"by a client":   "/oauth2/end_session?client_id=" + clientID + "&post_logout_redirect_uri=" + url.QueryEscape(leftTo),
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, providertest.Database(t)).browser()
			b.bothSignedIn()
			path := asked
			if to := b.get(asked).to(); to != "" {
				path = to
			}
			adas := b.filled(path, "decision", "signout")
			b.otherTab()
			before := b.cookie("session")
			if again := b.post(path, adas); again.to() != path {
				t.Errorf("ada's page: %d to %q, want the page again", again.StatusCode, again.to())
			}
			adas.Del("session")
			if again := b.post(path, adas); again.to() != path {
				t.Errorf("without a session: %d to %q, want the page again", again.StatusCode, again.to())
			}
			if home := b.get("/"); b.cookie("session") != before || !strings.Contains(home.body, bob) {
				t.Fatalf("somebody was signed out: %s", home.body)
			}
			page := b.get(path)
			if page.StatusCode != http.StatusOK || !strings.Contains(page.body, bob) || strings.Contains(page.body, ada) {
				t.Fatalf("not about bob: %s", page.body)
			}
			if left := b.send(path, "decision", "signout"); left.StatusCode != http.StatusSeeOther || left.to() == path {
				t.Errorf("bob's page: %d to %q", left.StatusCode, left.to())
			}
			if home := b.get("/"); !strings.Contains(home.body, ada) {
				t.Error("ada was signed out as well")
			}
		})
	}
}

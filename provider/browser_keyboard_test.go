package provider_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// tabTo goes on by the tabulator key until what has the focus begins with this, which
// shows that it has it, and fails the test unless it passes these on its way.
func (v *tour) tabTo(t *testing.T, name string, past ...string) {
	t.Helper()
	var passed []string
	for range 30 {
		v.Press(kb.Tab)
		at := v.Focus()
		if strings.HasPrefix(at, name) {
			if !slices.EqualFunc(passed, past, strings.HasPrefix) {
				t.Errorf("on the way to %s the focus passes %q, want %q, at %s", name, passed, past, v.URL())
			}
			return
		}
		passed = append(passed, at)
	}
	t.Fatalf("no way to %s by the keyboard at %s; passed %q", name, v.URL(), passed)
}

// wantFocus waits until that has the focus: a browser gives it with the first picture.
func (v *tour) wantFocus(t *testing.T, name string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		at := v.Focus()
		if strings.HasPrefix(at, name) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%q has the focus at %s, want %s", at, v.URL(), name)
		}
	}
}

// TestBrowserKeyboard: somebody who has nothing but a keyboard signs in, adds an
// authenticator app, recovery codes and a passkey, proves by each, signs out elsewhere
// and here: by the tabulator, enter, space and what they type. The focus is where the
// page goes on, and is seen at each stop.
func TestBrowserKeyboard(t *testing.T) {
	v, ada := passkeyTour(t)
	elsewhere := v.p.Browser().SignIn("ada")
	elsewhere.Authorize(v.rp, "openid")
	arrives := func(what string, status int, heading string) {
		t.Helper()
		if got := v.Text("h1"); status != http.StatusOK || got != heading {
			t.Fatalf("%s: status %d, %q at %s: %s", what, status, got, v.URL(), v.Text("main"))
		}
	}
	const again = "Please confirm that it is you"

	// Signing in: the first field has the focus, a problem takes it and leads to its field.
	arrives("signing in", v.Open(v.p.URL(web.PathSecurity)), "Sign in")
	v.wantFocus(t, "#identifier")
	v.Type(ada.Email)
	v.tabTo(t, "#password")
	v.Type("not mine")
	if status := v.Send(kb.Enter); status != http.StatusUnprocessableEntity {
		t.Fatalf("a wrong password: status %d", status)
	}
	v.wantFocus(t, "#problem")
	v.tabTo(t, "a ")
	v.Press(kb.Enter)
	v.wantFocus(t, "#password")
	v.Type(ada.Password)
	v.tabTo(t, "button") // which shows the password
	v.Press(" ")
	if v.Eval("document.querySelector('#password').type") != "text" {
		t.Error("space does not show the password")
	}
	v.wantFocus(t, "#password")
	v.Press(kb.Tab, true)
	v.wantFocus(t, "#identifier")
	v.tabTo(t, "button Sign in", "#password", "button ")
	arrives("signed in", v.Send(" "), "Security")

	// An authenticator app.
	v.tabTo(t, "a Add an authenticator app", "a Add a passkey", "a Change the password")
	arrives("adding an app", v.Send(kb.Enter), "Add an authenticator app")
	seed := v.Text(".seed")
	v.tabTo(t, "#code", "a Open an app on this device")
	v.Type(code(t, seed, v.p.Clock.Now()))
	arrives("added", v.Send(kb.Enter), "Security")

	// Recovery codes, for which the app is asked.
	v.p.Clock.Advance(time.Minute)
	v.tabTo(t, "a Make recovery codes", "a Add a passkey", "a Change the password", "a Authenticator app", "a Add an authenticator app")
	if status := v.Send(kb.Enter); v.Text("h1") == again {
		arrives("the code", status, again)
		v.wantFocus(t, "#code")
		v.Type(code(t, seed, v.p.Clock.Now()))
		arrives("more codes", v.Send(kb.Enter), "Recovery codes")
	}
	v.tabTo(t, "button Make new codes")
	arrives("new codes", v.Send(" "), "Your recovery codes")
	v.tabTo(t, "a I have put them away", "button Copy")
	arrives("codes", v.Send(kb.Enter), "Security")

	// A passkey.
	device := v.Authenticator(providertest.AuthenticatorKind{Verifies: true, Synced: true})
	v.tabTo(t, "a Add a passkey")
	arrives("adding a passkey", v.Send(kb.Enter), "Add a passkey")
	v.tabTo(t, "#name")
	v.Type("My laptop")
	v.tabTo(t, "button Add a passkey")
	arrives("a passkey", v.Send(kb.Enter), "Security")
	if !strings.HasPrefix(v.Text(".choice"), "My laptop") || device.Passkeys() != 1 {
		t.Errorf("no passkey was added: %s", v.Text("main"))
	}
	device.Away()

	// Signing out elsewhere: what asks back is opened by space.
	v.Open(v.p.URL(web.PathSessions))
	v.tabTo(t, "summary Sign out everywhere else")
	v.Press(" ")
	v.tabTo(t, "button")
	arrives("elsewhere", v.Send(kb.Enter), "Where you are signed in")
	elsewhere.Ask(v.rp, "openid", silently).WantError("login_required")

	// And here.
	v.Open(v.p.URL(web.PathSignOut))
	v.tabTo(t, "button=signout")
	v.Send(kb.Enter)

	// The second factor of an app that wants more than a password.
	v.p.Clock.Advance(time.Minute)
	v.Open(v.rp.AuthorizationURL("openid", providertest.With("acr_values", "aal2")))
	v.wantFocus(t, "#identifier")
	v.Type(ada.Email)
	v.tabTo(t, "#password")
	v.Type(ada.Password)
	arrives("the second factor", v.Send(kb.Enter), again)
	v.tabTo(t, "a Use a code of your authenticator app", "button Use your passkey")
	arrives("the code", v.Send(kb.Enter), again)
	v.wantFocus(t, "#code")
	v.Type(code(t, seed, v.p.Clock.Now()))
	v.Send(kb.Enter)
	if id := v.token(t); id["acr"] != "aal2" {
		t.Errorf("acr %v", id["acr"])
	}

	// And the passkey for the next.
	v.p.Clock.Advance(time.Minute)
	arrives("once more", v.Open(v.rp.AuthorizationURL("openid", providertest.With("acr_values", "phr"))), again)
	v.tabTo(t, "button Use your passkey")
	device.Here()
	v.Send(kb.Enter)
	if id := v.token(t); id["acr"] != "phr" {
		t.Errorf("acr %v", id["acr"])
	}
}

package provider_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// passkeyTour is a tour of somebody who may have passkeys.
func passkeyTour(t *testing.T, options ...providertest.Option) (*tour, *providertest.Person) {
	t.Helper()
	v := &tour{Page: providertest.Chromium(t), p: providertest.Start(t, append(options, providertest.At(time.Now()))...), site: openSite(t)}
	v.rp = v.p.Client("web", v.site.at("/callback"), providertest.FirstParty)
	return v, v.p.Person("ada")
}

const usePasskey = "[data-passkey] button"

// stopped is what the page says once nothing came of asking.
const stopped = `new Promise(told => {
	const words = document.querySelector("[data-passkey] [role=status]")
	const look = setInterval(() => { if (!words.hidden) { clearInterval(look); told(words.textContent) } }, 10)
})`

// awaitCode does what has the browser go to the client by itself, and waits for that.
func (v *tour) awaitCode(t *testing.T, begin func()) {
	t.Helper()
	before := len(v.site.codes())
	begin()
	for end := time.Now().Add(20 * time.Second); len(v.site.codes()) == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no code: %s at %s", v.Text("main"), v.URL())
		}
	}
}

// addPasskey adds a passkey to the account of who is signed in here, or signs in by
// the password before.
func (v *tour) addPasskey(t *testing.T, ada *providertest.Person, name string) {
	t.Helper()
	v.Open(v.p.URL(web.PathSecurityAddPasskey))
	if v.Has("#identifier") {
		v.prove(ada.Email, ada.Password)
	}
	v.Fill("#name", name)
	v.Follow(submit)
	if !v.Has("[role=status]") || !strings.Contains(v.Text("main"), name) {
		t.Fatalf("no passkey was added: %s at %s", v.Text("main"), v.URL())
	}
}

// token is the ID token that came of the answer just shown.
func (v *tour) token(t *testing.T) map[string]any {
	t.Helper()
	if v.Text("h1") != "GET, code true" {
		t.Fatalf("no code: %s at %s", v.Text("body"), v.URL())
	}
	v.site.mu.Lock()
	answer := v.site.answers[len(v.site.answers)-1]
	v.site.mu.Unlock()
	v.rp.Arrived(answer)
	return v.p.Verify(v.rp.Exchange(answer.Get("code")).OK().ID).Claims
}

// wantNotices: the person was told of every change, by mail, with what it was about: pairs
// of a kind and a name.
func wantNotices(t *testing.T, p *providertest.P, box *providertest.Mailbox, person *providertest.Person, about ...string) {
	t.Helper()
	p.DeliverMails()
	got := box.Got()
	if len(got)*2 != len(about) {
		t.Fatalf("%d mails, want %d", len(got), len(about)/2)
	}
	for i := 0; i < len(about); i += 2 {
		kind, name := about[i], about[i+1]
		found := slices.IndexFunc(got, func(m providertest.Received) bool { // they are sent side by side
			return m.To == person.Email && strings.Contains(m.Text, kind) && strings.Contains(m.Text, name) &&
				(strings.Contains(m.Text, p.URL(web.PathNotMe)+"?") || strings.Contains(m.Text, p.URL(web.PathActivity)+"\n")) && strings.Contains(m.Text, "Linux")
		})
		if found < 0 {
			t.Errorf("no mail of %s %q", kind, name)
			continue
		}
		got = slices.Delete(got, found, found+1)
	}
}

func (v *tour) signOut() {
	v.Open(v.p.URL(web.PathSignOut))
	v.Follow("button[value=signout]")
}

// TestBrowserPasskeys: somebody adds a passkey, comes back with it, gives it a name and
// takes it away.
func TestBrowserPasskeys(t *testing.T) {
	box := providertest.NewMailbox(t)
	v, ada := passkeyTour(t, providertest.WithMailbox(box))
	device := v.Authenticator(providertest.AuthenticatorKind{Verifies: true, Synced: true})
	v.Open(v.p.URL(web.PathSecurity))
	v.prove(ada.Email, ada.Password)
	if got := v.Text("h1"); got != "Security" || v.Has(".choices") {
		t.Fatalf("%s at %s", got, v.URL())
	}
	v.addPasskey(t, ada, "My phone")
	if got := v.Text(".choice"); !strings.HasPrefix(got, "My phone") || !strings.Contains(got, "not used yet") || device.Passkeys() != 1 {
		t.Errorf("%d passkeys, %s", device.Passkeys(), got)
	}

	// The browser offers it in the field of the address; this one takes it by itself.
	v.signOut()
	v.awaitCode(t, func() { v.Open(v.rp.AuthorizationURL("openid")) })
	if id := v.token(t); id["acr"] != "aal2" || fmt.Sprint(id["amr"]) != "[mfa swk]" {
		t.Errorf("acr %v, amr %v", id["acr"], id["amr"])
	}

	// Somebody who just proved a passkey may give it another name, and take it away.
	v.Open(v.p.URL(web.PathSecurity))
	if got := v.Text(".choice"); !strings.Contains(got, "last used") {
		t.Error(got)
	}
	v.Follow(".choice")
	v.Fill("#name", "")
	if status := v.Follow("button[value=rename]"); status != http.StatusUnprocessableEntity || !v.Has("#problem") {
		t.Errorf("no name: status %d, %s", status, v.Text("main"))
	}
	v.Fill("#name", "Blue key")
	v.Follow("button[value=rename]")
	if got := v.Text(".choice strong"); got != "Blue key" {
		t.Error(got)
	}
	v.Follow(".choice")
	v.Click("summary")
	v.Follow("button[value=remove]")
	if v.Has(".choice") {
		t.Error(v.Text("main"))
	}

	// What it proved counts no more.
	v.Open(v.rp.AuthorizationURL("openid"))
	if v.Has("#password") {
		v.Fill("#password", ada.Password)
		v.Follow(submit)
	}
	if id := v.token(t); id["acr"] != "aal1" {
		t.Errorf("after its end: acr %v, amr %v", id["acr"], id["amr"])
	}
	wantNotices(t, v.p, box, ada, "Passkey", "My phone", "Passkey", "Blue key")
	all, err := v.p.Store.Events(t.Context(), 50)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []events.Kind{events.FactorAdded, events.FactorRenamed, events.FactorRemoved} {
		if !slices.ContainsFunc(all, func(e storage.Event) bool { return e.Kind == string(kind) && e.PersonID == ada.ID }) {
			t.Errorf("no event %s", kind)
		}
	}
}

// TestBrowserPasskeyAsSecondFactor: an app that wants more than a password gets it from
// whoever has a passkey, and is told what it got.
func TestBrowserPasskeyAsSecondFactor(t *testing.T) {
	for _, c := range []struct {
		name, acr, amr string
		kind           providertest.AuthenticatorKind
	}{
		{"a key without a lock", "aal3", "[hwk mfa pwd]", providertest.AuthenticatorKind{Roams: true}},
		{"a device's own", "aal3", "[hwk mfa pwd]", providertest.AuthenticatorKind{Verifies: true}},
		{"one that is on several devices", "aal2", "[mfa pwd swk]", providertest.AuthenticatorKind{Verifies: true, Synced: true}},
		{"phishing-resistant", "phr", "[swk]", providertest.AuthenticatorKind{Verifies: true, Synced: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, ada := passkeyTour(t)
			device := v.Authenticator(c.kind)
			v.addPasskey(t, ada, "My key")
			device.Away()
			v.signOut()
			v.Open(v.rp.AuthorizationURL("openid", providertest.With("acr_values", c.acr)))
			v.prove(ada.Email, ada.Password)
			if !v.Has(usePasskey) || v.Text("h1") != "Please confirm that it is you" {
				t.Fatalf("%s at %s", v.Text("main"), v.URL())
			}
			v.Screenshot("passkey")
			v.Axe()
			device.Here()
			v.Follow(usePasskey)
			if id := v.token(t); id["acr"] != c.acr || fmt.Sprint(id["amr"]) != c.amr {
				t.Errorf("acr %v, amr %v, want %s %s", id["acr"], id["amr"], c.acr, c.amr)
			}
		})
	}
}

// TestBrowserPasskeyRefuses: who gives up, and whose device does not know them, is told
// so calmly and may take the password; which is one factor, and the passkey the other.
func TestBrowserPasskeyRefuses(t *testing.T) {
	v, ada := passkeyTour(t)
	device := v.Authenticator(providertest.AuthenticatorKind{Verifies: true})
	v.addPasskey(t, ada, "My laptop")
	v.signOut()
	device.Refuses(true)
	v.Open(v.rp.AuthorizationURL("openid"))
	v.Click(usePasskey)
	if got := v.Eval(stopped); got != "That came to nothing. You can try again." {
		t.Error(got)
	}
	v.prove(ada.Email, ada.Password)
	v.Click(usePasskey)
	if got := v.Eval(stopped); got != "That came to nothing. You can try again." || v.Text("label") == "" {
		t.Errorf("%v: %s", got, v.Text("main"))
	}
	v.Screenshot("passkey-second")
	v.Axe()
	device.Refuses(false)
	v.Follow(usePasskey)
	v.token(t)

	v.p.Clock.Advance(11 * time.Minute)
	// Who has a passkey is asked for it where proofs are changed; the password is not as much.
	v.Open(v.p.URL(web.PathSecurityAddPasskey))
	if v.Has("a[href*='/signin/password']") || !v.Has(usePasskey) {
		t.Errorf("%s at %s", v.Text("main"), v.URL())
	}
	v.Follow(usePasskey)
	if got := v.Text("h1"); got != "Add a passkey" {
		t.Fatalf("%s at %s", got, v.URL())
	}
	// The same device has no second one for the same account.
	v.Click(submit)
	if got := v.Eval(stopped); got != "This device has a passkey for this account already." {
		t.Error(got)
	}
	if device.Passkeys() != 1 {
		t.Errorf("%d passkeys on one device", device.Passkeys())
	}
	v.Follow("form:not([data-passkey]) button") // Cancel
	if got := v.Text("h1"); got != "Security" {
		t.Errorf("%s at %s", got, v.URL())
	}
}

// TestBrowserPasskeyPagesWithoutScript say what to do.
func TestBrowserPasskeyPagesWithoutScript(t *testing.T) {
	v, ada := passkeyTour(t)
	v.WithoutScript()
	v.Open(v.p.URL(web.PathSecurityAddPasskey))
	v.prove(ada.Email, ada.Password)
	if v.Text("[data-without]") == "" || v.Text("h1") != "Add a passkey" {
		t.Errorf("%s at %s", v.Text("main"), v.URL())
	}
}

// TestBrowserOffersAPasskey: to who signed in by a password, once, in a browser that can
// make one; and what they say is remembered.
func TestBrowserOffersAPasskey(t *testing.T) {
	v, ada := passkeyTour(t)
	able := func(is string) {
		t.Helper()
		v.Open(v.rp.AuthorizationURL("openid"))
		const look = `new Promise(told => { const look = setInterval(() => { const { value } = document.querySelector("[name=passkeys]"); if (value || %d) { clearInterval(look); told(value) } }, 20) })`
		if got := v.Eval(fmt.Sprintf(look, map[string]int{"": 1}[is])); got != is {
			t.Fatalf("the page finds %q", got)
		}
		v.prove(ada.Email, ada.Password)
	}
	able("") // no authenticator of its own
	v.token(t)
	v.signOut()
	device := v.Authenticator(providertest.AuthenticatorKind{Verifies: true})
	able("1")
	if got := v.Text("h1"); got != "Sign in faster next time" || !v.Has("button[value=never]") {
		t.Fatalf("%s at %s", v.Text("main"), v.URL())
	}
	v.Follow("button[value=later]")
	v.token(t)
	v.signOut()
	able("1") // it was skipped just now
	v.token(t)
	v.signOut()
	v.p.Clock.Advance(31 * 24 * time.Hour)
	able("1")
	v.awaitCode(t, func() { v.Click(usePasskey) })
	v.token(t)
	if device.Passkeys() != 1 {
		t.Errorf("%d passkeys", device.Passkeys())
	}
	wantPasskeys(t, v.p, "ada", 1)
}

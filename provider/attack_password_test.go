package provider_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// changing is the page on which somebody changes their password, who just signed in here.
func changing(p *providertest.P, b *providertest.Browser) string {
	return b.StopAt(web.PathNewPassword).Walk(nil, p.URL(web.PathSecurityPassword)).URL.String()
}

// sends fills in the page of a new password.
func sends(b *providertest.Browser, at, password string, change ...providertest.Param) *providertest.Answer {
	return b.Send(b.Filled(at, append(change, providertest.With("password", password))...))
}

// signsIn asks whether a password of a person's opens the door.
func signsIn(t *testing.T, p *providertest.P, rp *providertest.RP, email, password string) bool {
	t.Helper()
	p.Clock.Advance(time.Hour) // the throttles are full again
	return guesserAt(t, p, rp, p.Browser()).try(email, password).Status == signedOn
}

// A password that is changed is as good as a first one: what is too short, stolen or has
// the context in it is refused, and the old one stays.
func TestAttack65WeakPasswordIsNotChosenAnew(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t)
	rp := p.Client("web")
	b := p.Browser().SignIn("lovelace")
	at := changing(p, b)
	for weak, says := range map[string]string{
		"": "at least 15", "fourteen chars": "at least 15", strings.Repeat("ä", 14): "at least 15", "passwordpassword": "stolen", "PasswordPassword": "stolen",
		"I am LoveLace 1815": "address", "DOORSTEP is my house": "name", strings.Repeat("horses", 400): "too long",
	} {
		if a := sends(b, at, weak).WantStatus(http.StatusUnprocessableEntity); !strings.Contains(string(a.Body), `id="problem"`) || !strings.Contains(string(a.Body), says) {
			t.Errorf("%.20q: %s", weak, a)
		}
	}
	if !signsIn(t, p, rp, "lovelace@example.com", providertest.Password) {
		t.Error("the old one opens no more, although no other was taken")
	}
	b = p.Browser().SignIn("lovelace")
	sends(b, changing(p, b), "four horses on a hill").WantStatus(http.StatusSeeOther)
	if signsIn(t, p, rp, "lovelace@example.com", providertest.Password) || !signsIn(t, p, rp, "lovelace@example.com", "four horses on a hill") {
		t.Error("it is not the new one that opens")
	}

	addPasskey(t, p, "bob", p.Device(phone))
	d := p.Device(phone)
	b = addPasskey(t, p, "grace", d)
	at = changing(p, b.Holding(d))
	if a := b.Get(at); !strings.Contains(string(a.Body), `minlength="8"`) || !strings.Contains(string(a.Body), "At least 8 characters") {
		t.Errorf("beside a passkey: %s", a.Body)
	}
	sends(b, at, "zhk7qx!").WantStatus(http.StatusUnprocessableEntity)
	sends(b, at, "zhk7qxv!").WantStatus(http.StatusSeeOther)
}

// Who changes a password has a new secret of the session from then on: what somebody
// knew of it before opens nothing. And what was begun with the old password ends, if it
// is to.
func TestAttack50AChangedPasswordRotatesTheSession(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		for name, ends := range map[string]bool{"ada": true, "bob": false} {
			thief := p.Browser().SignIn(name)
			tokens := rp.Exchange(thief.Authorize(rp, "openid offline_access")).OK()
			b := p.Browser().SignIn(name)
			own := rp.Exchange(b.Authorize(rp, "openid offline_access")).OK()
			at := changing(p, b)
			before := b.Cookie(sessionCookie)
			change := providertest.With("elsewhere", "end")
			if !ends {
				change = providertest.Without("elsewhere")
			}
			if to := b.Next(sends(b, at, "four horses on a hill", change).WantStatus(http.StatusSeeOther)); to != p.URL(web.PathSecurity)+"?done" {
				t.Errorf("it ends at %s", to)
			}
			if b.Cookie(sessionCookie) == before {
				t.Error("the session's secret is as it was")
			}
			p.Browser().Plant(sessionCookie, before).Ask(rp, "openid", silently).WantError("login_required")
			b.StopAt("").Authorize(rp, "openid", silently) // and it lives on, for its owner
			rp.Refresh(own.Refresh).OK()
			if got := thief.Ask(rp, "openid", silently).Params.Has("code"); got == ends {
				t.Errorf("elsewhere a session lives: %t, want %t", got, !ends)
			}
			if refreshed := rp.Refresh(tokens.Refresh); ends {
				refreshed.WantError("invalid_grant")
			} else {
				refreshed.OK()
			}
		}
	})
}

// A password is changed by whoever just proved who they are, as strongly as they can: not
// by a session that lies about, nor by the password alone where there is a passkey.
func TestAttack70APasswordIsChangedByAFreshProof(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t)
	rp := p.Client("web", providertest.FirstParty)
	b := p.Browser().SignIn("ada")
	b.Authorize(rp, "openid") // by a proof that was given for something else
	at := changing(p, b)
	waiting := b.Filled(at, providertest.With("password", "four horses on a hill"))
	p.Clock.Advance(11 * time.Minute)
	if to := b.Next(b.Send(waiting).WantStatus(http.StatusSeeOther)); !strings.Contains(to, web.PathSignIn) {
		t.Errorf("an old proof leads to %s", to)
	}
	if to := b.Next(b.Get(p.URL(web.PathSecurityPassword)).WantStatus(http.StatusSeeOther)); !strings.Contains(to, web.PathSignIn) {
		t.Errorf("an old proof leads to %s", to)
	}
	addPasskey(t, p, "grace", p.Device(phone))
	if err := p.Store.SetAsking(t.Context(), p.Person("grace").ID, string(policy.AskSensitive)); err != nil { // it is the page that asks
		t.Fatal(err)
	}
	thief := p.Browser().SignIn("grace")
	if to := thief.Walk(nil, p.URL(web.PathSecurityPassword)).URL.Path; to != web.PathPasskey {
		t.Errorf("the password alone leads to %s", to)
	}
	if !signsIn(t, p, rp, "ada@example.com", providertest.Password) {
		t.Error("the password was changed")
	}
}

// withStolen is a provider over the same database, which learnt that this password was
// stolen.
func withStolen(t *testing.T, url, password string) *providertest.P {
	t.Helper()
	var list bytes.Buffer
	if _, err := proof.WriteBreached(&list, strings.NewReader(password+"\n"), false); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "stolen.passwords")
	if err := os.WriteFile(file, list.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return providertest.Start(t, providertest.On(url), providertest.Configure(func(c *provider.Config) { c.Password.Breached = file }))
}

// Who signs in with a stolen password is let in, and asked for another one: once each
// time, until it is another. Nothing is asked where nothing may be, and where there is
// a stronger proof it is asked for before.
func TestAStolenPasswordIsToBeReplaced(t *testing.T) {
	t.Parallel()
	providertest.Databases(t, func(t *testing.T, url string) {
		before := providertest.Start(t, providertest.On(url))
		before.Person("ada")
		d := before.Device(phone)
		addPasskey(t, before, "grace", d)
		if err := before.Store.SetAsking(t.Context(), before.Person("grace").ID, string(policy.AskSensitive)); err != nil {
			t.Fatal(err)
		}
		p := withStolen(t, url, providertest.Password)
		rp := p.Client("web", providertest.FirstParty)
		asked := func(b *providertest.Browser) string {
			t.Helper()
			a := b.Ask(rp, "openid", providertest.With("prompt", "login"))
			if a.URL.Path != web.PathBreached || !strings.Contains(string(a.Body), "stolen") {
				t.Fatalf("at %s: %s", a.URL, a.Answer)
			}
			return a.URL.String()
		}
		b := p.Browser().SignIn("ada")
		for range 2 { // and again at the next sign-in
			at := asked(b)
			b.Authorize(rp, "openid", silently)
			b.Authorize(rp, "openid") // a request of another tab that asks for no proof
			to := b.Next(b.Send(b.Filled(at, providertest.With("replace", "later"))).WantStatus(http.StatusSeeOther))
			b.Walk(rp, to).Code()
			b.Get(at).WantStatus(http.StatusGone) // it was answered
		}
		to := b.Next(b.Send(b.Filled(asked(b), providertest.With("replace", "now"))).WantStatus(http.StatusSeeOther))
		if !strings.HasPrefix(to, p.URL(web.PathNewPassword)) {
			t.Fatalf("who replaces it comes to %s", to)
		}
		sends(b, to, providertest.Password).WantStatus(http.StatusUnprocessableEntity)
		b.Walk(rp, b.Next(sends(b, to, "four horses on a hill").WantStatus(http.StatusSeeOther))).Code()

		said := &script{t: t, p: p, b: p.Browser(), seen: map[string]bool{}}
		said.open(said.asks(rp), "signin")
		said.open(said.wantNext(said.send("form", "identifier", "grace@example.com", "password", providertest.Password), web.PathBreached), "breached")
		if said.raw("can_replace") != "true" {
			t.Errorf("%v", said.data)
		}
		said.wantNext(said.send("form", "replace", "later", "session", said.dig("who.id")), web.PathAuthorize)

		grace := p.Browser().SignIn("grace")
		to = grace.Next(grace.Send(grace.Filled(asked(grace), providertest.With("replace", "now"))).WantStatus(http.StatusSeeOther))
		if !strings.HasPrefix(to, p.URL(web.PathPasskey)) {
			t.Fatalf("with a passkey, who replaces it comes to %s", to)
		}
		// Who thinks better of it goes on to the app, without.
		cancel := grace.Filled(to)
		cancel.URL.Path = pathCancel
		grace.Walk(rp, grace.Next(grace.Send(cancel).WantStatus(http.StatusSeeOther))).Code()
	})
}

// Somebody without a password is not offered to prove by it, and may choose a first one.
func TestWhoHasNoPasswordChoosesAFirstOne(t *testing.T) {
	t.Parallel()
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Start(t, providertest.On(url))
		rp := p.Client("web", providertest.FirstParty)
		d := p.Device(phone)
		b := addPasskey(t, p, "ada", d)
		ada := p.Person("ada")
		providertest.Meddle(t, url, "DELETE FROM passwords")
		b.Holding(nil)
		again := b.Ask(rp, "openid", providertest.With("prompt", "login"))
		if again.URL.Path != web.PathPasskey || strings.Contains(string(again.Body), web.PathSignIn) {
			t.Errorf("at %s: %s", again.URL, again.Body)
		}
		at := changing(p, b.Holding(d))
		if a := b.Get(at); strings.Contains(string(a.Body), "elsewhere") || !strings.Contains(string(a.Body), "Set a password") {
			t.Errorf("%s", a.Body)
		}
		b.Next(sends(b, at, "zhk7qxv!").WantStatus(http.StatusSeeOther))
		if _, err := p.Passwords.Verify(t.Context(), ada.Person, "zhk7qxv!"); err != nil {
			t.Error(err)
		}
		if a := b.Get(p.URL(web.PathSecurity)); !strings.Contains(string(a.Body), "Changed on") {
			t.Errorf("%s", a.Body)
		}
		var told []storage.Event
		for _, e := range must(p.Store.Events(t.Context(), 100)) {
			if e.Kind == string(events.SessionEnded) {
				told = append(told, e)
			}
		}
		if len(told) > 0 {
			t.Errorf("a first password ended %v", told)
		}
	})
}

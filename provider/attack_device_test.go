package provider_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// addTOTP gives a person an authenticator app, and returns its seed.
func addTOTP(t *testing.T, p *providertest.P, who *storage.Person) string {
	t.Helper()
	app, err := p.TOTP.Begin(t.Context(), who, "phone")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.TOTP.Confirm(t.Context(), who, app.ID, code(t, app.Secret, p.Clock.Now()), events.ActorPerson); err != nil {
		t.Fatal(err)
	}
	p.Clock.Advance(time.Minute)
	return app.Secret
}

// second is where a browser is that signs in with a password, whoever was signed in
// before, and was asked for a code; "" if it was let in without.
func second(p *providertest.P, rp *providertest.RP, b *providertest.Browser) string {
	at := b.Plant(sessionCookie, "ended").StopAt(web.PathTOTP).Ask(rp, "openid")
	if !strings.HasSuffix(at.URL.Path, web.PathTOTP) {
		return ""
	}
	return p.URL(at.URL.RequestURI())
}

// remembered signs a browser in by password and code, and has it remembered.
func remembered(t *testing.T, p *providertest.P, rp *providertest.RP, b *providertest.Browser, seed string) *providertest.Browser {
	t.Helper()
	at := second(p, rp, b)
	if at == "" {
		t.Fatal("no second factor was asked for")
	}
	b.Send(b.Filled(at, providertest.With("code", code(t, seed, p.Clock.Now())), providertest.With("remember", "yes"))).WantStatus(http.StatusSeeOther)
	p.Clock.Advance(time.Minute)
	return b
}

// tier is what the last decision about the browser's session took the browser for.
func tier(t *testing.T, p *providertest.P, b *providertest.Browser) policy.Tier {
	t.Helper()
	secret, _, _ := strings.Cut(b.Cookie(sessionCookie), ".")
	signIn, err := p.Store.LoadSignIn(t.Context(), session.Hash(secret), "", storage.At(p.Clock.Now()))
	if err != nil {
		t.Fatal(err)
	}
	row, err := p.Store.DecisionByID(t.Context(), signIn.Session.DecisionID)
	if err != nil {
		t.Fatal(err)
	}
	record, err := policy.DecodeDecision(row.Document.V)
	if err != nil {
		t.Fatal(err)
	}
	return record.Facts.DeviceTier
}

// Attack case 50: a browser is known by its cookie alone. One that we did not sign, that
// is another person's, or that is a copy from before the browser was remembered spares
// nobody from a second factor and gives no tier.
func TestAttack50AForgedDeviceIsNone(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		ada, mallory := p.Person("ada"), p.Person("mallory")
		seed := addTOTP(t, p, ada.Person)
		evil := addTOTP(t, p, mallory.Person)
		home := p.Browser().SignIn("ada")
		before := p.Browser().SignIn("ada")
		if second(p, rp, before) == "" {
			t.Fatal("no second factor was asked for")
		}
		planted := before.Cookie(deviceCookie) // known to whoever put it into ada's browser
		home.Plant(deviceCookie, planted)
		remembered(t, p, rp, home, seed)
		own := home.Cookie(deviceCookie)
		id, mac, _ := strings.Cut(own, ".")
		theirs := remembered(t, p, rp, p.Browser().SignIn("mallory"), evil).Cookie(deviceCookie)
		_, theirMAC, _ := strings.Cut(theirs, ".")

		for what, cookie := range map[string]string{
			"none":                 "",
			"the id alone":         id,
			"an empty MAC":         id + ".",
			"another id's MAC":     id + "." + theirMAC,
			"a MAC cut short":      id + "." + mac[:len(mac)-1],
			"the id in capitals":   strings.ToUpper(id) + "." + mac,
			"another person's":     theirs,
			"from before it, once": planted,
		} {
			thief := p.Browser().SignIn("ada")
			if cookie != "" {
				thief.Plant(deviceCookie, cookie)
			}
			if second(p, rp, thief) == "" {
				t.Errorf("%s: no second factor was asked for", what)
			}
			if got := tier(t, p, thief); got != policy.TierNone {
				t.Errorf("%s: the tier %s", what, got)
			}
			p.Clock.Advance(time.Minute)
		}
		again := p.Browser().SignIn("ada").Plant(deviceCookie, own)
		if second(p, rp, again) != "" || tier(t, p, again) != policy.TierSecond {
			t.Errorf("the real one: the tier %s, at %s", tier(t, p, again), again.Cookie(deviceCookie))
		}
	})
}

// Attack case 50: whoever copied a browser's cookie, or planted it there, has nothing of what its
// owner proves in it afterwards, remembered or not.
func TestAttack50NoTierIsEarnedOnACopy(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		ada := p.Person("ada")
		home := p.Browser().SignIn("ada")
		home.Authorize(rp, "openid")
		copied := home.Cookie(deviceCookie)
		seed := addTOTP(t, p, ada.Person)
		at := second(p, rp, home)
		home.Send(home.Filled(at, providertest.With("code", code(t, seed, p.Clock.Now())))).WantStatus(http.StatusSeeOther)
		if home.Cookie(deviceCookie) == copied {
			t.Error("the cookie is the same after a second factor")
		}
		p.Clock.Advance(time.Minute)
		thief := p.Browser().SignIn("ada").Plant(deviceCookie, copied)
		second(p, rp, thief)
		if got := tier(t, p, thief); got != policy.TierNone {
			t.Errorf("the copy has the tier %s", got)
		}
		second(p, rp, home)
		if got := tier(t, p, home); got != policy.TierSecond {
			t.Errorf("the browser has the tier %s", got)
		}
	})
}

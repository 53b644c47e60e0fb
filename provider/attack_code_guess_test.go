package provider_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// Attack case 61: whoever has the password guesses at the code. A right password does
// not fill what wrong codes emptied, in however many browsers; the owner has a try again
// after a while.
func TestAttack61GuessingAtCodesIsThrottled(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		ada := p.Person("ada")
		owner := p.Browser().SignIn("ada")
		app, err := p.TOTP.Begin(t.Context(), ada.Person, "phone")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.TOTP.Confirm(t.Context(), ada.Person, app.ID, code(t, app.Secret, p.Clock.Now()), events.ActorPerson); err != nil {
			t.Fatal(err)
		}
		p.Clock.Advance(time.Minute)
		// ask goes as far as the page that asks for the code.
		ask := func(b *providertest.Browser) string {
			t.Helper()
			b.StopAt(web.PathTOTP)
			at := b.Ask(rp, "openid", providertest.With("acr_values", "aal2"), providertest.With("prompt", "login"))
			return p.URL(at.URL.RequestURI())
		}
		thief := p.Browser().SignIn("ada")
		at := ask(thief)
		looked := 0
		for range 40 {
			switch a := thief.Send(thief.Filled(at, providertest.With("code", "000000"))); a.Status {
			case http.StatusUnprocessableEntity:
				looked++
			case http.StatusTooManyRequests:
			default:
				t.Fatal(a)
			}
			thief = p.Browser().SignIn("ada") // the password again, which fills its own bucket
			at = ask(thief)
		}
		if looked > 10 {
			t.Errorf("%d codes of a thief were looked at", looked)
		}
		p.Clock.Advance(20 * time.Minute)
		at = ask(owner)
		owner.Send(owner.Filled(at, providertest.With("code", code(t, app.Secret, p.Clock.Now())))).WantStatus(http.StatusSeeOther)
	})
}

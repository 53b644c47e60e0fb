package provider_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// askForCode goes as far as the page that asks for an authenticator's code.
func askForCode(p *providertest.P, rp *providertest.RP, b *providertest.Browser) string {
	b.StopAt(web.PathTOTP)
	at := b.Ask(rp, "openid", providertest.With("acr_values", "aal2"), providertest.With("prompt", "login"))
	return p.URL(at.URL.RequestURI())
}

// stoppedApp is an authenticator of somebody's that wrong codes stopped.
func stoppedApp(t *testing.T, p *providertest.P, name string) string {
	t.Helper()
	h := &toldHouse{P: p, t: t}
	h.addsTOTP(p.Browser().SignIn(name))
	person := must(p.Directory.Person(t.Context(), string(p.Person(name).ID)))
	for range proof.MaxWrong {
		if _, err := p.TOTP.Verify(t.Context(), person, "000000", func(context.Context, string) error { return nil }); !errors.Is(err, proof.ErrWrong) {
			t.Fatal(err)
		}
	}
	return string(must(p.Store.TOTPsOf(t.Context(), person.ID))[0].ID)
}

// Attack case 61, NIST SP 800-63B-4 section 3.2.2: whoever has the password and all the time in the
// world has a hundred codes looked at. Then they are asked for none, and nothing is open to them; the
// owner is told once, on the security page too, and an operator lifts it.
func TestAttack61AHundredWrongCodesStopAnAuthenticator(t *testing.T) {
	t.Parallel()
	eachTold(t, func(t *testing.T, h *toldHouse) {
		rp := h.Client("web", providertest.FirstParty)
		owner := h.Browser().SignIn("ada")
		seed := h.addsTOTP(owner)
		h.DeliverMails()
		h.box.Got() // of the authenticator
		thief := h.Browser().SignIn("ada")
		var at string
		var form *providertest.Form
		for i := range proof.MaxWrong {
			h.Clock.Advance(20 * time.Minute)
			at = askForCode(h.P, rp, thief)
			form = providertest.ReadForm(thief.Get(at).Body)
			form.Fields.Set("code", "000000")
			thief.Post(at, form.Fields).WantStatus(http.StatusUnprocessableEntity)
			if i == proof.MaxWrong-2 && strings.Contains(security(h.P, owner), "Stopped") {
				t.Error("99 wrong codes stopped it")
			}
		}
		form.Fields.Set("code", code(t, seed, h.Clock.Now()))
		if to := thief.Post(at, form.Fields).WantStatus(http.StatusSeeOther).Header.Get("Location"); strings.Contains(to, web.PathAuthorize) {
			t.Errorf("the right code, now, leads to %s", to)
		}
		thief.StopAt(web.PathLost)
		if got := thief.Ask(rp, "openid", providertest.With("acr_values", "aal2"), providertest.With("prompt", "login")); got.URL.Path != web.PathLost {
			t.Errorf("who is to prove more comes to %s", got.URL)
		}
		for _, path := range []string{web.PathSecurityAddPasskey, web.PathSecurityAddTOTP, web.PathSecurityRecovery, web.PathSecurityPassword, web.PathAddresses} {
			got := thief.Walk(nil, h.URL(path))
			if got.URL.Path != web.PathLost || !strings.Contains(string(thief.Get(got.URL.String()).WantStatus(http.StatusOK).Body), "was stopped") {
				t.Errorf("%s leads to %s", path, got.URL)
			}
		}
		if got := h.Browser().SignIn("ada").StopAt(web.PathLost).Ask(rp, "openid"); got.URL.Path != web.PathLost {
			t.Errorf("the password alone signs in, by way of %s", got.URL)
		}
		h.DeliverMails()
		if got := h.box.Got(); len(got) != 1 || !strings.Contains(got[0].Subject, "stopped") || !strings.Contains(got[0].Text, "hundred wrong codes") || len(got[0].Links()) != 1 {
			t.Errorf("the owner is told by %+v", got)
		}
		if page := security(h.P, owner); !strings.Contains(page, "Stopped") || !strings.Contains(page, "A hundred wrong codes") {
			t.Error("the security page does not say it")
		}

		op := h.API("op", clients.ScopeUsersRead, clients.ScopeUsersWrite)
		all := "/users/" + string(h.ada.ID) + "/factors"
		apps, err := h.Store.TOTPsOf(t.Context(), h.ada.ID)
		if err != nil || len(apps) != 1 {
			t.Fatalf("%v, %v", apps, err)
		}
		if got := string(op.Do(http.MethodGet, all, nil).WantStatus(http.StatusOK).Body); !strings.Contains(got, `"stopped_at"`) {
			t.Errorf("%s does not say when it was stopped", got)
		}
		lift := all + "/" + string(apps[0].ID) + "/lift"
		op.Do(http.MethodPost, lift, nil).WantStatus(http.StatusNoContent)
		op.Do(http.MethodPost, lift, nil).WantStatus(http.StatusNotFound)
		h.Clock.Advance(time.Hour)
		owner.Send(owner.Filled(askForCode(h.P, rp, owner), providertest.With("code", code(t, seed, h.Clock.Now())))).WantStatus(http.StatusSeeOther)
		kinds := map[string]int{}
		recorded, err := h.Store.Events(t.Context(), 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range recorded {
			kinds[e.Kind]++
		}
		if kinds[string(events.FactorStopped)] != 1 || kinds[string(events.FactorLifted)] != 1 {
			t.Errorf("events %v", kinds)
		}
	})
}

// Whoever has an authenticator that was stopped is asked for what else they have, not for its codes:
// and puts it right by a recovery code.
func TestWhatWasStoppedIsNotAskedFor(t *testing.T) {
	t.Parallel()
	eachTold(t, func(t *testing.T, h *toldHouse) {
		id := stoppedApp(t, h.P, "ada")
		paper := must(h.Recovery.Generate(t.Context(), h.ada.ID, "put away", events.ActorPerson))
		b := h.Browser().SignIn("ada")
		h.Clock.Advance(time.Hour)
		at := b.StopAt(web.PathRecovery).Walk(nil, h.URL(web.PathSecurityFactor)+"?id="+id)
		if at.URL.Path != web.PathRecovery {
			t.Fatalf("asked at %s", at.URL)
		}
		next := b.Next(b.Send(b.Filled(h.URL(at.URL.RequestURI()), providertest.With("code", paper[0]))).WantStatus(http.StatusSeeOther))
		b.Send(b.Filled(next, providertest.With("do", "remove"))).WantStatus(http.StatusSeeOther)
		if left := must(h.Store.TOTPsOf(t.Context(), h.ada.ID)); len(left) != 0 {
			t.Errorf("%d are left", len(left))
		}
	})
}

func security(p *providertest.P, b *providertest.Browser) string {
	return string(b.Get(p.URL(web.PathSecurity)).WantStatus(http.StatusOK).Body)
}

// Attack case 61: nobody gets as far as the count without another proof of the person's, so
// nobody stops the authenticator of a stranger.
func TestAttack61NobodyStopsAnothersAuthenticator(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		enrols := func(name string) storage.ID {
			t.Helper()
			person := p.Person(name).Person
			app, err := p.TOTP.Begin(t.Context(), person, "phone")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.TOTP.Confirm(t.Context(), person, app.ID, code(t, app.Secret, p.Clock.Now()), events.ActorPerson); err != nil {
				t.Fatal(err)
			}
			return person.ID
		}
		ada, eve := enrols("ada"), enrols("eve")
		stranger := p.Browser()
		at := stranger.Ask(rp, "openid", providertest.With("acr_values", "aal2"), providertest.With("login_hint", p.Person("ada").Email))
		i := at.URL.Query().Get("i")
		wrongPassword := stranger.Filled(p.URL(at.URL.RequestURI()), providertest.With("identifier", p.Person("ada").Email), providertest.With("password", "guess"))
		stranger.Send(wrongPassword).WantStatus(http.StatusUnprocessableEntity)
		form := providertest.ReadForm(stranger.Get(p.URL(at.URL.RequestURI())).Body)
		form.Fields.Set("code", "000000")
		for range 3 {
			a := stranger.Post(p.URL(web.PathTOTP)+"?i="+i, form.Fields).WantStatus(http.StatusSeeOther)
			if to := a.Header.Get("Location"); !strings.Contains(to, web.PathSignIn) {
				t.Errorf("a stranger's code leads to %s", to)
			}
		}
		// And one's own wrong codes are one's own.
		b := p.Browser().SignIn("eve")
		b.Send(b.Filled(askForCode(p, rp, b), providertest.With("code", "000000"))).WantStatus(http.StatusUnprocessableEntity)
		for person, want := range map[storage.ID]int64{ada: 0, eve: 1} {
			apps, err := p.Store.TOTPsOf(t.Context(), person)
			if err != nil || len(apps) != 1 || apps[0].Wrong != want {
				t.Errorf("%+v, %v; want %d wrong codes", apps, err, want)
			}
		}
	})
}

// untold is for tries that stop nothing.
func untold(context.Context, string) error { return errors.New("an authenticator was stopped") }

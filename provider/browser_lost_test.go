package provider_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
)

// TestBrowserLostFactor: who has lost their authenticator is told who can help, or takes
// the recovery code that they put away; and then has another authenticator in its place.
func TestBrowserLostFactor(t *testing.T) {
	eachWalk(t, func(t *testing.T, w *walk) {
		lost := addTOTP(t, w.p, w.h.ada.Person)
		w.Open(w.rp.AuthorizationURL("openid", providertest.With("acr_values", "aal2")))
		w.at("totp", w.prove(w.h.ada.Email, w.h.ada.Password), http.StatusOK, "code.totp.title")
		w.at("lost-none", w.Follow("a[href*='/signin/lost']"), http.StatusOK, "lost.totp.title")
		w.says(".stack-2 .muted", "lost.lead.none")
		paper, err := w.p.Recovery.Generate(t.Context(), w.h.ada.ID, "put away", events.ActorPerson)
		if err != nil {
			t.Fatal(err)
		}

		// It is no proof for an app that wants two, and lets her replace what is lost.
		w.at("totp-account", w.Follow("a[href$='/account/security']"), http.StatusOK, "code.totp.title")
		w.at("lost", w.Follow("a[href*='/signin/lost']"), http.StatusOK, "lost.totp.title")
		w.at("recovery", w.Follow("a[href*='/signin/recovery']"), http.StatusOK, "code.recovery.title")
		w.Fill("#code", "nothing")
		w.at("recovery-wrong", w.Follow(submit), http.StatusUnprocessableEntity, "code.recovery.title")
		w.Fill("#code", paper[0])
		w.Follow(submit)
		if got := w.Text("h1"); got != w.words.Text(w.lang, "security.title") {
			t.Fatalf("%s at %s", got, w.URL())
		}
		w.at("factor", w.Follow("[aria-labelledby=authenticators] .choice"), http.StatusOK, "security.totp.title")
		w.Click("summary")
		w.at("removed", w.Follow("button[value=remove]"), http.StatusOK, "security.title")
		w.at("add-totp", w.Follow("a[href$=add-totp]"), http.StatusOK, "addtotp.title")
		fresh := strings.ReplaceAll(w.Text(".seed"), " ", "")
		w.types(fresh)
		w.at("replaced", w.Follow(submit), http.StatusOK, "security.title")

		w.signOut()
		w.p.Clock.Advance(time.Minute)
		w.Open(w.rp.AuthorizationURL("openid", providertest.With("acr_values", "aal2")))
		w.prove(w.h.ada.Email, w.h.ada.Password)
		w.types(lost)
		w.at("totp-lost", w.Follow(submit), http.StatusUnprocessableEntity, "code.totp.title")
		w.types(fresh)
		w.Follow(submit)
		if id := w.token(t); id["acr"] != "aal2" {
			t.Errorf("with the new one: acr %v", id["acr"])
		}
	})
}

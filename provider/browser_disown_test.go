package provider_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// TestBrowserNotMeInTheActivity: somebody else signed in with all that Ada has, and added
// an authenticator. She finds it in what happened lately and takes the account back: they
// are out, and what they added waits for her word, until she removes it.
func TestBrowserNotMeInTheActivity(t *testing.T) {
	eachWalk(t, func(t *testing.T, w *walk) {
		seed := addTOTP(t, w.p, w.h.ada.Person)
		w.signIn()
		w.types(seed)
		w.at("security", w.Follow(submit), http.StatusOK, "security.title")
		thief := w.p.Browser().As(firefox).SignIn("ada").StopAt(web.PathTOTP)
		w.p.Clock.Advance(time.Minute)
		a := thief.Walk(nil, w.p.URL(web.PathSecurityAddTOTP))
		came := w.h.event(events.SignInSucceeded).ID // by the password: the entry is of both steps
		thief.Send(thief.Filled(w.p.URL(a.URL.RequestURI()), providertest.With("code", code(t, seed, w.p.Clock.Now())))).WantStatus(http.StatusSeeOther)
		w.h.addsTOTP(thief)
		if _, err := w.p.Events.Sequence(t.Context()); err != nil {
			t.Fatal(err)
		}

		w.at("activity", w.Open(w.p.URL(web.PathActivity)), http.StatusOK, "activity.title")
		w.p.Clock.Advance(11 * time.Minute)
		w.Follow("a[href$='id=" + string(came) + "']")
		w.types(seed) // it is old enough; what the thief added is not
		w.at("disown", w.Follow(submit), http.StatusOK, "notme.title")
		if got := w.Text(".notice li"); got != "Authenticator app" {
			t.Errorf("to be looked at is %q", got)
		}
		if len(w.h.doubted(w.h.ada.ID)) != 0 {
			t.Error("nobody has said so yet")
		}
		w.at("disown-done", w.Follow("button.danger"), http.StatusOK, "disown.done.title")
		w.wantOut("the thief", thief)
		w.at("security-doubted", w.Follow("a.primary"), http.StatusOK, "security.title")
		waits := w.h.doubted(w.h.ada.ID)
		if len(waits) != 1 {
			t.Fatalf("doubted are %v", waits)
		}
		theirs := ".choice[href$='" + string(waits[0]) + "']"
		if got := w.Text(theirs); !strings.Contains(got, w.words.Text(w.lang, "security.doubted")) {
			t.Errorf("what waits is shown as %q", got)
		}
		w.at("factor-doubted", w.Follow(theirs), http.StatusOK, "security.totp.title")
		w.at("review", w.Follow("a.primary"), http.StatusOK, "review.title")
		w.Follow("main > a.text") // no, or not sure
		w.at("security-removed", w.Follow("button[value=remove]"), http.StatusOK, "security.title")
		w.says("[role=status]", "security.done")
		if apps, err := w.p.TOTP.List(t.Context(), w.h.ada.ID); err != nil || len(apps) != 1 || w.Has(theirs) {
			t.Errorf("%v, %v", apps, err)
		}
	})
}

// TestBrowserNotMeByMail: somebody who has only Ada's password added an authenticator to her
// account, which had none. The mail's link and her password take the account back: it asks
// before it does anything, she may stop, and it works once.
func TestBrowserNotMeByMail(t *testing.T) {
	eachWalk(t, func(t *testing.T, w *walk) {
		thief := w.p.Browser().As(firefox).SignIn("ada")
		w.h.addsTOTP(thief)
		link := w.h.link()
		w.at("notme", w.Open(link), http.StatusOK, "notme.title")
		w.at("signin", w.Follow(submit), http.StatusOK, "signin.title")
		w.at("signin-wrong", w.prove(w.h.ada.Email, "not hers"), http.StatusUnprocessableEntity, "signin.title")
		w.Fill("#password", w.h.ada.Password)
		w.at("disown", w.Follow(submit), http.StatusOK, "notme.title")
		w.at("stopped", w.Follow("form + form button"), http.StatusOK, "notme.stopped.title")
		if len(w.h.doubted(w.h.ada.ID)) != 0 {
			t.Error("she stopped, and it was done all the same")
		}

		w.Open(link)
		w.at("disown-again", w.Follow(submit), http.StatusOK, "notme.title")
		w.at("disown-done", w.Follow("button.danger"), http.StatusOK, "disown.done.title")
		w.wantOut("the thief", thief)
		w.at("security-doubted", w.Follow("a.primary"), http.StatusOK, "security.title")
		w.at("factor-doubted-alone", w.Follow(".choice[href$='"+string(w.h.doubted(w.h.ada.ID)[0])+"']"), http.StatusOK, "security.totp.title")
		if w.Has("a.primary") {
			t.Error("by the password alone it may count again")
		}
		w.at("security-removed", w.Follow("button[value=remove]"), http.StatusOK, "security.title")
		w.at("dead", w.Open(link), http.StatusNotFound, "notme.dead.title")
	})
}

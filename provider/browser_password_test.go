package provider_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/web"
)

// TestBrowserChangesThePassword: who gives the one that they have, and another that is long
// enough and nobody's, has it from then on, and is signed out everywhere else.
func TestBrowserChangesThePassword(t *testing.T) {
	eachWalk(t, func(t *testing.T, w *walk) {
		w.signIn()
		elsewhere := w.p.Browser().As(firefox).SignIn("ada")
		elsewhere.Walk(nil, w.p.URL(web.PathApps))
		w.p.Clock.Advance(11 * time.Minute)
		w.Open(w.p.URL(web.PathSecurityPassword))
		w.at("again", http.StatusOK, http.StatusOK, "signin.again.title")
		w.Fill("#password", "not hers")
		w.at("again-wrong", w.Follow(submit), http.StatusUnprocessableEntity, "signin.again.title")
		w.says("#problem-text", "signin.problem.wrong_password")
		w.Fill("#password", w.h.ada.Password)
		w.at("change", w.Follow(submit), http.StatusOK, "changepassword.title")
		if !w.Has("[name=elsewhere]:checked") {
			t.Error("who changes a password is not signed out elsewhere, unless they say so")
		}
		for _, refused := range []struct{ picture, password, message string }{
			{"short", "four horses", ""}, // its words have a number in them
			{"breached", "passwordpassword", "newpassword.problem.password_breached"},
			{"context", "my ada@example.com password", "newpassword.problem.password_context"},
		} {
			w.Fill("#password", refused.password)
			w.at("change-"+refused.picture, w.Follow(submit), http.StatusUnprocessableEntity, "changepassword.title")
			if refused.message != "" {
				w.says("#problem-password", refused.message)
			}
			if w.Text("#password") != "" {
				t.Error("the page has the password in it")
			}
		}
		w.Fill("#password", another)
		w.at("changed", w.Follow(submit), http.StatusOK, "security.title")
		w.says("[role=status]", "security.done")
		w.wantOut("the other browser", elsewhere)
		wantNotices(t, w.p, w.h.box, w.h.ada, "password", "")

		w.signOut()
		w.Open(w.p.URL(web.PathSecurity))
		w.at("old", w.prove(w.h.ada.Email, w.h.ada.Password), http.StatusUnprocessableEntity, "signin.title")
		w.Fill("#password", another)
		w.at("new", w.Follow(submit), http.StatusOK, "security.title")
	})
}

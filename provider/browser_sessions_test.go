package provider_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// TestBrowserSignsOutElsewhere: who is signed in with four browsers sees all of them in one,
// signs out of another there and then of all but this one, which each of them notices.
func TestBrowserSignsOutElsewhere(t *testing.T) {
	eachWalk(t, func(t *testing.T, w *walk) {
		w.signIn()
		w.at("alone", w.Open(w.p.URL(web.PathSessions)), http.StatusOK, "sessions.title")
		if w.Has("[name=end]") {
			t.Error("there is nothing to sign out of but this browser, and it can be pressed")
		}
		var others []*providertest.Browser
		for _, agent := range []string{firefox, "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"} {
			b := w.p.Browser().As(agent).SignIn("ada")
			b.Authorize(w.rp, "openid")
			others = append(others, b)
			w.p.Clock.Advance(time.Minute)
		}
		second := w.another()
		newest, err := w.p.Sessions.Newest(t.Context(), w.h.ada.ID, 1)
		if err != nil {
			t.Fatal(err)
		}

		// From the page of another day nothing ends before she says again that it is her.
		w.Open(w.p.URL(web.PathSessions))
		w.p.Clock.Advance(11 * time.Minute)
		end := "button[name=end][value='" + string(newest[0].ID) + "']"
		w.at("again", w.Follow(end), http.StatusOK, "signin.again.title")
		second.at("second", second.Open(w.p.URL(web.PathApps)), http.StatusOK, "apps.title")
		w.Fill("#password", w.h.ada.Password)
		w.at("sessions", w.Follow(submit), http.StatusOK, "sessions.title")
		w.at("sessions-one-less", w.Follow(end), http.StatusOK, "sessions.title")
		w.says("[role=status]", "sessions.done")
		if w.Has(end) {
			t.Error("what ended can be ended")
		}
		second.at("second-out", second.Open(w.p.URL(web.PathSessions)), http.StatusOK, "signin.title")

		w.Click("summary")
		w.at("sessions-ask", http.StatusOK, http.StatusOK, "sessions.title")
		w.at("sessions-left", w.Follow("button[value=others]"), http.StatusOK, "sessions.title")
		for _, b := range others {
			w.wantOut("another browser", b)
		}
		if w.Has("[name=end]") || !w.Has(".pill") {
			t.Errorf("after all others: %s", w.Text("main"))
		}
	})
}

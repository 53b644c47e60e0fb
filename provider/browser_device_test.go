package provider_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/web"
)

// TestBrowserRemembersASecondFactor: who ticks the box is not asked again, until they
// forget the browser or say that they always want to be asked: with scripts and without.
func TestBrowserRemembersASecondFactor(t *testing.T) {
	for _, script := range []bool{true, false} {
		t.Run(fmt.Sprintf("script %v", script), func(t *testing.T) {
			v, ada := passkeyTour(t)
			seed := addTOTP(t, v.p, ada.Person)
			if !script {
				v.WithoutScript()
			}
			look := func(name string) {
				t.Helper()
				v.Screenshot(name)
				if script {
					v.Axe()
				}
			}
			// in signs in, and reports whether a code was asked for.
			in := func(tick bool) bool {
				t.Helper()
				v.p.Clock.Advance(time.Minute)
				v.Open(v.rp.AuthorizationURL("openid"))
				v.prove(ada.Email, ada.Password)
				asked := v.Has("#code")
				if asked {
					look("second")
					if v.Has("[name=remember]:checked") {
						t.Error("the box is ticked before anybody did")
					}
					if tick {
						v.Click("[name=remember]")
					}
					v.Fill("#code", code(t, seed, v.p.Clock.Now()))
					v.Follow(submit)
				}
				v.token(t)
				return asked
			}
			if !in(false) {
				t.Error("no code was asked for")
			}
			v.signOut()
			if !in(true) {
				t.Error("no code was asked for, and the browser was not to remember it")
			}
			v.signOut()
			if in(false) {
				t.Error("a code was asked for again")
			}
			v.Open(v.p.URL(web.PathSessions))
			if got := v.Text("main"); strings.Count(got, "Not asked for a second step until") != 1 {
				t.Error(got)
			}
			look("sessions")
			v.Click("summary")
			look("sessions-forget")
			v.Follow("button[name=forget]")
			if got := v.Text("main"); strings.Contains(got, "second step until") || !strings.Contains(got, "this browser") {
				t.Error(got)
			}
			v.signOut()
			if !in(true) {
				t.Error("no code was asked for after the browser was forgotten")
			}
			v.Open(v.p.URL(web.PathSecurity))
			look("security")
			v.Follow("a[href$=asking]")
			look("asking")
			v.Click("[value=always]")
			v.Follow("[action$=asking] button")
			if got := v.Text("main"); !strings.Contains(got, "Every time") {
				t.Error(got)
			}
			v.signOut()
			if !in(false) {
				t.Error("no code was asked for, of who always wants to be asked")
			}
		})
	}
}

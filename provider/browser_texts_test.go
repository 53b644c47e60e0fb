package provider_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// TestBrowserTexts: somebody with two mobiles signs in at an app by their password and a code that is
// sent to one of them; with scripts, and without in Swedish on a narrow screen in the dark.
func TestBrowserTexts(t *testing.T) {
	for name, script := range map[string]bool{"as it comes": true, "dark, narrow, without script": false} {
		t.Run(name, func(t *testing.T) {
			gateway := providertest.NewGateway(t)
			v, ada := passkeyTour(t, providertest.WithGateway(gateway), textsCount)
			if !script {
				v.WithoutScript()
				v.Dark().Narrow(320).Language("sv")
			}
			look := func(name string) {
				t.Helper()
				v.Screenshot(name)
				if script {
					v.Axe()
					v.Fits()
				}
			}
			for _, number := range []string{adasNumber, "+46701740606"} {
				if err := v.p.Phones.Add(t.Context(), ada.ID, number, events.ActorPerson); err != nil {
					t.Fatal(err)
				}
				v.p.Clock.Advance(time.Minute)
			}
			if _, err := v.p.Recovery.Generate(t.Context(), ada.ID, "these", events.ActorPerson); err != nil {
				t.Fatal(err)
			}
			texted := func() string {
				t.Helper()
				v.p.DeliverMails()
				return gateway.Code()
			}

			v.Open(v.rp.AuthorizationURL("openid"))
			v.prove(ada.Email, ada.Password)
			if !strings.Contains(v.URL(), web.PathSMS) || strings.Contains(v.Text("main"), "1740605") {
				t.Fatalf("at %s: %s", v.URL(), v.Text("main"))
			}
			look("choose")
			v.Click("label.tick:nth-of-type(2)")
			v.Follow("button[value=send]")
			if got := v.Text("main"); !strings.Contains(got, "•••• 06") {
				t.Fatalf("after the second one was chosen: %s", got)
			}
			texted()
			look("sent")
			v.Fill("#code", "0000 0000")
			if status := v.Follow("button[value=code]"); status != http.StatusUnprocessableEntity || !v.Has("#code[aria-invalid=true]") {
				t.Fatalf("a wrong code: status %d at %s", status, v.URL())
			}
			look("wrong")
			v.Follow("a[href*='/signin/lost']")
			look("lost")
			v.Follow("a[href*='/signin/recovery']")
			v.Follow("a[href*='/signin/sms']")
			v.Click("summary")
			look("again")
			v.Click("details label.tick:nth-of-type(1)")
			v.Follow("button[value=send]")
			code := texted()
			v.Click("[name=remember]")
			v.Fill("#code", code[:4]+" "+code[4:])
			v.Follow("button[value=code]")
			if id := v.token(t); id["acr"] != "aal2" || fmt.Sprint(id["amr"]) != "[mfa pwd sms]" {
				t.Errorf("acr %v, amr %v", id["acr"], id["amr"])
			}

			// The browser spares them from it the next time.
			v.signOut()
			v.Open(v.rp.AuthorizationURL("openid"))
			v.prove(ada.Email, ada.Password)
			if id := v.token(t); id["acr"] != "aal1" {
				t.Errorf("acr %v", id["acr"])
			}
		})
	}
}

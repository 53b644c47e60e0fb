package provider_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// TestBrowserRecovery: who lost their password gets back to the app with a mailed code and
// another password, and has a second address confirmed; with scripts and without, and in Swedish on
// a narrow screen in the dark.
func TestBrowserRecovery(t *testing.T) {
	for name, in := range map[string]func(*providertest.Page){
		"as it comes":    func(*providertest.Page) {},
		"without script": func(p *providertest.Page) { p.WithoutScript() },
		"dark, narrow":   func(p *providertest.Page) { p.Dark().Narrow(320).Language("sv") },
	} {
		t.Run(name, func(t *testing.T) {
			box := providertest.NewMailbox(t)
			v, ada := passkeyTour(t, providertest.WithMailbox(box))
			in(v.Page)
			look := func(name string) {
				t.Helper()
				v.Screenshot(name)
				if !strings.HasPrefix(t.Name(), "TestBrowserRecovery/without") {
					v.Axe()
					v.Fits()
				}
			}
			mailed := func(to string) string {
				t.Helper()
				v.p.DeliverMails()
				got := box.Wait(to)
				return got.Code()
			}
			v.Open(v.rp.AuthorizationURL("openid"))
			look("signin")
			v.Follow("a[href*='/signin/forgot']")
			look("recover")
			v.Fill("#identifier", "nowhere")
			if status := v.Follow("button[value=send]"); status != http.StatusUnprocessableEntity {
				t.Fatalf("no address: status %d at %s", status, v.URL())
			}
			look("recover-no-address")
			v.Fill("#identifier", ada.Email)
			v.Follow("button[value=send]")
			look("recover-sent")
			v.Fill("#code", "0000 0000")
			if status := v.Follow("button[value=code]"); status != http.StatusUnprocessableEntity {
				t.Fatalf("a wrong code: status %d at %s", status, v.URL())
			}
			look("recover-wrong")
			sent := mailed(ada.Email)
			v.Fill("#code", sent[:4]+" "+sent[4:])
			v.Follow("button[value=code]")
			look("reset")
			v.Fill("#password", "short")
			if status := v.Follow(submit); status != http.StatusUnprocessableEntity {
				t.Fatalf("a short password: status %d at %s", status, v.URL())
			}
			look("reset-short")
			v.Fill("#password", another)
			v.Follow(submit)
			if id := v.token(t); fmt.Sprint(id["amr"]) != "[pwd]" {
				t.Errorf("amr %v", id["amr"])
			}

			v.Open(v.p.URL(web.PathAddresses))
			look("addresses")
			v.Fill("#email", "ada@work.example")
			v.Follow("button.quiet[value=verify]")
			look("verify")
			v.Follow("button[value=send]")
			look("verify-sent")
			v.Fill("#code", mailed("ada@work.example"))
			v.Follow("button[value=code]")
			if got := v.Text("main"); !v.Has("[role=status]") || !v.Has("#address-1") {
				t.Errorf("%s at %s", got, v.URL())
			}
			look("addresses-two")
		})
	}
}

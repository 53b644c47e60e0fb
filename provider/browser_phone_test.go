package provider_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// TestBrowserPhone: somebody adds a mobile by a code that is sent there, and removes it; with
// scripts and without, and in Swedish on a narrow screen in the dark.
func TestBrowserPhone(t *testing.T) {
	for name, in := range map[string]func(*providertest.Page){
		"as it comes":    func(*providertest.Page) {},
		"without script": func(p *providertest.Page) { p.WithoutScript() },
		"dark, narrow":   func(p *providertest.Page) { p.Dark().Narrow(320).Language("sv") },
	} {
		t.Run(name, func(t *testing.T) {
			gateway := providertest.NewGateway(t)
			v, ada := passkeyTour(t, providertest.WithGateway(gateway))
			in(v.Page)
			look := func(name string) {
				t.Helper()
				v.Screenshot(name)
				if !strings.HasPrefix(t.Name(), "TestBrowserPhone/without") {
					v.Axe()
					v.Fits()
				}
			}
			texted := func() string {
				t.Helper()
				v.p.DeliverMails()
				return gateway.Code()
			}
			v.Open(v.p.URL(web.PathSecurity))
			v.prove(ada.Email, ada.Password)
			look("security")
			v.Follow("a[href$=add-phone]")
			look("add")
			v.Fill("#phone", "070-174 06 05")
			if status := v.Follow("button[value=send]"); status != http.StatusUnprocessableEntity || !v.Has("#phone[aria-invalid=true]") {
				t.Fatalf("no country code: status %d at %s", status, v.URL())
			}
			look("no-country")
			v.Fill("#phone", "+46 70 174 06 05")
			v.Follow("button[value=send]")
			look("sent")
			v.Fill("#code", "0000 0000")
			if status := v.Follow("button[value=code]"); status != http.StatusUnprocessableEntity {
				t.Fatalf("a wrong code: status %d at %s", status, v.URL())
			}
			look("wrong")
			v.Fill("#code", texted())
			v.Follow("button[value=code]")
			if got := v.Text("[aria-labelledby=phones] .choice"); !strings.HasPrefix(got, adasEnding) || !v.Has("[role=status]") {
				t.Fatalf("%s at %s", v.Text("main"), v.URL())
			}
			look("added")
			v.Follow("[aria-labelledby=phones] .choice")
			look("factor")
			v.Click("summary")
			look("remove")
			v.Follow("button[value=remove]")
			if v.Has("[aria-labelledby=phones] .choice") || !v.Has("[role=status]") {
				t.Errorf("%s at %s", v.Text("main"), v.URL())
			}
		})
	}
}

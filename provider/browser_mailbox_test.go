package provider_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/policy/rules"
	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// TestBrowserFirstFactor: where two factors are demanded of everybody, who has none is asked for a
// code to their address before they add one, and is told why.
func TestBrowserFirstFactor(t *testing.T) {
	demanded := providertest.Configure(func(c *provider.Config) {
		c.Rules = strict(func(rules.Case) (bool, error) { return true, nil })
	})
	eachWalk(t, func(t *testing.T, w *walk) {
		w.Open(w.p.URL(web.PathSecurityAddTOTP))
		w.at("mail", w.prove(w.h.ada.Email, w.h.ada.Password), http.StatusOK, "sentcode.mail.title")
		w.at("sent", w.Follow("button[value=send]"), http.StatusOK, "sentcode.mail.title")
		w.Fill("#code", "0000 0000")
		w.at("wrong", w.Follow("button[value=code]"), http.StatusUnprocessableEntity, "sentcode.mail.title")
		w.p.DeliverMails()
		mailed := w.h.box.Wait(w.h.ada.Email)
		w.Fill("#code", mailed.Code())
		w.at("add", w.Follow("button[value=code]"), http.StatusOK, "addtotp.title")
		seed := strings.ReplaceAll(w.Text(".seed"), " ", "")
		w.types(seed)
		w.at("added", w.Follow(submit), http.StatusOK, "code.totp.title") // it is demanded from now on
		w.types(seed)
		w.at("security", w.Follow(submit), http.StatusOK, "security.title")

		w.signOut()
		w.Open(w.rp.AuthorizationURL("openid"))
		w.at("second", w.prove(w.h.ada.Email, w.h.ada.Password), http.StatusOK, "code.totp.title")
		w.types(seed)
		w.Follow(submit)
		if id := w.token(t); id["acr"] != "aal2" {
			t.Errorf("acr %v", id["acr"])
		}
	}, demanded)
}

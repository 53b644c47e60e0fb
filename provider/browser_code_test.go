package provider_test

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// code is what an authenticator app shows for a seed at a time.
func code(t *testing.T, seed string, at time.Time) string {
	t.Helper()
	shown, err := exec.CommandContext(t.Context(), providertest.Oathtool(t), "--totp", "--base32", "--now", at.UTC().Format("2006-01-02 15:04:05 UTC"),
		strings.ReplaceAll(seed, " ", "")).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(shown))
}

// TestBrowserCodes: somebody adds an authenticator app and recovery codes, proves more
// with a code, loses the app, puts things right with a recovery code and takes another
// app: with scripts and without.
func TestBrowserCodes(t *testing.T) {
	for _, script := range []bool{true, false} {
		t.Run(fmt.Sprintf("script %v", script), func(t *testing.T) {
			box := providertest.NewMailbox(t)
			v, ada := passkeyTour(t, providertest.WithMailbox(box))
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
			v.Open(v.p.URL(web.PathSecurity))
			v.prove(ada.Email, ada.Password)
			v.Follow("a[href$=add-totp]")
			look("add-totp")
			seed := v.Text(".seed")
			v.Fill("#code", "000000")
			if status := v.Follow(submit); status != http.StatusUnprocessableEntity || v.Text(".seed") != seed {
				t.Fatalf("a wrong code: status %d, seed %s then %s", status, seed, v.Text(".seed"))
			}
			look("add-totp-wrong")
			now := v.p.Clock.Now()
			v.Fill("#code", code(t, seed, now))
			v.Follow(submit)
			if got := v.Text("[aria-labelledby=authenticators] .choice"); !strings.HasPrefix(got, "Authenticator app") || !v.Has("[role=status]") {
				t.Fatalf("%s at %s", v.Text("main"), v.URL())
			}
			v.Follow("a[href$=recovery-codes]")
			if v.Text("h1") == "Please confirm that it is you" { // by the app there is now: the password is not as much
				v.p.Clock.Advance(time.Minute)
				v.Fill("#code", code(t, seed, v.p.Clock.Now()))
				v.Follow(submit)
			}
			look("recovery-codes")
			v.Follow(submit)
			look("recovery-codes-new")
			paper := v.Text(".codes li")
			v.Follow("a.primary")
			if got := v.Text("[aria-labelledby=recovery]"); !strings.Contains(got, "10 are left") {
				t.Error(got)
			}

			// An app that wants more than a password.
			v.signOut()
			v.p.Clock.Advance(time.Minute)
			v.Open(v.rp.AuthorizationURL("openid", providertest.With("acr_values", "aal2")))
			v.prove(ada.Email, ada.Password)
			look("totp")
			used := code(t, seed, v.p.Clock.Now())
			v.Fill("#code", used[:3]+" "+used[3:])
			v.Follow(submit)
			if id := v.token(t); id["acr"] != "aal2" || fmt.Sprint(id["amr"]) != "[mfa otp pwd]" {
				t.Errorf("acr %v, amr %v", id["acr"], id["amr"])
			}
			// A code works once.
			v.Open(v.rp.AuthorizationURL("openid", providertest.With("acr_values", "aal2"), providertest.With("max_age", "0")))
			v.Fill("#code", used)
			if status := v.Follow(submit); status != http.StatusUnprocessableEntity {
				t.Errorf("a code that was used: status %d at %s", status, v.URL())
			}
			look("totp-wrong")

			// The phone is lost: the password and a recovery code let one take it off the
			// account, and have another one.
			v.p.Clock.Advance(time.Hour)
			v.Open(v.p.URL(web.PathSecurity))
			v.Follow("[aria-labelledby=authenticators] .choice")
			v.Follow("a[href*='/signin/password']")
			v.Fill("#password", ada.Password)
			v.Follow(submit)
			v.Follow("a[href*='/signin/recovery']")
			look("recovery")
			v.Fill("#code", strings.ToLower(strings.ReplaceAll(paper, "-", " ")))
			v.Follow(submit)
			if got := v.Text("h1"); got != "Your authenticator app" {
				t.Fatalf("%s at %s", got, v.URL())
			}
			look("factor")
			v.Click("summary")
			v.Follow("button[value=remove]")
			if got := v.Text("[aria-labelledby=recovery]"); v.Has("[aria-labelledby=authenticators] .choice") || !strings.Contains(got, "9 are left") {
				t.Error(v.Text("main"))
			}
			v.Follow("a[href$=add-totp]")
			if fresh := v.Text(".seed"); fresh == seed {
				t.Error("the same seed for another app")
			} else {
				v.Fill("#code", code(t, fresh, v.p.Clock.Now()))
				v.Follow(submit)
			}
			if !v.Has("[aria-labelledby=authenticators] .choice") {
				t.Errorf("%s at %s", v.Text("main"), v.URL())
			}
			look("security")
			wantNotices(t, v.p, box, ada, "Authenticator app", "", "Recovery codes", "", "recovery codes of your account", "", "Authenticator app", "", "Authenticator app", "")
		})
	}
}

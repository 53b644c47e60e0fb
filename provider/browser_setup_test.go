package provider_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/templates"
)

// TestBrowserSetup: the first operator comes in by the link that serve printed, with
// and without script, and the browser and axe have nothing to complain about.
func TestBrowserSetup(t *testing.T) {
	words, err := templates.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, look := range []struct {
		name, lang string
		like       func(*providertest.Page)
		check      func(*providertest.Page)
	}{
		{"light in English", "en", func(*providertest.Page) {}, func(v *providertest.Page) { v.Axe() }},
		{"dark in Swedish", "sv", func(v *providertest.Page) { v.Dark() }, func(v *providertest.Page) { v.Axe() }},
		{"narrow in Spanish, without script", "es", func(v *providertest.Page) { v.Narrow(320).WithoutScript() }, func(v *providertest.Page) { v.Fits() }},
	} {
		t.Run(look.name, func(t *testing.T) {
			p := providertest.Start(t, providertest.At(time.Now()))
			v := providertest.Chromium(t)
			v.Language(look.lang)
			look.like(v)
			wants := func(name string, status, want int, path, heading string) {
				t.Helper()
				if status != want || v.URL() != p.URL(path) || v.Text("h1") != words.Text(look.lang, heading) {
					t.Fatalf("%s: status %d at %s, want %d at %s: %s", name, status, v.URL(), want, path, v.Text("body"))
				}
				v.Screenshot(name)
				look.check(v)
			}
			fill := func(email, password string) int {
				v.Fill("#name", "Grace Hopper")
				v.Fill("#email", email)
				v.Fill("#password", password)
				return v.Follow(submit)
			}
			wants("setup-dead", v.Open(p.URL(web.PathSetup)), http.StatusNotFound, web.PathSetup, "setup.dead.title")
			link := setupLink(t, p)
			wants("setup", v.Open(link), http.StatusOK, web.PathSetup, "setup.title")
			if look.lang == "es" {
				if v.Has(".meter:not([hidden])") {
					t.Error("a meter that does not move is shown")
				}
			} else {
				measures(t, v, words, look.lang)
			}
			wants("setup-problems", fill("grace", "short"), http.StatusUnprocessableEntity, web.PathSetup, "setup.title")
			wants("setup-done", fill("grace@example.com", "four horses on a hill"), http.StatusOK, web.PathSetupDone, "setup.done.title")
			if look.lang != "es" {
				v.Eval("navigator.clipboard.writeText = text => { window.copied = text; return Promise.resolve() }")
				v.Click("[aria-describedby=command-create]")
				if got := v.Eval("window.copied"); got != "doorstep client create --type web" {
					t.Errorf("copied %q", got)
				}
				if got := v.Text("[aria-describedby=command-create]"); got != words.Text(look.lang, "copy.done") {
					t.Errorf("the button says %q", got)
				}
			} else if strings.Contains(v.Text("main"), words.Text(look.lang, "copy")+"\n") {
				t.Error("a button that does nothing is shown")
			}
			wants("setup-used", v.Open(link), http.StatusGone, web.PathSetup, "setup.used.title")
		})
	}
}

// measures asks the meter of the new password on this page, which needs 15 characters.
func measures(t *testing.T, v *providertest.Page, words *templates.Pages, lang string) {
	t.Helper()
	const says = `new Promise(told => {
		const words = document.querySelector(".meter ~ [role=status]")
		const look = setInterval(() => { if (words.textContent) { clearInterval(look); told(words.textContent) } }, 10)
	})`
	long := map[string]string{"PasswordPassword": "newpassword.stolen", "four horses on a hill": "newpassword.good"}
	for _, password := range []string{"", "åäö short", "PasswordPassword", "four horses on a hill"} {
		v.Fill("#password", password)
		if got, want := v.Eval(`document.querySelector(".meter").value`), fmt.Sprint(min(15, len([]rune(password)))); got != want {
			t.Errorf("%q: the meter says %s, want %s", password, got, want)
		}
		if long[password] == "" {
			continue
		}
		if got := v.Eval(says); got != words.Text(lang, long[password]) {
			t.Errorf("%q: %s", password, got)
		}
		v.Screenshot("setup-meter-" + long[password])
	}
}

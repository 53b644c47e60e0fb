package providertest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// The shortest way through the house: a person, a client, a code, tokens.
func TestProviderSignsIn(t *testing.T) {
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp, ada := p.Client("web"), p.Person("ada")
		browser := p.Browser().SignIn("ada")
		code := browser.Authorize(rp, "openid email offline_access")
		tokens := rp.Exchange(code).OK()
		if got := p.Userinfo(tokens.Access).WantStatus(http.StatusOK).JSON()["sub"]; got != ada.Sub {
			t.Errorf("sub %v, want %s", got, ada.Sub)
		}
		id := p.Verify(tokens.ID)
		if id.Claims["iss"] != p.Issuer || id.Claims["aud"] != "web" || id.Claims["sub"] != ada.Sub {
			t.Errorf("ID token %v", id.Claims)
		}
		p.Clock.Advance(time.Hour)
		p.Userinfo(tokens.Access).WantStatus(http.StatusUnauthorized).WantError("invalid_token")
		if next := rp.Refresh(tokens.Refresh).OK(); next.Access == tokens.Access {
			t.Error("a refresh gave the same access token")
		}
		rp.Exchange(code).WantError("invalid_grant")
		if len(browser.Cookies()) == 0 {
			t.Error("the browser has no cookies")
		}
		browser.Authorize(rp, "openid", providertest.With("prompt", "none")) // signed in, and consented
	})
}

func TestBrowserDoesNotGoOnByItself(t *testing.T) {
	p := providertest.Start(t)
	rp := p.Client("web")
	p.Browser().Ask(rp, "openid").WantPage(http.StatusOK) // nobody sits there
	p.Browser().SignIn("ada").Deny().Ask(rp, "openid").WantError("access_denied")
	p.Browser().Ask(rp, "openid", providertest.With("redirect_uri", "https://evil.example")).WantPage(http.StatusBadRequest)
	p.Browser().Ask(rp, "openid", providertest.With("prompt", "none")).WantError("login_required")
	if !strings.Contains(p.Logs(), `"login_required"`) {
		t.Error("the refusal is not in the log")
	}
}

func TestBrowserChoosesAnAccount(t *testing.T) {
	p := providertest.Start(t)
	rp, bob := p.Client("web", providertest.FirstParty), p.Person("bob")
	browser := p.Browser()
	browser.SignIn("ada").Authorize(rp, "openid")
	code := browser.SignIn("bob").Authorize(rp, "openid", providertest.With("prompt", "select_account"))
	if sub := p.Verify(rp.Exchange(code).OK().ID).Claims["sub"]; sub != bob.Sub {
		t.Errorf("sub %v, want that of somebody who was not signed in yet: %s", sub, bob.Sub)
	}
}

func TestClientSpeaksForItself(t *testing.T) {
	p := providertest.Start(t)
	p.Resource("https://api.example", "cars:read")
	rp := p.Client("job", providertest.Scope("cars:read"))
	token := p.Verify(rp.ClientCredentials(providertest.With("scope", "cars:read")).OK().Access)
	if token.Header["typ"] != "at+jwt" || token.Claims["aud"] != "https://api.example" {
		t.Errorf("access token %v", token)
	}
	public := p.Client("app", providertest.Public)
	public.Exchange(p.Browser().SignIn("ada").Authorize(public, "openid")).OK()
}

// 20 exchanges of one code at the same moment: answers come in order, and one
// is a success.
func TestRequestsAtOnce(t *testing.T) {
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		code := p.Browser().SignIn("ada").Authorize(rp, "openid")
		var requests []*http.Request
		for range 20 {
			requests = append(requests, rp.ExchangeRequest(code))
		}
		won := 0
		for _, a := range p.AtOnce(requests...) {
			if a.Status == http.StatusOK {
				won++
			} else {
				a.WantError("invalid_grant")
			}
		}
		if won != 1 {
			t.Errorf("%d exchanges succeeded", won)
		}
	})
}

// Ten tabs end one interaction at the same moment: one of them gets a code.
func TestTabsAtOnce(t *testing.T) {
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		browser := p.Browser().SignIn("ada").StopAt(web.PathAuthorize)
		last := browser.Ask(p.Client("web"), "openid").URL.String()
		var tabs []*http.Request
		for range 10 {
			tabs = append(tabs, browser.Request(last))
		}
		codes := 0
		for _, a := range p.AtOnce(tabs...) {
			if strings.Contains(a.Header.Get("Location"), "code=") {
				codes++
			} else if a.Status < 400 || a.Status > 499 {
				t.Errorf("another tab got %s", a)
			}
		}
		if codes != 1 {
			t.Errorf("%d codes of one interaction", codes)
		}
	})
}

func TestProviderCountsStatements(t *testing.T) {
	p := providertest.Start(t, providertest.On(providertest.Postgres(t)))
	rp := p.Client("job")
	if sent := p.Statements.During(func() { p.Person("eve") }); len(sent) == 0 {
		t.Error("creating a person reached no database")
	}
	rp.ClientCredentials().OK()
	if sent := p.Statements.During(func() { p.Get(web.PathJWKS).WantStatus(http.StatusOK) }); len(sent) != 0 {
		t.Errorf("the keys were read: %q", sent)
	}
}

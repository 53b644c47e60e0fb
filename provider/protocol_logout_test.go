package provider_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// bye registers where a client wants people after a sign-out.
func bye(r *clients.Registration) {
	r.PostLogoutRedirectURIs = []string{"https://" + r.ClientID + ".example/bye", "https://" + r.ClientID + ".example/bye?from=op"}
}

// endSessionURL is a request to sign out, of name and value in turn.
func endSessionURL(p *providertest.P, params ...string) string {
	q := url.Values{}
	for i := 0; i < len(params); i += 2 {
		q.Set(params[i], params[i+1])
	}
	return p.URL(web.PathEndSession) + "?" + q.Encode()
}

// isSignedIn asks without a page whether somebody is signed in.
func isSignedIn(t *testing.T, browser *providertest.Browser, rp *providertest.RP) bool {
	t.Helper()
	return nextOf(t, browser, rp.AuthorizationURL("openid", providertest.With("prompt", "none"))) == "code"
}

// OIDC RP-Initiated Logout section 2: with a hint of this very session it ends at
// once, with all that lived by it, and the browser goes back with its state.
func TestAHintOfThisSessionSignsOutAtOnce(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp, other := p.Client("web", providertest.FirstParty, bye), p.Client("other", providertest.FirstParty)
		back := "https://web.example/bye"
		for name, c := range map[string]struct {
			params  []string
			age     time.Duration // of the hint
			want    string
			viaPost bool
		}{
			"hint alone":              {nil, 0, p.URL(web.PathSignedOut), false},
			"redirect":                {[]string{"post_logout_redirect_uri", back}, 0, back, false},
			"redirect and state":      {[]string{"post_logout_redirect_uri", back, "state", "a b&c"}, 0, back + "?state=a+b%26c", false},
			"an empty state":          {[]string{"post_logout_redirect_uri", back, "state", ""}, 0, back + "?state=", false},
			"a redirect with a query": {[]string{"post_logout_redirect_uri", back + "?from=op", "state", "s"}, 0, back + "?from=op&state=s", false},
			"client_id beside it":     {[]string{"client_id", "web", "post_logout_redirect_uri", back}, 0, back, false},
			"an expired hint":         {[]string{"post_logout_redirect_uri", back}, 24 * time.Hour, back, false},
			"languages":               {[]string{"ui_locales", "es en"}, 0, p.URL(web.PathSignedOut) + "?ui_locales=es+en", false},
			"by POST":                 {[]string{"post_logout_redirect_uri", back, "ui_locales", "sv", "logout_hint", "ada", "unknown", "x"}, 0, back, true},
		} {
			browser := p.Browser().SignIn("ada")
			tokens := rp.Exchange(browser.Authorize(rp, "openid")).OK()
			others := other.Exchange(browser.Authorize(other, "openid")).OK()
			offline := other.Exchange(browser.Authorize(other, "openid offline_access")).OK()
			p.Clock.Advance(c.age)
			to := endSessionURL(p, append([]string{"id_token_hint", tokens.ID}, c.params...)...)
			var a *providertest.Answer
			if c.viaPost {
				u, err := url.Parse(to)
				if err != nil {
					t.Fatal(err)
				}
				a = browser.Post(p.URL(web.PathEndSession), u.Query()).WantStatus(http.StatusSeeOther)
				a = browser.Get(browser.Next(a))
			} else {
				a = browser.Get(to)
			}
			if a.WantStatus(http.StatusSeeOther); browser.Next(a) != c.want {
				t.Errorf("%s: goes to %s, want %s", name, browser.Next(a), c.want)
			}
			if isSignedIn(t, browser, rp) || browser.Cookie("doorstep_session") != "" {
				t.Errorf("%s: still signed in", name)
			}
			rp.Refresh(tokens.Refresh).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
			other.Refresh(others.Refresh).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
			other.Refresh(offline.Refresh).OK()
			if c.age == 0 {
				p.Userinfo(tokens.Access).WantStatus(http.StatusUnauthorized)
				p.Userinfo(others.Access).WantStatus(http.StatusUnauthorized)
			}
		}
		p.Browser().Get(p.URL(web.PathSignedOut)).WantStatus(http.StatusOK)
	})
}

// Of two accounts in one browser a hint ends the one that it names, whichever is
// the current one.
func TestAHintSignsOutTheAccountItNames(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		another := providertest.With("prompt", "select_account")
		who := func(browser *providertest.Browser) any {
			return p.Verify(rp.Exchange(browser.Authorize(rp, "openid", providertest.With("prompt", "none"))).OK().ID).Claims["sub"]
		}
		ada, bob := p.Person("ada"), p.Person("bob")
		for _, first := range []bool{true, false} {
			browser := p.Browser()
			adas := rp.Exchange(browser.SignIn("ada").Authorize(rp, "openid")).OK()
			bobs := rp.Exchange(browser.SignIn("bob").Authorize(rp, "openid", another)).OK() // the current one now
			leaves, stays, left := adas, bobs, bob
			if !first {
				leaves, stays, left = bobs, adas, ada
			}
			browser.Get(endSessionURL(p, "id_token_hint", leaves.ID)).WantStatus(http.StatusSeeOther)
			if sub := who(browser); sub != left.Sub {
				t.Errorf("signed in is %v, want %s", sub, left.Sub)
			}
			rp.Refresh(leaves.Refresh).WantError("invalid_grant")
			rp.Refresh(stays.Refresh).OK()
		}
	})
}

// OIDC RP-Initiated Logout section 2: in every other case the person is asked, or
// anybody could sign people out by a link.
func TestWithoutAHintOfThisSessionThePersonIsAsked(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty, bye)
		back := "https://web.example/bye"
		browser := p.Browser().SignIn("ada")
		own := rp.Exchange(browser.Authorize(rp, "openid")).OK().ID
		another := rp.Exchange(p.Browser().SignIn("ada").Authorize(rp, "openid")).OK().ID
		bobs := rp.Exchange(p.Browser().SignIn("bob").Authorize(rp, "openid")).OK().ID
		for name, params := range map[string][]string{
			"nothing":                        nil,
			"client_id":                      {"client_id", "web"},
			"client_id and redirect":         {"client_id", "web", "post_logout_redirect_uri", back, "state", "s"},
			"a hint of another session":      {"id_token_hint", another, "post_logout_redirect_uri", back},
			"a hint of another person":       {"id_token_hint", bobs, "post_logout_redirect_uri", back},
			"a logout_hint":                  {"logout_hint", "ada@example.com"},
			"nonsense for a hint":            {"id_token_hint", "nonsense"},
			"an unsigned hint":               {"id_token_hint", "eyJhbGciOiJub25lIn0.e30.", "client_id", "web", "post_logout_redirect_uri", back},
			"a changed hint":                 {"id_token_hint", own[:len(own)-8] + "AAAAAAAA", "client_id", "web", "post_logout_redirect_uri", back},
			"a redirect is none that counts": {"client_id", "web", "post_logout_redirect_uri", "", "state", "s"},
		} {
			a := browser.Get(endSessionURL(p, params...)).WantStatus(http.StatusSeeOther)
			asks := browser.Next(a)
			if u, err := url.Parse(asks); err != nil || u.Path != web.PathSignOut {
				t.Fatalf("%s: goes to %s, want a question", name, asks)
			}
			if !isSignedIn(t, browser, rp) {
				t.Fatalf("%s: signed out by a link", name)
			}
			stays := browser.Send(browser.Filled(asks, providertest.With("decision", "stay"))).WantStatus(http.StatusSeeOther)
			if browser.Next(stays) != p.URL(web.PathHome) || !isSignedIn(t, browser, rp) {
				t.Errorf("%s: who stays goes to %s", name, browser.Next(stays))
			}
		}
		asks := browser.Next(browser.Get(endSessionURL(p, "client_id", "web", "post_logout_redirect_uri", back, "state", "s")))
		left := browser.Send(browser.Filled(asks, providertest.With("decision", "signout"))).WantStatus(http.StatusSeeOther)
		if browser.Next(left) != back+"?state=s" || isSignedIn(t, browser, rp) {
			t.Errorf("who agrees goes to %s", browser.Next(left))
		}
		// Nobody is signed in: there is nothing to ask.
		for to, params := range map[string][]string{
			back + "?state=s":        {"id_token_hint", own, "post_logout_redirect_uri", back, "state", "s"},
			back:                     {"client_id", "web", "post_logout_redirect_uri", back},
			p.URL(web.PathSignedOut): nil,
		} {
			if got := browser.Next(browser.Get(endSessionURL(p, params...)).WantStatus(http.StatusSeeOther)); got != to {
				t.Errorf("nobody signed in: goes to %s, want %s", got, to)
			}
		}
	})
}

// OIDC RP-Initiated Logout sections 3 and 4: what is wrong is shown here, and leads
// nowhere; nobody is signed out by it.
func TestSignOutRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp, other := p.Client("web", providertest.FirstParty, bye), p.Client("other", providertest.FirstParty, bye)
		stranger := providertest.Start(t)
		foreign := stranger.Client("web", providertest.FirstParty)
		foreignHint := foreign.Exchange(stranger.Browser().SignIn("ada").Authorize(foreign, "openid")).OK().ID
		back := "https://web.example/bye"
		browser := p.Browser().SignIn("ada")
		tokens := rp.Exchange(browser.Authorize(rp, "openid")).OK()
		for name, params := range map[string][]string{
			"an unregistered redirect":           {"id_token_hint", tokens.ID, "post_logout_redirect_uri", "https://evil.example/"},
			"a redirect of another byte":         {"id_token_hint", tokens.ID, "post_logout_redirect_uri", back + "/"},
			"the redirect of a sign-in":          {"id_token_hint", tokens.ID, "post_logout_redirect_uri", rp.RedirectURI},
			"another client's redirect":          {"id_token_hint", tokens.ID, "post_logout_redirect_uri", "https://other.example/bye"},
			"a redirect and no client":           {"post_logout_redirect_uri", back},
			"an unregistered one, client_id":     {"client_id", "web", "post_logout_redirect_uri", "https://evil.example/"},
			"another client's hint":              {"id_token_hint", tokens.ID, "client_id", other.ID},
			"another client's hint and redirect": {"id_token_hint", tokens.ID, "client_id", other.ID, "post_logout_redirect_uri", "https://other.example/bye"},
			"an unknown client":                  {"client_id", "nobody"},
			"a foreign hint":                     {"id_token_hint", foreignHint, "post_logout_redirect_uri", back},
			"an access token for a hint":         {"id_token_hint", tokens.Access, "post_logout_redirect_uri", back},
			"a refresh token for a hint":         {"id_token_hint", tokens.Refresh, "post_logout_redirect_uri", back},
		} {
			wantOwnPage(t, name, browser.Get(endSessionURL(p, params...)))
		}
		if !isSignedIn(t, browser, rp) {
			t.Error("signed out by a request that was refused")
		}
		// A client that is gone asks for nothing.
		if err := p.Clients.Delete(t.Context(), rp.ID, events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		wantOwnPage(t, "a client that is gone", browser.Get(endSessionURL(p, "id_token_hint", tokens.ID, "post_logout_redirect_uri", back)))
		wantOwnPage(t, "a client that is gone, by its id", browser.Get(endSessionURL(p, "id_token_hint", tokens.ID, "client_id", rp.ID)))
		if !isSignedIn(t, browser, other) {
			t.Error("signed out by a client that is gone")
		}
	})
}

// OIDC RP-Initiated Logout section 2: the hint of a client that is gone keeps nobody
// from signing out. The account that it names is asked about.
func TestTheHintOfAClientThatIsGoneAsks(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp, other := p.Client("web", providertest.FirstParty, bye), p.Client("other", providertest.FirstParty)
		browser := p.Browser().SignIn("ada")
		hint := rp.Exchange(browser.Authorize(rp, "openid")).OK().ID
		if err := p.Clients.Delete(t.Context(), rp.ID, events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		p.Clock.Advance(5 * time.Second) // caches notice
		asks := browser.Next(browser.Get(endSessionURL(p, "id_token_hint", hint)))
		if !isSignedIn(t, browser, other) {
			t.Error("signed out without being asked, by the hint of a client that is gone")
		}
		browser.Send(browser.Filled(asks, providertest.With("decision", "signout"))).WantStatus(http.StatusSeeOther)
		if isSignedIn(t, browser, other) {
			t.Error("still signed in")
		}
	})
}

// OIDC RP-Initiated Logout section 2: logout_hint, and a hint of another session,
// say which of the accounts here is meant. It is asked about, and it alone leaves.
func TestALogoutHintChoosesWhoIsAsked(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty, bye)
		ada, bob := p.Person("ada"), p.Person("bob")
		elsewhere := rp.Exchange(p.Browser().SignIn("ada").Authorize(rp, "openid")).OK()
		for name, hints := range map[string]func(adas *providertest.Tokens) []string{
			"an address":             func(*providertest.Tokens) []string { return []string{"logout_hint", "ada@example.com"} },
			"an address, spelled so": func(*providertest.Tokens) []string { return []string{"logout_hint", " Ada@EXAMPLE.com"} },
			"a sub":                  func(*providertest.Tokens) []string { return []string{"logout_hint", ada.Sub} },
			"a sid": func(adas *providertest.Tokens) []string {
				return []string{"client_id", "web", "logout_hint", p.Verify(adas.ID).Claims["sid"].(string)}
			},
			"an ID token from elsewhere": func(*providertest.Tokens) []string { return []string{"id_token_hint", elsewhere.ID} },
		} {
			browser := p.Browser()
			adas := rp.Exchange(browser.SignIn("ada").Authorize(rp, "openid")).OK()
			bobs := rp.Exchange(browser.SignIn("bob").Authorize(rp, "openid", providertest.With("prompt", "select_account"))).OK() // the current one
			asks := browser.Next(browser.Get(endSessionURL(p, hints(adas)...)).WantStatus(http.StatusSeeOther))
			page := browser.Get(asks).WantStatus(http.StatusOK)
			if !strings.Contains(string(page.Body), ada.Email) || strings.Contains(string(page.Body), bob.Email) {
				t.Errorf("%s: the page does not ask about ada", name)
			}
			browser.Send(browser.Filled(asks, providertest.With("decision", "signout"))).WantStatus(http.StatusSeeOther)
			rp.Refresh(adas.Refresh).WantError("invalid_grant")
			rp.Refresh(bobs.Refresh).OK()
			// The question was answered: asked again, it is about nobody.
			if again := browser.Get(asks); again.Status == http.StatusOK && strings.Contains(string(again.Body), bob.Email) {
				t.Errorf("%s: asks about bob next", name)
			}
		}
		browser := p.Browser()
		browser.SignIn("ada").Authorize(rp, "openid")
		browser.SignIn("bob").Authorize(rp, "openid", providertest.With("prompt", "select_account"))
		for _, nobody := range []string{"", "carol@example.com", "nonsense", "@"} {
			asks := browser.Next(browser.Get(endSessionURL(p, "logout_hint", nobody)).WantStatus(http.StatusSeeOther))
			if page := browser.Get(asks).WantStatus(http.StatusOK); !strings.Contains(string(page.Body), bob.Email) {
				t.Errorf("logout_hint %q: the page does not ask about the current account", nobody)
			}
		}
	})
}

// OIDC RP-Initiated Logout section 4: a hint that is no ID token of ours is an
// error, after which nobody is sent to the client; who wants to leave can.
func TestAttack52ForeignHintLeadsNowhere(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty, bye)
		browser := p.Browser().SignIn("ada")
		own := rp.Exchange(browser.Authorize(rp, "openid")).OK().ID
		payload := strings.Split(own, ".")[1]
		for name, hint := range map[string]string{
			"alg none":  "eyJhbGciOiJub25lIn0." + payload + ".",
			"changed":   own[:len(own)-8] + "AAAAAAAA",
			"cut short": own[:len(own)-2],
			"nonsense":  "nonsense",
		} {
			params := []string{"id_token_hint", hint, "post_logout_redirect_uri", "https://web.example/bye", "state", "s"}
			wantOwnPage(t, name, browser.Get(endSessionURL(p, params...)))
			for _, signedIn := range []bool{true, false} {
				b := browser
				if !signedIn {
					b = p.Browser()
				}
				to := b.Next(b.Get(endSessionURL(p, append(params, "client_id", rp.ID)...)).WantStatus(http.StatusSeeOther))
				if strings.Contains(to, "web.example") {
					t.Errorf("%s: leads to %s", name, to)
				}
			}
		}
		asks := browser.Next(browser.Get(endSessionURL(p, "id_token_hint", "nonsense", "client_id", rp.ID, "post_logout_redirect_uri", "https://web.example/bye")))
		left := browser.Send(browser.Filled(asks, providertest.With("decision", "signout"))).WantStatus(http.StatusSeeOther)
		if to := browser.Next(left); to != p.URL(web.PathSignedOut) || isSignedIn(t, browser, rp) {
			t.Errorf("who signs out goes to %s", to)
		}
	})
}

// The page after a sign-out is in the language that the client asked for.
func TestSignedOutPageSpeaksTheClientsLanguage(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t)
	rp := p.Client("web", providertest.FirstParty)
	for lang, how := range map[string][]string{"es": {"ui_locales", "fr es"}, "sv": {"ui_locales", "sv", "client_id", "web"}, "en": {}} {
		browser := p.Browser().SignIn("ada")
		hint := rp.Exchange(browser.Authorize(rp, "openid")).OK().ID
		at := browser.Next(browser.Get(endSessionURL(p, append([]string{"id_token_hint", hint}, how...)...)))
		if page := browser.Get(at).WantStatus(http.StatusOK); !strings.Contains(string(page.Body), `<html lang="`+lang+`"`) {
			t.Errorf("%v: the page is not in %s", how, lang)
		}
		browser = p.Browser().SignIn("ada")
		browser.Authorize(rp, "openid")
		asks := browser.Next(browser.Get(endSessionURL(p, how...)))
		if page := browser.Get(asks).WantStatus(http.StatusOK); !strings.Contains(string(page.Body), `<html lang="`+lang+`"`) {
			t.Errorf("%v: the question is not in %s", how, lang)
		}
		at = browser.Next(browser.Send(browser.Filled(asks, providertest.With("decision", "signout"))))
		if page := browser.Get(at).WantStatus(http.StatusOK); !strings.Contains(string(page.Body), `<html lang="`+lang+`"`) {
			t.Errorf("%v: the page after the question is not in %s", how, lang)
		}
	}
}

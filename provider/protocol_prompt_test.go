package provider_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// orders are all orders of every choice of some of the words.
func orders(words ...string) [][]string {
	out := [][]string{{}}
	for i, w := range words {
		rest := slices.Concat(words[:i], words[i+1:])
		for _, o := range orders(rest...) {
			out = append(out, append([]string{w}, o...))
		}
	}
	return out
}

// pagesOf has a browser ask and returns which pages the person saw on the way to the
// code, or to the error.
func pagesOf(t *testing.T, browser *providertest.Browser, rp *providertest.RP, params ...providertest.Param) string {
	t.Helper()
	var pages []string
	browser.Watch(func(r *http.Request, a *http.Response) {
		for path, name := range map[string]string{web.PathSignIn: "password", web.PathAccount: "account", web.PathConsent: "consent"} {
			if r.Method == http.MethodGet && a.StatusCode == http.StatusOK && r.URL.Path == path {
				pages = append(pages, name)
			}
		}
	})
	arrival := browser.Ask(rp, "openid", params...)
	if arrival.Params.Has("code") {
		arrival.Code()
		return strings.Join(append(pages, "code"), " ")
	}
	return strings.Join(append(pages, arrival.Params.Get("error")), " ")
}

// OIDC Core section 3.1.2.1: every combination of prompts, in any order and said twice,
// shows the page of each, in one order: which account, a proof, consent. None goes with
// no other; an unknown one is refused, also beside a known one.
func TestPromptsInEveryCombination(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web")
		browser := p.Browser().SignIn("ada")
		browser.Authorize(rp, "openid")
		for _, o := range orders("login", "consent", "select_account") {
			want := []string{}
			for _, page := range [][2]string{{"select_account", "account"}, {"login", "password"}, {"consent", "consent"}} {
				if slices.Contains(o, page[0]) {
					want = append(want, page[1])
				}
			}
			for _, prompt := range []string{strings.Join(o, " "), strings.Join(append(o, o...), "  ")} {
				if got := pagesOf(t, browser, rp, providertest.With("prompt", prompt)); got != strings.Join(append(want, "code"), " ") {
					t.Errorf("prompt=%s: %s, want %s", prompt, got, want)
				}
				if got := pagesOf(t, browser, rp, providertest.With("prompt", prompt), providertest.With("max_age", "0")); !strings.Contains(got, "password") || strings.Count(got, "password") != 1 {
					t.Errorf("prompt=%s and max_age=0: %s, want one proof", prompt, got)
				}
			}
			if len(o) == 0 {
				continue
			}
			for _, wrong := range []string{"none " + strings.Join(o, " "), strings.Join(o, " ") + " none", strings.Join(o, " ") + " create", "Login " + strings.Join(o, " ")} {
				if got := pagesOf(t, browser, rp, providertest.With("prompt", wrong)); got != "invalid_request" {
					t.Errorf("prompt=%s: %s", wrong, got)
				}
			}
			// In a browser in which nobody is signed in, signing in is both choice and proof.
			want = []string{"password", "code"}
			if slices.Contains(o, "consent") {
				want = []string{"password", "consent", "code"}
			}
			if got := pagesOf(t, p.Browser().SignIn("ada"), rp, providertest.With("prompt", strings.Join(o, " "))); got != strings.Join(want, " ") {
				t.Errorf("prompt=%s of nobody: %s, want %s", strings.Join(o, " "), got, want)
			}
		}
		if got := pagesOf(t, browser, rp, providertest.With("prompt", "none")); got != "code" {
			t.Errorf("prompt=none: %s", got)
		}
	})
}

// OIDC Core section 3.1.2.1: an id_token_hint names the only person that may be
// answered about, also an old one, of another client or from the authorization
// endpoint. Of several people who are signed in with a browser it is the one who is
// named; a hint that is none of ours is refused.
func TestHintsInEveryCombination(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp, other := p.Client("web", legacy), p.Client("other", providertest.FirstParty)
		ada, bob, both := p.Browser().SignIn("ada"), p.Browser().SignIn("bob"), p.Browser().SignIn("ada")
		tokens := rp.Exchange(ada.Authorize(rp, "openid")).OK()
		front := ada.Ask(rp, "openid", responseType("id_token")).Params.Get("id_token")
		another := other.Exchange(ada.Authorize(other, "openid")).OK()
		bob.Authorize(rp, "openid")
		both.Authorize(rp, "openid")
		both.SignIn("bob").Authorize(rp, "openid", providertest.With("prompt", "select_account")) // bob is the current one
		subs := map[string]string{p.Person("ada").Sub: "ada", p.Person("bob").Sub: "bob"}

		p.Clock.Advance(26 * time.Hour) // every ID token expired long ago
		fresh := rp.Exchange(ada.Authorize(rp, "openid")).OK()
		dead := []string{"nonsense", tokens.Access, tokens.Refresh, tokens.ID + "x", tokens.ID[:len(tokens.ID)-4], strings.Replace(tokens.ID, ".", "..", 1)}
		for name, hint := range map[string]string{"old": tokens.ID, "new": fresh.ID, "of the authorization endpoint": front, "of another client": another.ID} {
			for _, c := range []struct {
				who     *providertest.Browser
				prompt  string
				want    string // whose code, or the error
				further string // parameters
			}{
				{ada, "none", "ada", ""}, {ada, "", "ada", ""}, {ada, "login", "ada", ""}, {ada, "select_account", "ada", ""}, {ada, "consent", "ada", ""},
				{ada, "none", "login_required", "max_age=60"}, {ada, "", "ada", "max_age=60"}, {ada, "none", "ada", "max_age=1000000"},
				{bob, "none", "login_required", ""}, {bob, "", "login_required", ""}, {bob, "select_account", "login_required", ""},
				{p.Browser(), "none", "login_required", ""}, {p.Browser().SignIn("ada"), "", "ada", ""}, {p.Browser().SignIn("bob"), "", "login_required", ""},
				{both, "none", "ada", ""}, {both, "", "ada", ""},
				{ada, "none login", "invalid_request", ""},
			} {
				further, err := url.ParseQuery(c.further)
				if err != nil {
					t.Fatal(err)
				}
				p.Clock.Advance(2 * time.Minute)
				arrival := c.who.Ask(rp, "openid", providertest.With("id_token_hint", hint), providertest.With("prompt", c.prompt), func(q url.Values) {
					for name := range further {
						q.Set(name, further.Get(name))
					}
				})
				got := arrival.Params.Get("error")
				if got == "" {
					got = subs[fmt.Sprint(p.Verify(rp.Exchange(arrival.Code()).OK().ID).Claims["sub"])]
				}
				if got != c.want {
					t.Errorf("hint %s, prompt=%s %s: %s, want %s", name, c.prompt, c.further, got, c.want)
				}
			}
		}
		for _, hint := range dead {
			for _, prompt := range []string{"none", "", "login"} {
				ada.Ask(rp, "openid", providertest.With("id_token_hint", hint), providertest.With("prompt", prompt)).WantError("invalid_request")
			}
		}
		// Whoever was current stays it, for requests that name nobody.
		claims := p.Verify(rp.Exchange(both.Authorize(rp, "openid", providertest.With("prompt", "none"))).OK().ID).Claims
		if claims["sub"] != p.Person("bob").Sub {
			t.Errorf("without a hint: %v, want bob", claims["sub"])
		}
	})
}

// OIDC Core sections 3.1.2.1 and 3.1.2.2: what says how to ask, or nothing that is known
// here, changes nothing, whatever it holds, together too.
func TestHarmlessParametersChangeNothing(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		browser, nobody := p.Browser().SignIn("ada"), p.Browser()
		browser.Authorize(rp, "openid")
		values := map[string][]string{
			"display": {"page", "popup", "touch", "wap", "", "nonsense", "page popup"}, "ui_locales": {"sv", "es-MX en", "se", "", "!!", strings.Repeat("sv ", 300)},
			"claims_locales": {"sv en", "se", "", "!!"}, "login_hint": {"ada@example.com", "bob@example.com", "", "<b>", "ada@example.com?subject=x"},
			"unknown": {"x", ""}, "a b": {"c"}, "id_token": {"x"}, "code": {"x"}, "error": {"access_denied"}, "access_token": {"x"}, "iss": {"https://evil.example"},
			"dpop_jkt": {"x"}, "authorization_details": {"[]"}, "audience": {"x"}, "client_secret": {"x"}, "code_verifier": {"x"}, "acr": {"aal3"}, "sub": {"p_x"},
		}
		together := func(q url.Values) {
			for name, list := range values {
				q.Set(name, list[0])
			}
		}
		for _, prompt := range []string{"", "none"} {
			browser.Authorize(rp, "openid", together, providertest.With("prompt", prompt))
			for name, list := range values {
				for _, value := range list {
					code := browser.Authorize(rp, "openid", providertest.With(name, value), providertest.With("prompt", prompt))
					if claims := p.Verify(rp.Exchange(code).OK().ID).Claims; claims["sub"] != p.Person("ada").Sub || claims["acr"] != "aal1" {
						t.Errorf("%s=%s: %v", name, value, claims)
					}
					want := map[string]string{"": web.PathSignIn, "none": "login_required"}[prompt]
					if got := nextOf(t, nobody, rp.AuthorizationURL("openid", providertest.With(name, value), providertest.With("prompt", prompt))); got != want {
						t.Errorf("%s=%s of nobody: %s, want %s", name, value, got, want)
					}
				}
			}
		}
	})
}

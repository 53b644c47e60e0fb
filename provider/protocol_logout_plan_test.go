package provider_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// postLogout is what [bye] registers for the suite.
const postLogout = "https://suite.example/bye"

// TestRPInitiatedLogoutPlan does what the modules of the official plan for
// RP-Initiated Logout do, by their names: an authorization, a request to
// end_session, and what the module asks of the answer.
func TestRPInitiatedLogoutPlan(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("suite", bye)
		stranger := providertest.Start(t)
		fake := stranger.Client("suite", providertest.FirstParty)
		fakeHint := fake.Exchange(stranger.Browser().SignIn("ada").Authorize(fake, "openid")).OK().ID
		state := strings.Repeat("Ab1-._~/", 16)
		for module, change := range map[string]func(q url.Values){
			"oidcc-rp-initiated-logout":                                         func(url.Values) {},
			"oidcc-rp-initiated-logout-no-state":                                func(q url.Values) { q.Del("state") },
			"oidcc-rp-initiated-logout-bad-post-logout-redirect-uri":            func(q url.Values) { q.Set("post_logout_redirect_uri", postLogout+"9t1") },
			"oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri": func(q url.Values) { q.Set("post_logout_redirect_uri", postLogout+"?foo=bar") },
			"oidcc-rp-initiated-logout-bad-id-token-hint":                       func(q url.Values) { q.Set("id_token_hint", fakeHint) },
			"oidcc-rp-initiated-logout-modified-id-token-hint": func(q url.Values) {
				q.Set("id_token_hint", "eyJhbGciOiJub25lIn0."+strings.Split(q.Get("id_token_hint"), ".")[1]+".")
			},
			"oidcc-rp-initiated-logout-no-id-token-hint":            func(q url.Values) { q.Del("id_token_hint") },
			"oidcc-rp-initiated-logout-no-params":                   func(q url.Values) { clear(q) },
			"oidcc-rp-initiated-logout-only-state":                  func(q url.Values) { q.Del("id_token_hint"); q.Del("post_logout_redirect_uri") },
			"oidcc-rp-initiated-logout-no-post-logout-redirect-uri": func(q url.Values) { q.Del("post_logout_redirect_uri") },
		} {
			browser := p.Browser().SignIn("ada")
			tokens := rp.Exchange(browser.Authorize(rp, "openid")).OK()
			q := url.Values{"id_token_hint": {tokens.ID}, "post_logout_redirect_uri": {postLogout}, "state": {state}}
			change(q)
			a := browser.Get(p.URL(web.PathEndSession) + "?" + q.Encode())
			switch module {
			case "oidcc-rp-initiated-logout", "oidcc-rp-initiated-logout-no-state":
				want := url.Values{}
				if q.Has("state") {
					want.Set("state", state)
				}
				to, err := url.Parse(browser.Next(a.WantStatus(http.StatusSeeOther)))
				if err != nil || to.Scheme+"://"+to.Host+to.Path != postLogout || !reflect.DeepEqual(to.Query(), want) {
					t.Errorf("%s: goes to %s, %v", module, to, err)
				}
				browser.Ask(rp, "openid", silently).WantError("login_required")
			case "oidcc-rp-initiated-logout-no-post-logout-redirect-uri":
				if to := browser.Next(a.WantStatus(http.StatusSeeOther)); to != p.URL(web.PathSignedOut) {
					t.Errorf("%s: goes to %s", module, to)
				}
				browser.Get(p.URL(web.PathSignedOut)).WantStatus(http.StatusOK)
				browser.Ask(rp, "openid", silently).WantError("login_required")
			case "oidcc-rp-initiated-logout-no-params", "oidcc-rp-initiated-logout-only-state":
				asks := browser.Next(a.WantStatus(http.StatusSeeOther))
				left := browser.Send(browser.Filled(asks, providertest.With("decision", "signout"))).WantStatus(http.StatusSeeOther)
				if to := browser.Next(left); to != p.URL(web.PathSignedOut) {
					t.Errorf("%s: who agrees goes to %s", module, to)
				}
				browser.Ask(rp, "openid", silently).WantError("login_required")
			default:
				wantOwnPage(t, module, a)
			}
		}
	})
}

// TestBackchannelLogoutPlan does what the official plan for Back-Channel Logout
// does: the flow of the plan above, at a client that is told.
func TestBackchannelLogoutPlan(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		server := p.LogoutServer()
		rp := p.Client("suite", bye, server.Told, func(r *clients.Registration) { r.BackchannelLogoutSession = true })
		browser := p.Browser().SignIn("ada")
		tokens := rp.Exchange(browser.Authorize(rp, "openid")).OK()
		a := browser.Get(endSessionURL(p, "id_token_hint", tokens.ID, "post_logout_redirect_uri", postLogout, "state", "s"))
		if to := browser.Next(a.WantStatus(http.StatusSeeOther)); to != postLogout+"?state=s" {
			t.Errorf("goes to %s", to)
		}
		got := server.Got() // it was told before the browser went back
		if len(got) != 1 || got[0].Method != http.MethodPost || len(got[0].Form) != 1 {
			t.Fatalf("told %+v", got)
		}
		told, id := p.Verify(got[0].Token).Claims, p.Verify(tokens.ID).Claims
		if told["iss"] != p.Issuer || told["aud"] != rp.ID || told["iat"] == nil || told["jti"] == "" || told["nonce"] != nil ||
			told["sub"] != id["sub"] || told["sid"] != id["sid"] || id["sid"] == nil {
			t.Errorf("told %v of %v", told, id)
		}
		if events, ok := told["events"].(map[string]any); !ok || len(events) != 1 || !reflect.DeepEqual(events[logoutEvent], map[string]any{}) {
			t.Errorf("events %v", told["events"])
		}
		browser.Ask(rp, "openid", silently).WantError("login_required")
	})
}

// Back-Channel Logout section 2.4: the example of the specification has the
// members that ours has, of the same JSON types.
func TestLogoutTokenOfTheSpecification(t *testing.T) {
	t.Parallel()
	const example = `{
		"iss": "https://server.example.com",
		"sub": "248289761001",
		"aud": "s6BhdRkqt3",
		"iat": 1471566154,
		"exp": 1471569754,
		"jti": "bWJq",
		"sid": "08a5019c-17e1-4977-8f42-65a12843ea02",
		"events": {"http://schemas.openid.net/event/backchannel-logout": {}}
	}`
	var want map[string]any
	if err := json.Unmarshal([]byte(example), &want); err != nil {
		t.Fatal(err)
	}
	p := providertest.Start(t)
	server := p.LogoutServer()
	rp := p.Client("s6BhdRkqt3", providertest.FirstParty, server.Told)
	browser := p.Browser().SignIn("ada")
	browser.Authorize(rp, "openid")
	signOut(t, p, browser)
	got := toldOnce(t, p, server).Claims
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, slices.Sorted(maps.Keys(want))) {
		t.Errorf("members %v", names)
	}
	for name, value := range want {
		if reflect.TypeOf(got[name]) != reflect.TypeOf(value) {
			t.Errorf("%s is a %T, the specification has a %T", name, got[name], value)
		}
	}
	if !reflect.DeepEqual(got["events"], want["events"]) || got["aud"] != want["aud"] {
		t.Errorf("events %v, aud %v", got["events"], got["aud"])
	}
}

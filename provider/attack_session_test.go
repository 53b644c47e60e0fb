package provider_test

import (
	"crypto/rand"
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

// The cookies of an http issuer.
const (
	sessionCookie = "doorstep_session"
	browserCookie = "doorstep_browser"
	deviceCookie  = "doorstep_device"
)

// subjectOf is who a code is about.
func subjectOf(p *providertest.P, rp *providertest.RP, code string) any {
	return p.Verify(rp.Exchange(code).OK().ID).Claims["sub"]
}

var silently = providertest.With("prompt", "none")

// OWASP ASVS 5.0 7.2.4: what somebody knew of a browser before its person proved
// who they are is worth nothing after.
func TestAttack50ProofRotatesSession(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web")
		ada, mallory := p.Person("ada"), p.Person("mallory")
		current := func(b *providertest.Browser) string {
			first, _, _ := strings.Cut(b.Cookie(sessionCookie), ".")
			return first
		}
		attacker := p.Browser().SignIn("mallory")
		attacker.Authorize(rp, "openid")

		for how, planted := range map[string]string{"made up": strings.Repeat("A", 43), "the attacker's own": current(attacker)} {
			victim := p.Browser().Plant(sessionCookie, planted).SignIn("ada")
			code := victim.Authorize(rp, "openid", providertest.With("prompt", "select_account"))
			if sub := subjectOf(p, rp, code); sub != ada.Sub {
				t.Errorf("%s: signed in as %v, want ada", how, sub)
			}
			if current(victim) == planted {
				t.Errorf("%s: the planted secret is the session's", how)
			}
			if there := p.Browser().Plant(sessionCookie, planted).Ask(rp, "openid", silently); there.Params.Has("code") {
				if sub := subjectOf(p, rp, there.Code()); sub != mallory.Sub {
					t.Errorf("%s: whoever planted it is now %v", how, sub)
				}
			}
		}

		home := p.Browser().SignIn("ada")
		home.Authorize(rp, "openid")
		before := current(home)
		home.Authorize(rp, "openid", providertest.With("prompt", "login"))
		if current(home) == before {
			t.Error("a new proof left the session's secret as it was")
		}
		p.Browser().Plant(sessionCookie, before).Ask(rp, "openid", silently).WantError("login_required")

		// The attacker knows even what binds the victim's interactions, and began
		// the one that the victim goes through.
		attacker = p.Browser()
		began := attacker.Ask(rp, "openid")
		secret := attacker.Cookie(browserCookie)
		if secret == "" {
			t.Fatal("the browser has no secret")
		}
		victim := p.Browser().Plant(browserCookie, secret).SignIn("bob").StopAt(web.PathAuthorize)
		done := victim.Walk(rp, began.URL.String())
		if victim.Cookie(sessionCookie) == "" || done.URL.Path != web.PathAuthorize {
			t.Fatalf("the victim did not get through: at %s", done.URL)
		}
		if a := attacker.Get(done.URL.String()); strings.Contains(a.Header.Get("Location"), "code=") {
			t.Errorf("without the victim's session the attacker gets %s", a.Header.Get("Location"))
		}
	})
}

// The same of each proof that is asked for beside the password, and where one is asked
// for anew: the cookie from before it opens nothing after it.
func TestAttack50EveryFurtherProofRotatesSession(t *testing.T) {
	t.Parallel()
	more, again := providertest.With("acr_values", "aal2"), providertest.With("max_age", "0")
	for what, proves := range map[string]func(t *testing.T, p *providertest.P, rp *providertest.RP, b *providertest.Browser){
		"a passkey": func(t *testing.T, p *providertest.P, rp *providertest.RP, b *providertest.Browser) {
			d := p.Device(phone)
			addPasskey(t, p, "ada", d)
			b.Holding(d).Authorize(rp, "openid", more)
		},
		"a passkey once more": func(t *testing.T, p *providertest.P, rp *providertest.RP, b *providertest.Browser) {
			d := p.Device(phone)
			addPasskey(t, p, "ada", d)
			b.Holding(d).Authorize(rp, "openid", more)
			p.Clock.Advance(time.Minute)
			cookie := b.Cookie(sessionCookie)
			b.Authorize(rp, "openid", more, again)
			if b.Cookie(sessionCookie) == cookie {
				t.Error("the session's secret is what it was")
			}
		},
		"a code": func(t *testing.T, p *providertest.P, rp *providertest.RP, b *providertest.Browser) {
			seed := addAuthenticator(t, p, "ada")
			p.Clock.Advance(time.Minute)
			at := b.StopAt(web.PathTOTP).Ask(rp, "openid", more).URL.String()
			b.Send(b.Filled(at, providertest.With("code", code(t, seed, p.Clock.Now())))).WantStatus(signedOn)
		},
		"a recovery code": func(t *testing.T, p *providertest.P, _ *providertest.RP, b *providertest.Browser) {
			addAuthenticator(t, p, "ada")
			paper, err := p.Recovery.Generate(t.Context(), p.Person("ada").ID, rand.Text(), events.ActorPerson)
			if err != nil {
				t.Fatal(err)
			}
			p.Clock.Advance(time.Hour) // the password is not fresh any more
			at := b.StopAt(web.PathTOTP).Walk(nil, p.URL(web.PathSecurityAddPasskey)).URL
			at.Path = web.PathSignIn
			b.Send(b.Filled(at.String(), providertest.With("password", providertest.Password))).WantStatus(signedOn)
			at.Path = web.PathRecovery
			b.Send(b.Filled(at.String(), providertest.With("code", paper[0]))).WantStatus(signedOn)
		},
	} {
		t.Run(what, func(t *testing.T) {
			providertest.Each(t, func(t *testing.T, p *providertest.P) {
				rp := p.Client("web", providertest.FirstParty)
				b := p.Browser().SignIn("ada")
				b.Authorize(rp, "openid")
				before := b.Cookie(sessionCookie)
				p.Browser().Plant(sessionCookie, before).Authorize(rp, "openid", silently)
				proves(t, p, rp, b)
				if b.Cookie(sessionCookie) == "" {
					t.Fatal("nobody is signed in")
				}
				p.Browser().Plant(sessionCookie, before).Ask(rp, "openid", silently).WantError("login_required")
				b.StopAt("").Authorize(rp, "openid", silently)
			})
		})
	}
}

// OpenID Connect RP-Initiated Logout section 2: a link signs nobody out unless
// its hint is of this very session; and signing out ends all that lives by it.
func TestAttack52LinkSignsNobodyOut(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		const bye = "https://web.example/bye"
		server := p.LogoutServer()
		rp := p.Client("web", server.Told, func(r *clients.Registration) { r.PostLogoutRedirectURIs = []string{bye} })
		browser := p.Browser().SignIn("ada")
		own := rp.Exchange(browser.Authorize(rp, "openid")).OK()
		elsewhere := rp.Exchange(p.Browser().SignIn("ada").Authorize(rp, "openid")).OK()
		somebodys := rp.Exchange(p.Browser().SignIn("bob").Authorize(rp, "openid")).OK()

		leave := func(params ...string) string {
			q := url.Values{}
			for i := 0; i < len(params); i += 2 {
				q.Set(params[i], params[i+1])
			}
			return p.URL(web.PathEndSession) + "?" + q.Encode()
		}
		for what, link := range map[string]string{
			"nothing":                    leave(),
			"a client":                   leave("client_id", rp.ID, "post_logout_redirect_uri", bye),
			"a hint of another":          leave("id_token_hint", somebodys.ID, "post_logout_redirect_uri", bye),
			"a hint from elsewhere":      leave("id_token_hint", elsewhere.ID, "post_logout_redirect_uri", bye),
			"an access token for a hint": leave("id_token_hint", own.Access),
			"a hint cut short":           leave("id_token_hint", own.ID[:len(own.ID)-2], "client_id", rp.ID, "post_logout_redirect_uri", bye),
		} {
			a := browser.Get(link).WantStatus(http.StatusSeeOther)
			if to := a.Header.Get("Location"); !strings.HasPrefix(to, web.PathSignOut+"?i=") {
				t.Errorf("%s: leads to %q, want the question", what, to)
			}
			browser.Get(p.Issuer + a.Header.Get("Location")).WantStatus(http.StatusOK)
			browser.Authorize(rp, "openid", silently) // still signed in
		}
		for what, link := range map[string]string{
			"another client's hint":   leave("id_token_hint", own.ID, "client_id", "other"),
			"an address of nobody's":  leave("id_token_hint", own.ID, "post_logout_redirect_uri", bye+"/"),
			"an address without whom": leave("id_token_hint", own.Access, "post_logout_redirect_uri", bye),
		} {
			if a := browser.Get(link).WantStatus(http.StatusBadRequest); a.Header.Get("Location") != "" {
				t.Errorf("%s leads to %q", what, a.Header.Get("Location"))
			}
			browser.Authorize(rp, "openid", silently)
		}
		browser.Get(p.URL(web.PathSignOut)).WantStatus(http.StatusOK)
		browser.Authorize(rp, "openid", silently)
		if p.TellClients(); len(server.Got()) != 0 {
			t.Error("a client is told of a sign-out that was not one")
		}
		p.Userinfo(own.Access).WantStatus(http.StatusOK)

		stays := rp.Exchange(browser.Authorize(rp, "openid offline_access", providertest.With("prompt", "consent"))).OK()
		kept := browser.Cookie(sessionCookie)
		a := browser.Get(leave("id_token_hint", own.ID, "post_logout_redirect_uri", bye, "state", "s")).WantStatus(http.StatusSeeOther)
		if to := a.Header.Get("Location"); to != bye+"?state=s" {
			t.Errorf("with its own hint it leads to %q", to)
		}
		wantSignedOut(t, p, rp, kept, own)
		toldOnce(t, p, server)
		rp.Refresh(stays.Refresh).OK() // what was consented to outlive the session does
		rp.Refresh(elsewhere.Refresh).OK()

		// And by the page: with its form.
		again := rp.Exchange(browser.Authorize(rp, "openid")).OK()
		kept = browser.Cookie(sessionCookie)
		browser.Send(browser.Filled(p.URL(web.PathSignOut), providertest.With("decision", "signout"))).WantStatus(http.StatusSeeOther)
		wantSignedOut(t, p, rp, kept, again)
	})
}

// wantSignedOut asks that a session is dead, for those too who kept its cookie,
// and with it the tokens that it bore.
func wantSignedOut(t *testing.T, p *providertest.P, rp *providertest.RP, cookie string, tokens *providertest.Tokens) {
	t.Helper()
	p.Browser().Plant(sessionCookie, cookie).Ask(rp, "openid", silently).WantError("login_required")
	rp.Refresh(tokens.Refresh).WantError("invalid_grant")
	p.Userinfo(tokens.Access).WantStatus(http.StatusUnauthorized)
}

// RFC 9700 section 4.14, Back-Channel Logout section 2.7: what ends a person's
// sessions ends what lives by them, on the spot, and the clients are told, so that
// theirs end too.
func TestAttack25WhatEndsSessionsEndsTokens(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		server := p.LogoutServer()
		rp := p.Client("web", providertest.FirstParty, server.Told)
		for what, end := range map[string]func(who *providertest.Person, b *providertest.Browser) error{
			"disabled": func(who *providertest.Person, _ *providertest.Browser) error {
				_, err := p.Directory.Disable(t.Context(), who.Email, events.ActorOperator)
				return err
			},
			"password": func(who *providertest.Person, _ *providertest.Browser) error {
				return p.Passwords.Set(t.Context(), who.Person, "another fine pass phrase", events.ActorOperator)
			},
			"session": func(_ *providertest.Person, b *providertest.Browser) error {
				signOut(t, p, b)
				return nil
			},
		} {
			who := p.Person(what)
			browser := p.Browser().SignIn(what)
			tokens := rp.Exchange(browser.Authorize(rp, "openid")).OK()
			waiting := browser.Authorize(rp, "openid") // a code that was not redeemed yet
			kept := browser.Cookie(sessionCookie)
			if err := end(who, browser); err != nil {
				t.Fatal(err)
			}
			wantSignedOut(t, p, rp, kept, tokens)
			rp.Exchange(waiting).WantError("invalid_grant")
			p.Clock.Advance(time.Second)
			p.TellClients()
			if told := toldOnce(t, p, server); told.Claims["sub"] != who.Sub || told.Claims["sid"] != p.Verify(tokens.ID).Claims["sid"] {
				t.Errorf("%s: told %v", what, told.Claims)
			}
		}
	})
}

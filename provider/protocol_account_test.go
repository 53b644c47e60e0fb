package provider_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// initiates makes a client one that begins a sign-in when it is told to.
func initiates(r *clients.Registration) {
	r.InitiateLoginURI, r.ClientURI = "https://"+r.ClientID+".example/login", "https://"+r.ClientID+".example/"
}

// apps is the page of who is signed in with this browser.
func apps(b *providertest.Browser, p *providertest.P) string {
	return html.UnescapeString(string(b.Get(p.URL(web.PathApps)).WantStatus(http.StatusOK).Body))
}

var headings = regexp.MustCompile(`<h2 id="app-[^"]*">([^<]*)</h2>`)

// listed are the names of the apps on it that have access, in order.
func listed(page string) (names []string) {
	for _, m := range headings.FindAllStringSubmatch(page, -1) {
		names = append(names, m[1])
	}
	return names
}

// remove presses the button that takes an app's access away.
func remove(b *providertest.Browser, p *providertest.P, client string) *providertest.Answer {
	return b.Send(b.Filled(p.URL(web.PathApps), providertest.With("client", client)))
}

// Our own pages are for who is signed in. Who is not signs in first and comes back
// to the page; who gives it up comes to the front page.
func TestOurPagesAreForWhoIsSignedIn(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		p.Person("ada")
		b := p.Browser()
		asks := b.Next(b.Get(p.URL(web.PathApps)).WantStatus(http.StatusSeeOther))
		if u := must(url.Parse(asks)); u.Path != web.PathSignIn || u.Query().Get("i") == "" {
			t.Fatalf("who is not signed in goes to %s", asks)
		}
		id := must(url.Parse(asks)).Query().Get("i")
		// The interaction is no client's: it never ends in a code.
		if to := b.Next(b.Get(p.URL(web.PathAuthorize) + "?i=" + id).WantStatus(http.StatusSeeOther)); to != asks {
			t.Errorf("the authorization endpoint sends it to %s, want the step that is due", to)
		}
		for _, path := range []string{web.PathConsent, web.PathAccount} {
			if to := b.Next(b.Get(p.URL(path) + "?i=" + id)); to != asks {
				t.Errorf("%s sends it to %s, want the step that is due", path, to)
			}
		}
		p.Browser().Get(asks).WantStatus(http.StatusForbidden) // another browser's
		wrong := b.Send(b.Filled(asks, providertest.With("identifier", "ada@example.com"), providertest.With("password", "not hers")))
		wrong.WantStatus(http.StatusUnprocessableEntity)
		right := b.Send(b.Filled(asks, providertest.With("identifier", "ada@example.com"), providertest.With("password", providertest.Password)))
		if to := b.Next(right.WantStatus(http.StatusSeeOther)); to != p.URL(web.PathApps) {
			t.Errorf("who signed in goes to %s, want the page", to)
		}
		if page := apps(b, p); !strings.Contains(page, "ada@example.com") || len(listed(page)) != 0 || !strings.Contains(page, "No app uses your account") {
			t.Errorf("the page of somebody without apps: %s", page)
		}
		// Back on the step, and at the end of the interaction, there is nothing left to do.
		for _, path := range []string{web.PathSignIn, web.PathAuthorize} {
			if to := b.Next(b.Get(p.URL(path) + "?i=" + id)); to != p.URL(web.PathApps) {
				t.Errorf("%s again sends to %s, want the page", path, to)
			}
		}

		other := p.Browser()
		asks = other.Next(other.Get(p.URL(web.PathApps)))
		cancel := other.Filled(asks, providertest.Without("identifier"), providertest.Without("password"))
		cancel.URL.Path = pathCancel
		if to := other.Next(other.Send(cancel).WantStatus(http.StatusSeeOther)); to != p.URL(web.PathHome) {
			t.Errorf("who gives up goes to %s, want the front page", to)
		}
		for b, link := range map[*providertest.Browser]string{b: `href="/account/apps"`, p.Browser(): `href="/account/apps"`} {
			if home := string(b.Get(p.URL(web.PathHome)).Body); !strings.Contains(home, link) {
				t.Errorf("no way to the apps from the front page: %s", home)
			}
		}
	})
}

// OWASP ASVS 5.0 10.7.3: what people agreed to, and what apps can do without having
// been agreed to, is theirs to see, in words.
func TestAppsSayWhatTheyMayDo(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		p.Resource("https://bookings.example", "bookings:read")
		shop := p.Client("shop", providertest.Scope("bookings:read"))
		ours, zoo, denied := p.Client("ours", providertest.FirstParty), p.Client("zoo"), p.Client("denied")
		b := p.Browser().SignIn("ada")
		b.Authorize(shop, "openid email bookings:read", providertest.With("resource", "https://bookings.example"))
		ours.Exchange(b.Authorize(ours, "openid profile")).OK()
		b.Authorize(zoo, "openid")
		p.Browser().SignIn("bob").Authorize(p.Client("bobs"), "openid")
		p.Browser().SignIn("ada").Deny().Ask(denied, "openid").WantError("access_denied")

		page := apps(b, p)
		if got := listed(page); !slices.Equal(got, []string{"Ours", "Shop", "Zoo"}) {
			t.Errorf("listed are %q", got)
		}
		for _, says := range []string{"Recognise you", "See your e-mail address", "See your profile", "bookings:read", "https://bookings.example", "run by us", "not run by us", "Since 1 March 2026"} {
			if !strings.Contains(page, says) {
				t.Errorf("the page does not say %q", says)
			}
		}
		// A client that is disabled can do nothing now, and later again: its access is there to be removed.
		disable(t, p, "zoo")
		if got := listed(apps(b, p)); !slices.Contains(got, "Zoo") {
			t.Errorf("listed are %q, without the client that is disabled", got)
		}
		if bob := p.Browser().SignIn("bob").Walk(nil, p.URL(web.PathApps)); !slices.Equal(listed(string(bob.Body)), []string{"Bobs"}) {
			t.Errorf("Bob is shown %s", bob.Answer)
		}
	})
}

// OWASP ASVS 5.0 10.4.9: people take an app's access away themselves, at once: its
// tokens are dead, they stay signed in, and it has to ask again.
func TestRemovingAccessTakesEffectAtOnce(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		shop, other := p.Client("shop"), p.Client("other")
		b := p.Browser().SignIn("ada")
		tokens, kept := signedIn(b, shop), signedIn(b, other)
		elsewhere := shop.Exchange(p.Browser().SignIn("ada").Authorize(shop, "openid offline_access")).OK()
		unspent := b.Authorize(shop, "openid")

		to := b.Next(remove(b, p, shop.ID).WantStatus(http.StatusSeeOther))
		if to != p.URL(web.PathApps)+"?removed" {
			t.Errorf("then goes to %s", to)
		}
		if page := string(b.Get(to).Body); !strings.Contains(page, "Access was removed.") || slices.Contains(listed(page), "Shop") {
			t.Errorf("the page afterwards: %s", page)
		}
		for _, dead := range []*providertest.Tokens{tokens, elsewhere} {
			shop.Refresh(dead.Refresh).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
			p.Userinfo(dead.Access).WantStatus(http.StatusUnauthorized).WantError("invalid_token")
			shop.Introspect(dead.Access).WantInactive()
		}
		shop.Exchange(unspent).WantError("invalid_grant")
		other.Refresh(kept.Refresh).OK()
		p.Userinfo(kept.Access).WantStatus(http.StatusOK)
		if !isSignedIn(t, b, other) {
			t.Error("they are signed out by it")
		}
		if got := nextOf(t, b, shop.AuthorizationURL("openid", providertest.With("prompt", "none"))); got != "consent_required" {
			t.Errorf("the app comes again: %s, want consent_required", got)
		}
		events, err := p.Store.Events(t.Context(), 50)
		if err != nil {
			t.Fatal(err)
		}
		told := 0
		for _, e := range events {
			if e.Kind == "consent.withdrawn" && e.Actor == "person" && e.PersonID == p.Person("ada").ID && e.ClientID == "shop" && len(e.Personal) > 0 {
				told++
			}
		}
		// Sent again, and for an app that has nothing, it changes nothing.
		remove(b, p, shop.ID).WantStatus(http.StatusSeeOther)
		remove(b, p, "nobody").WantStatus(http.StatusSeeOther)
		b.Send(b.Filled(p.URL(web.PathApps), providertest.Without("client"))).WantStatus(http.StatusBadRequest)
		again, err := p.Store.Events(t.Context(), 50)
		if err != nil || told != 1 || len(again) != len(events) {
			t.Errorf("%d events tell of it, %d more after, %v", told, len(again)-len(events), err)
		}
		if tokens := signedIn(b, shop); tokens.Refresh == "" { // agreed again
			t.Error("no refresh token")
		}
	})
}

// What is listed can do something, or will when its client comes again; what can
// do nothing any more is not access.
func TestAppsThatCanDoNothingAreNotListed(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		own := func(id string, change ...func(*clients.Registration)) *providertest.RP {
			return p.Client(id, append(change, providertest.FirstParty)...)
		}
		waits, wrong, once, idle := own("waits"), own("wrong"), own("once", func(r *clients.Registration) { r.GrantTypes = []string{"authorization_code"} }), own("idle")
		b := p.Browser().SignIn("ada")
		wantListed := func(when string, want ...string) {
			t.Helper()
			at := b.Walk(nil, p.URL(web.PathApps)) // proves again where it is asked to
			if got := listed(html.UnescapeString(string(at.Body))); !slices.Equal(got, want) {
				t.Errorf("%s: listed are %q, want %q", when, got, want)
			}
		}
		b.Authorize(waits, "openid")
		wrong.Exchange(b.Authorize(wrong, "openid"), providertest.With("code_verifier", strings.Repeat("x", 43))).WantError("invalid_grant")
		once.Exchange(b.Authorize(once, "openid")).OK()
		idle.Exchange(b.Authorize(idle, "openid offline_access")).OK()
		wantListed("at once", "Idle", "Once")
		p.Clock.Advance(time.Hour)
		wantListed("when no token can live any more", "Idle")
		p.Clock.Advance(14 * 24 * time.Hour)
		wantListed("when the refresh token has lapsed")
	})
}

// A link to the page tells nobody which clients there are, nor makes the page say
// of one that it is gone.
func TestTheAppsPageNamesNothingThatALinkNames(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t)
	p.Client("elsewhere")
	disable(t, p, "elsewhere")
	b := p.Browser().SignIn("ada")
	b.Walk(nil, p.URL(web.PathApps))
	if got := b.Get(p.URL(web.PathApps) + "?removed=elsewhere").WantStatus(http.StatusOK).Body; strings.Contains(string(got), "Elsewhere") {
		t.Errorf("the page of a link: %s", got)
	}
}

// What is sent from somebody's page is theirs, also when somebody else is the
// current one by then.
func TestRemovingIsOfWhomThePageShowed(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t)
	shop := p.Client("shop")
	b := p.Browser()
	adas := signedIn(b.SignIn("ada"), shop)
	press := b.Filled(p.URL(web.PathApps), providertest.With("client", "shop"))
	bobs := shop.Exchange(b.SignIn("bob").Authorize(shop, "openid", providertest.With("prompt", "select_account"))).OK()
	if to := b.Next(b.Send(press).WantStatus(http.StatusSeeOther)); to != p.URL(web.PathApps) {
		t.Errorf("goes to %s, want the page of the other one", to)
	}
	shop.Refresh(adas.Refresh).OK()
	shop.Refresh(bobs.Refresh).OK()
}

var opens = regexp.MustCompile(`<a class="[^"]*" href="(https://[^"]*)"`)

// OIDC Core section 4: a sign-in that begins here opens the client's own address
// with iss and target_link_uri, and the client takes it from there.
func TestThirdPartyInitiatedLogin(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		shop := p.Client("shop", initiates)
		p.Client("ours", providertest.FirstParty, initiates, func(r *clients.Registration) { r.InitiateLoginURI += "?tenant=a%20b" })
		p.Client("plain", providertest.FirstParty, initiates, func(r *clients.Registration) { r.ClientURI = "" })
		p.Client("gone", providertest.FirstParty, initiates)
		p.Client("theirs", initiates)             // nobody let it in
		p.Client("mute", providertest.FirstParty) // begins nothing
		disable(t, p, "gone")
		b := p.Browser().SignIn("ada")
		b.Authorize(shop, "openid")
		var got []string
		for _, m := range opens.FindAllStringSubmatch(string(b.Get(p.URL(web.PathApps)).Body), -1) {
			got = append(got, html.UnescapeString(m[1]))
		}
		iss := url.QueryEscape(p.Issuer)
		want := []string{
			"https://shop.example/login?iss=" + iss + "&target_link_uri=" + url.QueryEscape("https://shop.example/"),
			"https://ours.example/login?tenant=a%20b&iss=" + iss + "&target_link_uri=" + url.QueryEscape("https://ours.example/"),
			"https://plain.example/login?iss=" + iss,
		}
		if !slices.Equal(got, want) {
			t.Fatalf("the page opens\n%s, want\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		// The client asks who is there, and learns it without a page.
		q := must(url.Parse(got[0])).Query()
		if q.Get("iss") != p.Issuer || q.Has("login_hint") {
			t.Errorf("the client is told %s", q)
		}
		p.Verify(shop.Exchange(b.Authorize(shop, "openid", silently)).OK().ID)
	})
}

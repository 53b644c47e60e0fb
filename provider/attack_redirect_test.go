package provider_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// nativeAt makes a client an app of these redirects, without a secret.
func nativeAt(uris ...string) func(*clients.Registration) {
	return func(r *clients.Registration) {
		providertest.Public(r)
		r.ApplicationType, r.RedirectURIs = "native", uris
	}
}

// wantOwnPage asks that the browser stays with the provider: an error page, with
// no way on.
func wantOwnPage(t *testing.T, what string, a *providertest.Answer) {
	t.Helper()
	switch {
	case a.Status != http.StatusBadRequest:
		t.Errorf("%s: %s, want our own page with status 400", what, a)
	case a.Header.Get("Location") != "" || a.Header.Get("Refresh") != "":
		t.Errorf("%s: sent on to %s%s", what, a.Header.Get("Location"), a.Header.Get("Refresh"))
	case !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html"):
		t.Errorf("%s: Content-Type %s, want a page", what, a.Header.Get("Content-Type"))
	default:
		for _, to := range leadsTo.FindAllSubmatch(a.Body, -1) {
			if to := string(to[1]); to == "" || to[0] != '?' && to[0] != '/' || strings.HasPrefix(to, "//") {
				t.Errorf("%s: the page leads to %s", what, to)
			}
		}
	}
}

// leadsTo finds where the links and forms of a page lead; the links to its other
// languages repeat the request, after a question mark.
var leadsTo = regexp.MustCompile(`(?:href|src|action|http-equiv|content)="([^"]*[/:?][^"]*)"`)

// wantRefusedRedirects asks that the client may be answered at good, and that
// each of the others gets our own page, in a good request and in a bad one.
func wantRefusedRedirects(t *testing.T, p *providertest.P, rp *providertest.RP, good string, bad ...string) {
	t.Helper()
	at := *rp
	at.RedirectURI = good
	p.Browser().Ask(&at, "openid", providertest.With("redirect_uri", good), providertest.With("prompt", "none")).WantError("login_required")
	for _, uri := range bad {
		for _, other := range []providertest.Param{providertest.With("prompt", "login"), providertest.With("prompt", "none"), providertest.With("scope", "openid nonsense")} {
			a := p.Browser().Get(rp.AuthorizationURL("openid", providertest.With("redirect_uri", uri), other))
			wantOwnPage(t, fmt.Sprintf("redirect_uri %q of %s", uri, rp.ID), a)
		}
	}
}

// RFC 9700 section 2.1: redirects are compared as strings.
func TestAttack01RedirectOfOneOtherByteIsRefused(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		const good = "https://web.example/a/callback?tenant=1"
		rp := p.Client("web", func(r *clients.Registration) { r.RedirectURIs = []string{good, "https://web.example/other"} })
		wantRefusedRedirects(t, p, rp, good,
			"https://evil@web.example/a/callback?tenant=1", "https://web.example:pass@evil.example/a/callback?tenant=1",
			"https://web.example@evil.example/a/callback?tenant=1", "https://web.example.evil.example/a/callback?tenant=1",
			"https://evilweb.example/a/callback?tenant=1", "https://sub.web.example/a/callback?tenant=1",
			good+"/evil", good+"&next=https://evil.example", good+"?x", good+"#", good+"#evil", good+"%23evil",
			"https://web.example/a/callback", "https://web.example/a/callback?tenant=2", "https://web.example/a/callback/?tenant=1",
			"https://web.example/a/callback/../evil?tenant=1", "https://web.example/a/callback/..?tenant=1",
			"https://web.example/a/./callback?tenant=1", "https://web.example/a/%2e%2e/evil?tenant=1", "https://web.example/x/%2e%2e/a/callback?tenant=1",
			"https://web.example/a/%63allback?tenant=1", "https://web.example/a%2Fcallback?tenant=1", "https://web.example//a/callback?tenant=1",
			"https://WEB.example/a/callback?tenant=1", "HTTPS://web.example/a/callback?tenant=1", "https://web.example/A/callback?tenant=1",
			"https://web.example:443/a/callback?tenant=1", "https://web.example:8443/a/callback?tenant=1", "https://web.example./a/callback?tenant=1",
			"http://web.example/a/callback?tenant=1", "//web.example/a/callback?tenant=1", "/a/callback?tenant=1", "web.example/a/callback?tenant=1",
			`https://evil.example\@web.example/a/callback?tenant=1`, `https://web.example\a\callback?tenant=1`, `https://web.example/a/callback?tenant=1\`,
			good+"\r\nLocation: https://evil.example", good+"\r\nSet-Cookie: x=evil", good+"\n", good+"\t", " "+good, good+" ", good+"\u200b",
			"https://web.example/other?x", "https://web.example", "*", "https://*.example/a/callback?tenant=1", "https://evil.example", "javascript:alert(1)", "data:text/html,evil",
		)
	})
}

// RFC 8252 section 7.3: the port is free for http on a loopback literal, when
// that is what was registered.
func TestAttack02LoopbackOfAnotherSchemeIsRefused(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		https := p.Client("tls", nativeAt("https://127.0.0.1/cb"))
		wantRefusedRedirects(t, p, https, "https://127.0.0.1/cb",
			"http://127.0.0.1:9/cb", "http://127.0.0.1/cb", "https://127.0.0.1:9/cb", "http://[::1]:9/cb")
		app := p.Client("app", nativeAt("com.example.app://127.0.0.1/cb"))
		wantRefusedRedirects(t, p, app, "com.example.app://127.0.0.1/cb",
			"http://127.0.0.1:9/cb", "http://127.0.0.1/cb", "com.example.app://127.0.0.1:9/cb", "com.example.app:/cb", "com.example.evil://127.0.0.1/cb")
		named := p.Client("named", nativeAt("http://localhost/cb"))
		wantRefusedRedirects(t, p, named, "http://localhost/cb",
			"http://localhost:9/cb", "http://127.0.0.1:9/cb", "http://127.0.0.1/cb")
	})
}

// RFC 8252 section 7.3: nothing but the port.
func TestAttack03OnlyTheLoopbackPortMayDiffer(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		four := p.Client("four", nativeAt("http://127.0.0.1/a/cb"))
		wantRefusedRedirects(t, p, four, "http://127.0.0.1:9/a/cb",
			"http://evil@127.0.0.1:9/a/cb", "http://127.0.0.1:9@evil.example/a/cb", "http://127.0.0.1:evil@127.0.0.1/a/cb",
			"http://127.0.0.1:9/a/%63b", "http://127.0.0.1:9/a%2Fcb", "http://127.0.0.1:9/a%2fcb", "http://127.0.0.1:9/%61/cb", "http://127.0.0.1:9/a/./cb",
			"http://127.0.0.1:9/a/../a/cb", "http://127.0.0.1:9/a/cb/", "http://127.0.0.1:9/a/cb?x", "http://127.0.0.1:9/a/cb#", "http://127.0.0.1:9/a/cb#evil",
			"http://127.0.0.1:9//a/cb", "http://127.0.0.1:9/A/cb", "http://127.0.0.1:/a/cb", "http://127.0.0.1:0/a/cb", "http://127.0.0.1:09/a/cb",
			"http://127.0.0.1:65536/a/cb", "http://127.0.0.1:+9/a/cb", "http://127.0.0.1:9\\/a/cb", "http://127.0.0.1:9 /a/cb", "http://127.0.0.1:9:9/a/cb",
			"http://127.0.0.2:9/a/cb", "http://127.1:9/a/cb", "http://0x7f000001:9/a/cb", "http://2130706433:9/a/cb", "http://[::1]:9/a/cb", "http://[::ffff:127.0.0.1]:9/a/cb",
			"http://localhost:9/a/cb", "http://127.0.0.1.evil.example:9/a/cb", "https://127.0.0.1:9/a/cb", "HTTP://127.0.0.1:9/a/cb",
		)
		six := p.Client("six", nativeAt("http://[::1]:8080/cb"))
		wantRefusedRedirects(t, p, six, "http://[::1]:9/cb",
			"http://[0:0:0:0:0:0:0:1]:9/cb", "http://[::1%25lo]:9/cb", "http://127.0.0.1:9/cb", "http://evil@[::1]:9/cb", "http://[::1]9/cb")
	})
}

// RFC 9700 section 2.1: the exception for ports is for native apps. A web
// client on a developer's machine registers its port.
func TestAttack04WebClientsKeepTheirPort(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		at := func(uri string) func(*clients.Registration) {
			return func(r *clients.Registration) { r.RedirectURIs = []string{uri} }
		}
		wantRefusedRedirects(t, p, p.Client("web", at("http://127.0.0.1:8080/cb")), "http://127.0.0.1:8080/cb",
			"http://127.0.0.1:9/cb", "http://127.0.0.1/cb", "http://[::1]:8080/cb")
		wantRefusedRedirects(t, p, p.Client("spa", providertest.Public, at("http://[::1]:8080/cb")), "http://[::1]:8080/cb",
			"http://[::1]:9/cb", "http://[::1]/cb")
	})
}

// hostile are addresses that some reader takes for a path of ours.
var hostile = []string{
	"//evil.example", "///evil.example", `/\evil.example`, `\\evil.example`, `/\/evil.example`, "\t//evil.example", "/\t/evil.example", "/\n/evil.example",
	"%09//evil.example", "/%09/evil.example", "/%2f/evil.example", "/%5cevil.example", "https:evil.example", "https:/evil.example", "https://evil.example", "http:evil.example",
	"//localhost@evil.example", "//localhost:80\\@evil.example", "/..//evil.example", "/.evil.example/..//evil.example", "javascript:alert(1)", "data:text/html,evil", "evil.example", "@evil.example",
}

// RFC 9700 section 4.11: no open redirector. What a parameter names is followed
// only where a client registered it; a path is never taken for an address.
func TestAttack08NoParameterLeadsAway(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		const after = "https://web.example/bye"
		rp := p.Client("web", providertest.FirstParty, func(r *clients.Registration) { r.PostLogoutRedirectURIs = []string{after} })
		browser := p.Browser().SignIn("ada")
		tokens := rp.Exchange(browser.Authorize(rp, "openid")).OK()
		for _, uri := range append(hostile, after+"/evil", after+"?evil", after+"#evil", "https://web.example@evil.example/bye", "HTTPS://web.example/bye") {
			for _, q := range []url.Values{{}, {"client_id": {rp.ID}}, {"id_token_hint": {tokens.ID}}, {"client_id": {rp.ID}, "id_token_hint": {tokens.ID}}} {
				q.Set("post_logout_redirect_uri", uri)
				wantOwnPage(t, fmt.Sprintf("sign-out by %q", q), browser.Get(p.URL(web.PathEndSession)+"?"+q.Encode()))
				wantOwnPage(t, "the same by POST", browser.Get(browser.Next(browser.Post(p.URL(web.PathEndSession), q))))
			}
		}
		wantNoWayOut(t, p, browser, rp)
		if a := p.Browser().Get(p.URL(web.PathEndSession) + "?" + url.Values{"client_id": {rp.ID}, "post_logout_redirect_uri": {after}}.Encode()); a.Header.Get("Location") != after {
			t.Errorf("%s, want the address that is registered", a)
		}
		browser.Authorize(rp, "openid", providertest.With("prompt", "none")) // nobody was signed out by it
	})
}

// wantNoWayOut gives every page hostile parameters, and hostile paths to the
// router: no redirect may leave the issuer.
func wantNoWayOut(t *testing.T, p *providertest.P, browser *providertest.Browser, rp *providertest.RP) {
	t.Helper()
	ours := func(what string, a *providertest.Answer) {
		t.Helper()
		if to := a.Header.Get("Location"); to != "" {
			next := browser.Next(a)
			if !strings.HasPrefix(next, p.Issuer+"/") || strings.ContainsAny(to, "\\\t\n") || strings.HasPrefix(to, "//") {
				t.Errorf("%s leads to %s", what, to)
			}
		}
	}
	begun, err := url.Parse(browser.Next(browser.Get(rp.AuthorizationURL("openid", providertest.With("prompt", "login")))))
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range hostile {
		q := url.Values{}
		for _, name := range []string{"return_to", "returnTo", "return_url", "next", "redirect", "redirect_to", "redirect_uri", "rd", "continue", "target", "url", "post_logout_redirect_uri", "r", "lang"} {
			q.Set(name, to)
		}
		for _, path := range []string{web.PathHome, web.PathSignIn, web.PathAccount, web.PathConsent, web.PathSignOut, web.PathSignedOut, web.PathApps} {
			ours(path+" with "+to, browser.Get(p.URL(path)+"?"+q.Encode()))
		}
		ours("the sign-out form with "+to, browser.Send(browser.Filled(p.URL(web.PathSignOut)+"?"+q.Encode(), providertest.With("return_to", to), providertest.With("decision", "stay"))))
		ours("a page of ours that asks to sign in, with "+to, p.Browser().Get(p.URL(web.PathApps)+"?"+q.Encode()))
		// Who has to sign in first comes back to our page, whatever they began with.
		q.Set("removed", to)
		if a := p.Browser().SignIn("ada").Walk(nil, p.URL(web.PathApps)+"?"+q.Encode()); a.Status != http.StatusOK || a.URL.String() != p.URL(web.PathApps) {
			t.Errorf("signing in to a page of ours with %s ends at %s: %s", to, a.URL, a.Answer)
		}
		q.Del("removed")
		q.Set("i", begun.Query().Get("i"))
		for _, path := range []string{web.PathSignIn, web.PathAccount, web.PathConsent, web.PathAuthorize} {
			ours(path+" of an interaction with "+to, browser.Get(p.URL(path)+"?"+q.Encode()))
		}
		q.Set("i", to)
		ours("an interaction called "+to, browser.Get(p.URL(web.PathSignIn)+"?"+q.Encode()))
	}
	for _, path := range []string{"//evil.example", "//evil.example/..", "//evil.example/%2e%2e", "/%5cevil.example", "/%09//evil.example", "/.//evil.example", "/..//evil.example/", "/signin/..//evil.example", "/signed-out/"} {
		if a := p.Get(path); a.Status != http.StatusNotFound || a.Header.Get("Location") != "" {
			t.Errorf("the path %s: %s %s", path, a, a.Header.Get("Location"))
		}
	}
}

// RFC 9700 section 4.12: after a form that may carry a password a 303, which
// makes the browser forget the body; 307 and 308 would hand it to the client.
func TestAttack09EveryRedirectIsA303(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		posts := map[string]int{}
		browser := p.Browser().SignIn("ada").Watch(func(r *http.Request, answer *http.Response) {
			if answer.StatusCode/100 != 3 {
				return
			}
			if answer.StatusCode != http.StatusSeeOther {
				t.Errorf("%s %s: %s, want 303", r.Method, r.URL.Path, answer.Status)
			}
			if r.Method == http.MethodPost {
				posts[r.URL.Path]++
			}
		})
		rp := p.Client("web")
		browser.Authorize(rp, "openid")
		browser.Authorize(rp, "openid", providertest.With("prompt", "select_account"))
		browser.Deny().Ask(rp, "openid", providertest.With("prompt", "consent login")).WantError("access_denied")

		request, err := url.Parse(rp.AuthorizationURL("openid"))
		if err != nil {
			t.Fatal(err)
		}
		browser.Get(browser.Next(browser.Post(p.URL(web.PathAuthorize), request.Query())))
		question := browser.Next(browser.Get(browser.Next(browser.Post(p.URL(web.PathEndSession), url.Values{"client_id": {rp.ID}}))))
		browser.Send(browser.Filled(question, providertest.With("decision", "stay")))
		browser.Send(browser.Filled(p.URL(web.PathApps), providertest.With("client", rp.ID)))
		browser.Send(browser.Filled(question, providertest.With("decision", "signout")))
		for _, path := range []string{web.PathSignIn, web.PathAccount, web.PathConsent, web.PathSignOut, web.PathApps, web.PathAuthorize, web.PathEndSession} {
			if posts[path] == 0 {
				t.Errorf("no form was posted to %s", path)
			}
		}
	})
}

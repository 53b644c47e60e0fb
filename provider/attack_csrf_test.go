package provider_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// pathCancel is where the quiet button of each step goes back to the app.
const pathCancel = "/signin/cancel"

// OWASP ASVS 5.0 3.5.1: a form is taken from a page of ours in this browser and
// from nowhere else; and what was refused changed nothing.
func TestAttack51ForeignFormsAreRefused(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web")
		p.Person("ada")
		stranger := p.Browser()
		foreign := providertest.ReadForm(stranger.Ask(rp, "openid").Body).Fields.Get("form_token")

		bobs := p.Device(phone)
		addPasskey(t, p, "bob", bobs)

		for step, reach := range map[string]func(*testing.T, *providertest.Browser) *http.Request{
			"sign-in": func(t *testing.T, b *providertest.Browser) *http.Request {
				at := b.Ask(rp, "openid").URL.String()
				return b.Filled(at, providertest.With("identifier", "ada@example.com"), providertest.With("password", providertest.Password))
			},
			"consent": func(t *testing.T, b *providertest.Browser) *http.Request {
				at := b.SignIn("ada").StopAt(web.PathConsent).Ask(rp, "openid", providertest.With("prompt", "consent")).URL.String()
				return b.Filled(at, providertest.With("decision", "allow"))
			},
			"account": func(t *testing.T, b *providertest.Browser) *http.Request {
				b.SignIn("ada").Authorize(rp, "openid")
				at := b.StopAt(web.PathAccount).Ask(rp, "openid", providertest.With("prompt", "select_account")).URL.String()
				return b.Filled(at, providertest.With("account", "other"))
			},
			"back to the app": func(t *testing.T, b *providertest.Browser) *http.Request {
				r := b.Filled(b.Ask(rp, "openid").URL.String(), providertest.Without("identifier"), providertest.Without("password"))
				r.URL.Path = pathCancel
				return r
			},
			"sign-out": func(t *testing.T, b *providertest.Browser) *http.Request {
				b.SignIn("ada").Authorize(rp, "openid")
				return b.Filled(p.URL(web.PathSignOut), providertest.With("decision", "signout"))
			},
			"remove access": func(t *testing.T, b *providertest.Browser) *http.Request {
				b.SignIn("ada").Authorize(rp, "openid")
				return b.Filled(p.URL(web.PathApps), providertest.With("client", rp.ID))
			},
			"passkey": func(t *testing.T, b *providertest.Browser) *http.Request {
				page := passkeyPageOf(t, b, b.Ask(rp, "openid"))
				return page.request(bobs.Answer(page.prompt))
			},
			"add a passkey": func(t *testing.T, b *providertest.Browser) *http.Request {
				page := addingPage(t, p, b.SignIn("dora"))
				return page.request(p.Device(phone).Answer(page.prompt))
			},
			"confirm by a code": func(t *testing.T, b *providertest.Browser) *http.Request {
				p := p.In(t)
				seed := addAuthenticator(t, p, "carol")
				p.Clock.Advance(time.Minute)
				at := b.SignIn("carol").StopAt(web.PathTOTP).Ask(rp.In(t), "openid", providertest.With("acr_values", "aal2")).URL.String()
				return b.Filled(at, providertest.With("code", code(t, seed, p.Clock.Now())))
			},
			"add an authenticator app": func(t *testing.T, b *providertest.Browser) *http.Request {
				at := b.SignIn("dan").StopAt(web.PathAddTOTP).Walk(nil, p.URL(web.PathSecurityAddTOTP)).URL.String()
				return b.Filled(at, providertest.With("code", code(t, seedOf(t, b.Get(at)), p.Clock.Now())))
			},
			"make recovery codes": func(t *testing.T, b *providertest.Browser) *http.Request {
				return b.Filled(b.SignIn("frank").StopAt(web.PathRecoveryCodes).Walk(nil, p.URL(web.PathSecurityRecovery)).URL.String())
			},
			"remove a passkey": func(t *testing.T, b *providertest.Browser) *http.Request {
				d := p.Device(phone)
				addPasskey(t, p, "grace", d)
				b.SignIn("grace").Holding(d).Walk(nil, detailsURL(t, p, "grace"))
				return b.Filled(detailsURL(t, p, "grace"), providertest.With("do", "remove"))
			},
			"sign out elsewhere": func(t *testing.T, b *providertest.Browser) *http.Request {
				p.In(t).Browser().SignIn("eve").Authorize(rp.In(t), "openid")
				b.SignIn("eve").Authorize(rp, "openid")
				return b.Filled(p.URL(web.PathSessions), providertest.With("end", "others"))
			},
			"change the password": func(t *testing.T, b *providertest.Browser) *http.Request {
				at := b.SignIn("cora").StopAt(web.PathNewPassword).Walk(nil, p.URL(web.PathSecurityPassword)).URL.String()
				return b.Filled(at, providertest.With("password", "four horses on a hill"))
			},
			"rename a passkey": func(t *testing.T, b *providertest.Browser) *http.Request {
				b.SignIn("bob").Holding(bobs).Walk(nil, detailsURL(t, p, "bob"))
				return b.Filled(detailsURL(t, p, "bob"), providertest.With("name", "Blue"), providertest.With("do", "rename"))
			},
		} {
			t.Run(step, func(t *testing.T) {
				b := p.In(t).Browser()
				good := reach(t, b)
				refuseForeign(t, p, b, good, foreign)
				if step == "sign-out" || step == "remove access" {
					b.Authorize(rp.In(t), "openid", silently) // nobody was signed out, and nothing withdrawn
				}
				want := http.StatusSeeOther
				if step == "make recovery codes" { // which it shows, this once
					want = http.StatusOK
				}
				b.Send(good).WantStatus(want)
			})
		}
	})
}

// The same of every address that takes a form, whatever it is for.
func TestAttack51NoAddressTakesAForeignForm(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t)
	rp := p.Client("web")
	foreign := providertest.ReadForm(p.Browser().Ask(rp, "openid").Body).Fields.Get("form_token")
	b := p.Browser().SignIn("ada")
	b.Authorize(rp, "openid")
	own := providertest.ReadForm(b.Get(p.URL(web.PathSignOut)).Body).Fields.Get("form_token")
	taken := 0
	for _, route := range p.Routes {
		if !route.CSRF {
			continue
		}
		taken++
		t.Run(route.Path, func(t *testing.T) {
			to := p.URL(route.Path)
			form := &providertest.Form{Action: to, Fields: url.Values{"form_token": {own}}}
			at, err := url.Parse(to)
			if err != nil {
				t.Fatal(err)
			}
			good := b.Submit(at, form)
			refuseForeign(t, p.In(t), b, good, foreign)
			if a := b.Send(good); a.Status == http.StatusForbidden { // empty as it is, it meets another end
				t.Errorf("a form of ours: %s", a)
			}
		})
	}
	if taken < 15 {
		t.Errorf("%d addresses take forms", taken)
	}
}

// addAuthenticator gives somebody an authenticator app, and returns its seed.
func addAuthenticator(t *testing.T, p *providertest.P, name string) (seed string) {
	t.Helper()
	who := p.Person(name)
	app, err := p.TOTP.Begin(t.Context(), who.Person, "phone")
	if err == nil {
		_, err = p.TOTP.Confirm(t.Context(), who.Person, app.ID, code(t, app.Secret, p.Clock.Now()), events.ActorPerson)
	}
	if err != nil {
		t.Fatal(err)
	}
	return app.Secret
}

// seedOf is what a page tells an authenticator app.
func seedOf(t *testing.T, page *providertest.Answer) string {
	t.Helper()
	_, rest, found := strings.Cut(string(page.Body), `<code class="seed">`)
	seed, _, _ := strings.Cut(rest, "<")
	if !found {
		t.Fatalf("no seed: %s", page)
	}
	return seed
}

// A forged form is one that another site sends, or has somebody's browser send.
type forged struct {
	form   url.Values
	header http.Header
	to     *url.URL
}

var forgeries = map[string]func(f forged){
	"no token":       func(f forged) { f.form.Del("form_token") },
	"an empty token": func(f forged) { f.form.Set("form_token", "") },
	"the token in the URL": func(f forged) {
		f.to.RawQuery += "&form_token=" + url.QueryEscape(f.form.Get("form_token"))
		f.form.Del("form_token")
	},
	"an origin that is null":      func(f forged) { f.from("null", "") },
	"null from another site":      func(f forged) { f.from("null", "cross-site") },
	"another origin":              func(f forged) { f.from("https://evil.example", "cross-site") },
	"another origin, unsaid site": func(f forged) { f.from("https://evil.example", "") },
	"another origin, lying site":  func(f forged) { f.from("https://evil.example", "same-origin") },
	"our host, another scheme":    func(f forged) { f.from("https://"+f.to.Host, "") },
	"our host, another port":      func(f forged) { f.from("http://"+f.to.Hostname()+":1", "") },
	"our origin, and it goes on":  func(f forged) { f.from("http://"+f.to.Host+".evil.example", "") },
	"another site":                func(f forged) { f.from("", "cross-site") },
	"a neighbour":                 func(f forged) { f.from("", "same-site") },
	"nothing but the cookies": func(f forged) {
		f.from("", "")
		f.form.Del("form_token")
	},
}

func (f forged) from(origin, site string) {
	for name, value := range map[string]string{"Origin": origin, "Sec-Fetch-Site": site} {
		f.header.Del(name)
		if value != "" {
			f.header.Set(name, value)
		}
	}
}

// refuseForeign forges a good request in every way there is.
func refuseForeign(t *testing.T, p *providertest.P, b *providertest.Browser, good *http.Request, foreignToken string) {
	t.Helper()
	body, err := good.GetBody()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	again := func(change func(forged)) *http.Request {
		form, err := url.ParseQuery(string(text))
		if err != nil {
			t.Fatal(err)
		}
		f := forged{form: form, header: good.Header.Clone(), to: new(url.URL)}
		*f.to = *good.URL
		change(f)
		r := rawRequest(t, http.MethodPost, f.to.String(), f.form)
		r.Header = f.header
		return r
	}
	wantForbidden := func(how string, a *providertest.Answer) {
		t.Helper()
		if a.Status != http.StatusForbidden || len(a.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %s %v, want status 403 and no cookie", how, a, a.Header.Values("Set-Cookie"))
		}
	}
	for how, change := range forgeries {
		wantForbidden(how, b.Send(again(change)))
	}
	wantForbidden("another browser's token", b.Send(again(func(f forged) { f.form.Set("form_token", foreignToken) })))
	wantForbidden("without its cookies", p.Send(again(func(forged) {})))
}

package provider_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

const firstPassword = "four horses on a hill"

// setupLink is a new one, as serve prints it.
func setupLink(t *testing.T, p *providertest.P) string {
	t.Helper()
	return must(p.SetupLink(t.Context(), must(url.Parse(p.Issuer)), events.ActorSystem))
}

// came is a browser that opened the link, whose secret is not in the address of the
// page that it came to.
func came(t *testing.T, p *providertest.P, link string) *providertest.Browser {
	t.Helper()
	b := p.Browser()
	if to := b.Next(b.Get(link).WantStatus(http.StatusSeeOther)); to != p.URL(web.PathSetup) {
		t.Fatalf("the link leads to %s", to)
	}
	return b
}

// filledSetup is the form of the page that it came to, filled in.
func filledSetup(p *providertest.P, b *providertest.Browser, email string) *http.Request {
	return b.Filled(p.URL(web.PathSetup), providertest.With("name", "Grace"), providertest.With("email", email), providertest.With("password", firstPassword))
}

func operators(t *testing.T, p *providertest.P) []storage.MemberEntry {
	t.Helper()
	return must(p.Directory.Members(t.Context(), directory.Operators, storage.Page{Limit: 10})).Items
}

// The first operator comes in by the link, is signed in, and sees how to go on, also
// where somebody else was signed in; nobody else sees that page.
func TestSetupMakesTheFirstOperator(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		b := p.Browser().SignIn("ada")
		b.Authorize(p.Client("web"), "openid")
		b.Get(p.URL(web.PathSetupDone)).WantStatus(http.StatusSeeOther)
		b.Next(b.Get(setupLink(t, p)).WantStatus(http.StatusSeeOther))
		for name, change := range map[string]providertest.Param{
			"no name":         providertest.With("name", " "),
			"a long name":     providertest.With("name", strings.Repeat("x", 2000)),
			"no address":      providertest.With("email", "grace"),
			"a weak password": providertest.With("password", "horses"),
			"a long password": providertest.With("password", strings.Repeat("horses", 400)),
			"her address":     providertest.With("password", "four grace.hopper on a hill"),
			"everything":      func(q url.Values) { q.Set("name", ""); q.Set("email", ""); q.Set("password", "") },
		} {
			r := b.Filled(p.URL(web.PathSetup), providertest.With("name", "Grace"), providertest.With("email", "grace.hopper@example.com"), providertest.With("password", firstPassword), change)
			if a := b.Send(r).WantStatus(http.StatusUnprocessableEntity); !strings.Contains(string(a.Body), `id="problem"`) {
				t.Errorf("%s: %s", name, a)
			}
		}
		done := b.Next(b.Send(filledSetup(p, b, "Grace.Hopper@example.com")).WantStatus(http.StatusSeeOther))
		if done != p.URL(web.PathSetupDone) {
			t.Fatalf("set-up ends at %s", done)
		}
		if a := b.Get(done).WantStatus(http.StatusOK); !strings.Contains(string(a.Body), "doorstep client create --type web") || !strings.Contains(string(a.Body), "Grace.Hopper@example.com") {
			t.Errorf("%s", a.Body)
		}
		for _, c := range b.Cookies() {
			if strings.HasSuffix(c.Name, "setup") {
				t.Errorf("the link's secret is still in the browser: %s", c.Name)
			}
		}
		if all := operators(t, p); len(all) != 1 || all[0].Person.Name != "Grace" || all[0].Email != "Grace.Hopper@example.com" {
			t.Errorf("the operators are %+v", all)
		}
		if _, err := p.SetupLink(t.Context(), must(url.Parse(p.Issuer)), events.ActorSystem); !errors.Is(err, storage.ErrSpent) {
			t.Errorf("another link is made: %v", err)
		}
	})
}

// A link names the configured issuer and leads to it, whatever host a request names.
func TestAttack71TheSetupLinkIsTheIssuers(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		link := setupLink(t, p)
		if !strings.HasPrefix(link, p.Issuer+web.PathSetup+"?") {
			t.Errorf("the link is %s", link)
		}
		b := p.Browser()
		r := b.Request(link)
		r.Host = "evil.example"
		for _, h := range []string{"X-Forwarded-Host", "X-Host", "Forwarded"} {
			r.Header.Set(h, "host=evil.example")
		}
		a := b.Send(r).WantStatus(http.StatusSeeOther)
		if to := a.Header.Get("Location"); to != web.PathSetup {
			t.Errorf("the link leads to %s", to)
		}
		if got := a.Header.Get("Referrer-Policy"); got != "no-referrer" {
			t.Errorf("Referrer-Policy: %q", got)
		}
		page := b.Request(p.URL(web.PathSetup))
		page.Host = "evil.example"
		if a := b.Send(page); strings.Contains(string(a.Body), "evil.example") {
			t.Errorf("the page names the host of its request: %s", a.Body)
		}
		secret := must(url.Parse(link)).Query().Get(web.ParamSetupKey)
		if len(secret) < 43 || strings.Contains(p.Logs(), secret) {
			t.Errorf("the secret %q is short, or in the log", secret)
		}
	})
}

// A link works once, for an hour, and until another one takes its place; looking at it
// spends nothing.
func TestAttack72ASetupLinkWorksOnce(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		dead := func(what string, b *providertest.Browser) {
			t.Helper()
			if a := b.Get(p.URL(web.PathSetup)).WantStatus(http.StatusNotFound); !strings.Contains(string(a.Body), "doorstep setup-link") {
				t.Errorf("%s: %s", what, a.Body)
			}
		}
		older := came(t, p, setupLink(t, p))
		stale := filledSetup(p, older, "older@example.com")
		lapses := came(t, p, setupLink(t, p))
		older.Send(stale).WantStatus(http.StatusNotFound)
		dead("one that another took the place of", older)
		p.Clock.Advance(directory.SetupLifetime)
		dead("one of an hour ago", lapses)

		link := setupLink(t, p)
		for range 3 { // previews of mail and chat
			came(t, p, link).Get(p.URL(web.PathSetup)).WantStatus(http.StatusOK)
		}
		first, second := came(t, p, link), came(t, p, link)
		late := filledSetup(p, second, "second@example.com")
		first.Send(filledSetup(p, first, "first@example.com")).WantStatus(http.StatusSeeOther)
		used := func(a *providertest.Answer) {
			t.Helper()
			if a.WantStatus(http.StatusGone); !strings.Contains(string(a.Body), "This link was used already") {
				t.Errorf("%s", a.Body)
			}
		}
		used(second.Send(late))
		used(came(t, p, link).Get(p.URL(web.PathSetup)))
		if all := operators(t, p); len(all) != 1 || all[0].Email != "first@example.com" {
			t.Errorf("the operators are %+v", all)
		}
		if _, err := p.Directory.ByEmail(t.Context(), "second@example.com"); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("the second one has an account: %v", err)
		}
	})
}

// Over three processes that share the database alone.
func TestAttack72OneOfThirtySetsUpOnThreeReplicas(t *testing.T) {
	p := providertest.Replicas(t, 3)
	link := setupLink(t, p)
	var requests []*http.Request
	for i := range 30 {
		b := came(t, p, link)
		if i%2 == 1 {
			b.Get(p.URL(web.PathSetup))
		}
		r := filledSetup(p, b, fmt.Sprintf("operator%d@example.com", i))
		for _, c := range b.Cookies() {
			r.AddCookie(c)
		}
		requests = append(requests, r)
		// They come from thirty places.
		if err := p.Throttle.Reset(t.Context(), throttle.Setup, "127.0.0.0/24"); err != nil {
			t.Fatal(err)
		}
	}
	count := map[int]int{}
	for _, a := range p.AtOnce(requests...) {
		count[a.Status]++
	}
	if count[http.StatusSeeOther] != 1 || count[http.StatusGone] != len(requests)-1 {
		t.Errorf("answers by status: %v, want one that set up and others that are told of it", count)
	}
	if all := operators(t, p); len(all) != 1 {
		t.Errorf("%d operators came in by one link", len(all))
	}
	made := 0
	for i := range requests {
		if _, err := p.Directory.ByEmail(t.Context(), fmt.Sprintf("operator%d@example.com", i)); err == nil {
			made++
		}
	}
	if made != 1 {
		t.Errorf("%d people were made", made)
	}
}

// Nobody gets into somebody's account by setting this house up, and nobody sets it up
// without the link.
func TestAttack73SetupTakesNoAccountOver(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		ada := p.Person("ada")
		b := came(t, p, setupLink(t, p))
		for _, written := range []string{ada.Email, "ADA@Example.com", " ada@example.com "} {
			if a := b.Send(filledSetup(p, b, written)).WantStatus(http.StatusUnprocessableEntity); !strings.Contains(string(a.Body), "has an account with this address already") {
				t.Errorf("%q: %s", written, a.Body)
			}
		}
		if _, err := p.Passwords.Verify(t.Context(), ada.Person, ada.Password); err != nil {
			t.Errorf("her password is another one: %v", err)
		}
		if len(operators(t, p)) != 0 {
			t.Error("she runs the house and does not know it")
		}

		rp := p.Client("web")
		for what, eve := range map[string]*providertest.Browser{
			"no link":          p.Browser(),
			"a guessed link":   came(t, p, p.URL(web.PathSetup)+"?key="+strings.Repeat("A", 43)),
			"no secret at all": came(t, p, p.URL(web.PathSetup)+"?key="),
		} {
			eve.Get(p.URL(web.PathSetup)).WantStatus(http.StatusNotFound)
			// A form of another page, with the token of her own browser.
			r := eve.Filled(eve.Ask(rp, "openid").URL.String(), providertest.With("name", "Eve"), providertest.With("email", "eve@example.com"), providertest.With("password", firstPassword))
			r.URL.Path, r.URL.RawQuery = web.PathSetup, ""
			if a := eve.Send(r); a.Status != http.StatusNotFound {
				t.Errorf("%s: %s", what, a)
			}
		}
		if len(operators(t, p)) != 0 {
			t.Error("somebody came in without the link")
		}
		b.Send(filledSetup(p, b, "grace@example.com")).WantStatus(http.StatusSeeOther) // it was not spent on all that
	})
}

// The first operator's word is no proof of their address.
func TestAttack74SetupVerifiesNoAddress(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		b := came(t, p, setupLink(t, p))
		r := filledSetup(p, b, "grace@example.com")
		b.Send(r).WantStatus(http.StatusSeeOther)
		entry := must(p.Directory.Show(t.Context(), "grace@example.com"))
		if len(entry.Identifiers) != 1 || !entry.Identifiers[0].VerifiedAt.IsZero() {
			t.Errorf("the address counts as verified: %+v", entry.Identifiers)
		}
	})
}

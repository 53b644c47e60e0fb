package provider_test

import (
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

var sessionOf = regexp.MustCompile(`<h2 id="session-([^"]*)">([^<]*)</h2>`)

// TestPeopleSeeWhereTheyAreSignedIn, in words, the browser that asks first, and end what
// they do not want: the session, its grants and, by their clients' notice, what those
// made of it. Nobody ends another's, and nobody whose proof is old.
func TestPeopleSeeWhereTheyAreSignedIn(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		p.Person("ada")
		firefox := p.Browser().As("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0").SignIn("ada")
		phone := p.Browser().As("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1").SignIn("ada")
		odd := p.Browser().As("<script>curl").SignIn("ada")
		bob := p.Browser().SignIn("bob")
		for _, b := range []*providertest.Browser{firefox, odd, bob} {
			b.Authorize(rp, "openid")
			p.Clock.Advance(time.Second)
		}
		tokens := rp.Exchange(phone.Authorize(rp, "openid offline_access")).OK()
		mortal := rp.Exchange(phone.Authorize(rp, "openid")).OK()
		page := func(b *providertest.Browser) (string, [][]string) {
			t.Helper()
			text := html.UnescapeString(string(b.Get(p.URL(web.PathSessions)).WantStatus(http.StatusOK).Body))
			return text, sessionOf.FindAllStringSubmatch(text, -1)
		}
		text, lines := page(firefox)
		if len(lines) != 3 || lines[0][2] != "Firefox on Linux" || !strings.Contains(lines[1][2], "iOS") || lines[2][2] != "a device that we do not know" ||
			strings.Count(text, `class="pill"`) != 1 || !strings.Contains(text, "<bdi>Web</bdi>") {
			t.Fatalf("%v in %s", lines, text)
		}
		end := func(b *providertest.Browser, which string) *providertest.Answer {
			t.Helper()
			return b.Send(b.Filled(p.URL(web.PathSessions), providertest.With("end", which)))
		}
		// Another person's, and what is no session.
		_, bobs := page(bob)
		for _, which := range []string{bobs[0][1], "nonsense", "1=1"} {
			end(firefox, which).WantStatus(http.StatusSeeOther)
		}
		if _, still := page(bob); len(still) != 1 {
			t.Error("ada ended bob's session")
		}
		if _, lines := page(firefox); len(lines) != 3 {
			t.Errorf("%d sessions after ending none", len(lines))
		}
		// One.
		end(firefox, lines[1][1]).WantStatus(http.StatusSeeOther)
		if _, lines := page(firefox); len(lines) != 2 {
			t.Errorf("%d sessions after ending one", len(lines))
		}
		if phone.Get(p.URL(web.PathApps)).Status != http.StatusSeeOther {
			t.Error("the phone is signed in")
		}
		rp.Introspect(mortal.Access).WantInactive()
		if rp.Refresh(tokens.Refresh).Status != http.StatusOK {
			t.Error("what was to stay connected is not")
		}
		// All others.
		end(firefox, "others").WantStatus(http.StatusSeeOther)
		if _, lines := page(firefox); len(lines) != 1 {
			t.Errorf("%d sessions after ending all others", len(lines))
		}
		if odd.Get(p.URL(web.PathApps)).Status != http.StatusSeeOther {
			t.Error("the odd one is signed in")
		}
		// Ten minutes later they prove anew, before they see or end anything.
		another := p.Browser().SignIn("ada")
		another.Authorize(rp, "openid")
		form := firefox.Filled(p.URL(web.PathSessions), providertest.With("end", "others"))
		p.Clock.Advance(10*time.Minute + time.Second)
		if to := firefox.Next(firefox.Send(form).WantStatus(http.StatusSeeOther)); !strings.Contains(to, web.PathSignIn) {
			t.Errorf("an old proof leads to %s", to)
		}
		another.Get(p.URL(web.PathApps)).WantStatus(http.StatusOK)
	})
}

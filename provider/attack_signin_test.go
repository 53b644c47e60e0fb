package provider_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// A guesser stands at one sign-in page and tries.
type guesser struct {
	p    *providertest.P
	b    *providertest.Browser
	t    *testing.T
	to   string
	form url.Values
}

// guesserAt has a browser ask for a sign-in and stop there.
func guesserAt(t *testing.T, p *providertest.P, rp *providertest.RP, b *providertest.Browser) *guesser {
	t.Helper()
	page := b.StopAt("").Ask(rp, "openid", providertest.With("prompt", "login"))
	form := providertest.ReadForm(page.Body)
	if form == nil || page.URL.Path != web.PathSignIn {
		t.Fatalf("no sign-in page: %s", page.Answer)
	}
	return &guesser{p: p, b: b, t: t, to: p.Issuer + form.Action, form: form.Fields}
}

// request is one try; headers come in pairs.
func (g *guesser) request(identifier, password string, headers ...string) *http.Request {
	g.t.Helper()
	form := maps.Clone(g.form)
	form.Set("identifier", identifier)
	form.Set("password", password)
	return g.b.Carry(rawRequest(g.t, http.MethodPost, g.to, form, append([]string{"Origin", g.p.Issuer, "Sec-Fetch-Site", "same-origin"}, headers...)...))
}

func (g *guesser) try(identifier, password string, headers ...string) *providertest.Answer {
	g.t.Helper()
	return g.p.Send(g.request(identifier, password, headers...))
}

// wantThrottled asks for 429 and a Retry-After, which it returns.
func wantThrottled(t *testing.T, what string, a *providertest.Answer) time.Duration {
	t.Helper()
	seconds, err := strconv.Atoi(a.Header.Get("Retry-After"))
	if a.Status != http.StatusTooManyRequests || err != nil || seconds < 1 {
		t.Errorf("%s: %s, Retry-After %q, want 429 and a number of seconds", what, a, a.Header.Get("Retry-After"))
	}
	return time.Duration(seconds) * time.Second
}

const (
	wrong    = http.StatusUnprocessableEntity
	signedOn = http.StatusSeeOther
	guess    = "this is not the password"
)

// behindProxy has the provider believe X-Forwarded-For of this machine.
var behindProxy = providertest.Configure(func(c *provider.Config) {
	c.Web.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
})

var nonceInPolicy = regexp.MustCompile(`nonce="?[-A-Za-z0-9_]+"?`)

// OWASP ASVS 5.0 6.3.8: whoever has no account, a closed one or no password gets
// the same answer after the same work as whoever typed a wrong password.
func TestAttack57SomebodyAndNobodyLookAlike(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web")
		p.Person("ada")
		p.Person("eve")
		if _, err := p.Directory.Disable(t.Context(), "eve@example.com", "operator"); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Directory.Create(t.Context(), directory.NewPerson{Email: "dan@example.com"}, "operator"); err != nil {
			t.Fatal(err)
		}
		home := p.Browser().SignIn("ada")
		home.Authorize(rp, "openid")

		for where, try := range map[string]struct {
			b     *providertest.Browser
			tries int
		}{
			"a new browser":     {p.Browser(), 12},
			"one that ada used": {p.Browser().Plant(deviceCookie, home.Cookie(deviceCookie)), 3},
		} {
			p.Clock.Advance(2 * time.Hour) // what was tried before is forgotten
			g := guesserAt(t, p, rp, try.b)
			for i := range try.tries {
				nobody := g.measure("bob", guess)
				if want := map[bool]int{true: wrong, false: http.StatusTooManyRequests}[i < 10]; nobody.status != want {
					t.Fatalf("%s, try %d: status %d, want %d", where, i, nobody.status, want)
				}
				for name, password := range map[string]string{"ada": guess, "eve": providertest.Password, "dan": guess} {
					if got := g.measure(name, password); got != nobody {
						t.Errorf("%s, try %d: %s is told from nobody:\n%+v\n%+v", where, i, name, got, nobody)
					}
				}
			}
		}
	})
}

// A trace is all that can be seen of a try, and what it cost.
type trace struct {
	status       int
	header, body string
	hashes       uint64
	statements   string
}

func (g *guesser) measure(name, password string) trace {
	g.t.Helper()
	identifier := name + "@example.com"
	var a *providertest.Answer
	before := g.p.Passwords.Hashes()
	statements := g.p.Statements.During(func() { a = g.try(identifier, password) })
	return traceOf(a, identifier, g.p.Passwords.Hashes()-before, statements)
}

// traceOf leaves out of an answer what differs each time.
func traceOf(a *providertest.Answer, identifier string, hashes uint64, statements []string) trace {
	for _, changes := range []string{"Date", "X-Request-Id"} {
		a.Header.Del(changes)
	}
	same := func(s string) string {
		s = regexp.MustCompile(`'nonce-[^']+'`).ReplaceAllString(s, "NONCE")
		s = regexp.MustCompile(`data-passkey="[^"]*"`).ReplaceAllString(s, "CHALLENGE")
		if identifier != "" {
			s = strings.ReplaceAll(s, identifier, "NAME")
		}
		return nonceInPolicy.ReplaceAllString(s, "NONCE")
	}
	return trace{a.Status, same(fmt.Sprint(a.Header)), same(string(a.Body)), hashes, strings.Join(statements, "\n")}
}

// One account has one bucket, however its name is spelled: NIST SP 800-63B-4
// section 3.2.2.
func TestAttack58EverySpellingIsOneBucket(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web")
		p.Person("ada")
		p.Person("bob")
		for _, name := range []string{"ada", "nobody"} { // one who exists, one who does not
			title := strings.ToUpper(name[:1]) + name[1:]
			spellings := []string{
				name + "@example.com", title + "@example.com", strings.ToUpper(name) + "@EXAMPLE.COM", name + "@Example.Com", " " + name + "@example.com",
				name + "@example.com\t", fullWidth(name) + "@example.com", name + "＠example.com", name + "@ｅxample.com", name + "@example。com",
			}
			for i, spelled := range spellings {
				g := guesserAt(t, p, rp, p.Browser()) // every try from a new browser
				g.try(spelled, guess).WantStatus(wrong)
				if i == len(spellings)-1 {
					for _, again := range spellings {
						wantThrottled(t, again, g.try(again, providertest.Password))
					}
					g.try("bob@example.com", providertest.Password).WantStatus(signedOn)
				}
			}
		}
	})
}

// fullWidth is the text in the letters that NFKC folds.
func fullWidth(s string) string {
	return strings.Map(func(r rune) rune { return r - 'a' + 'ａ' }, s)
}

// RFC 9700 section 4.13, RFC 7239 section 8.1: only a proxy that was named may
// say where a request is from, and only its own word counts.
func TestAttack59AddressIsNotTheClientsToChoose(t *testing.T) {
	t.Parallel()
	const burst = 60 // what one block of addresses may try
	tryAll := func(t *testing.T, g *guesser, headers func(i int) []string) {
		t.Helper()
		for i := range burst {
			if a := g.try(fmt.Sprintf("person%d@example.com", i), guess, headers(i)...); a.Status != wrong {
				t.Fatalf("try %d: %s", i, a)
			}
		}
		for i := range 3 {
			wantThrottled(t, "beyond the limit", g.try(fmt.Sprintf("other%d@example.com", i), guess, headers(burst+i)...))
		}
	}
	spoofed := func(i int) []string {
		ip := fmt.Sprintf("203.%d.113.7", i)
		return []string{
			"X-Forwarded-For", ip, "Forwarded", "for=" + ip, "X-Real-IP", ip, "True-Client-IP", ip, "CF-Connecting-IP", ip,
			"X_Forwarded_For", ip, "X-Forwarded-Host", ip, "X-Client-IP", ip, "X-Cluster-Client-IP", ip,
		}
	}
	t.Run("no proxy", func(t *testing.T) {
		providertest.Each(t, func(t *testing.T, p *providertest.P) {
			tryAll(t, guesserAt(t, p, p.Client("web"), p.Browser()), spoofed)
		})
	})
	t.Run("behind a proxy", func(t *testing.T) {
		p := providertest.Start(t, behindProxy)
		g := guesserAt(t, p, p.Client("web"), p.Browser())
		tryAll(t, g, func(i int) []string { // the proxy adds the last one
			return append(spoofed(i), "X-Forwarded-For", fmt.Sprintf("203.%d.113.7, 198.51.100.%d", i, i))
		})
		g.try("somebody@example.com", guess, "X-Forwarded-For", "198.51.101.1").WantStatus(wrong) // another block
	})
}

// A limit is one atomic statement: NIST SP 800-63B-4 section 3.2.2. Whoever
// guesses from everywhere at once does not keep the owner from their own browser.
func TestAttack60LimitHoldsInParallel(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web")
		p.Person("ada")
		home := p.Browser().SignIn("ada")
		home.Authorize(rp, "openid")

		botnet := guesserAt(t, p, rp, p.Browser())
		wantTenOfAHundred(t, p, botnet)
		for i := range 36 { // for three hours, from everywhere
			p.Clock.Advance(5 * time.Minute)
			botnet = guesserAt(t, p, rp, p.Browser())
			botnet.try("ada@example.com", guess, "X-Forwarded-For", fmt.Sprintf("192.%d.0.1", i)).WantStatus(wrong)
			for j := range 2 {
				wantThrottled(t, "one more", botnet.try("ada@example.com", guess, "X-Forwarded-For", fmt.Sprintf("192.%d.%d.1", i, j+1)))
			}
		}
		home.Authorize(rp, "openid", providertest.With("prompt", "login"))

		away := guesserAt(t, p, rp, p.Browser())
		wait := wantThrottled(t, "a new browser in the middle of it", away.try("ada@example.com", providertest.Password))
		if wait > 5*time.Minute {
			t.Errorf("the owner waits %s", wait)
		}
		p.Clock.Advance(wait)
		away.try("ada@example.com", providertest.Password).WantStatus(signedOn)
	}, behindProxy)
}

// The same over three processes that share the database alone.
func TestAttack60LimitHoldsOverReplicas(t *testing.T) {
	p := providertest.Replicas(t, 3)
	rp := p.Client("web")
	p.Person("ada")
	wantTenOfAHundred(t, p, guesserAt(t, p, rp, p.Browser()))
}

// wantTenOfAHundred asks that of 100 wrong passwords at the same moment ten are
// looked at.
func wantTenOfAHundred(t *testing.T, p *providertest.P, g *guesser) {
	t.Helper()
	var requests []*http.Request
	for i := range 100 {
		requests = append(requests, g.request("ada@example.com", guess, "X-Forwarded-For", fmt.Sprintf("10.%d.0.1", i)))
	}
	looked := 0
	for _, a := range p.AtOnce(requests...) {
		if a.Status == wrong {
			looked++
		} else {
			wantThrottled(t, "one of a hundred", a)
		}
	}
	if looked != 10 {
		t.Errorf("%d of 100 wrong passwords were looked at, want 10", looked)
	}
}

package provider_test

import (
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/provider/web"
)

var paperCode = regexp.MustCompile(`<li><code>([0-9A-Z-]+)</code>`)

// onPaper are the recovery codes that a page shows.
func onPaper(a *providertest.Answer) (codes []string) {
	for _, m := range paperCode.FindAllStringSubmatch(string(a.Body), -1) {
		codes = append(codes, m[1])
	}
	return codes
}

// Who presses the button twice sees the answer to the second press alone: it has the same
// codes, which work. Codes that do not work any more are never shown.
func TestAFormOfCodesSentTwiceShowsTheSameOnes(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		ada := p.Person("ada")
		making := func(b *providertest.Browser) *http.Request {
			at := b.SignIn("ada").StopAt(web.PathRecoveryCodes).Walk(nil, p.URL(web.PathSecurityRecovery)).URL.String()
			return b.Filled(at)
		}
		count := func() (n int) {
			all, err := p.Store.Events(t.Context(), 1000)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range all {
				if e.Kind == string(events.RecoveryGenerated) {
					n++
				}
			}
			return n
		}
		b := p.Browser()
		form := making(b)
		var twice [2][]string
		for i, a := range p.AtOnce(b.Carry(repeated(t, form)), b.Carry(repeated(t, form))) { // at once, and one after the other
			twice[i] = onPaper(a.WantStatus(http.StatusOK))
		}
		codes := onPaper(b.Send(repeated(t, form)).WantStatus(http.StatusOK))
		if len(codes) != 10 || !slices.Equal(twice[0], codes) || !slices.Equal(twice[1], codes) || count() != 1 {
			t.Errorf("three sends: %q, %q and %q, %d events", twice[0], twice[1], codes, count())
		}
		gone := func(why string, form *http.Request) {
			t.Helper()
			if a := b.Send(form); a.Status != http.StatusSeeOther || len(onPaper(a)) > 0 {
				t.Errorf("%s: %s", why, a)
			}
		}
		stranger := p.Browser()
		stranger.Get(p.URL(web.PathHome))
		if a := stranger.Send(repeated(t, form)); a.Status != http.StatusForbidden || len(onPaper(a)) > 0 {
			t.Errorf("another browser: %s", a)
		}
		if evidence, err := p.Recovery.Verify(t.Context(), ada.Person, codes[3]); err != nil || evidence.Method != policy.Recovery {
			t.Errorf("a code that was shown: %v", err)
		}
		gone("one of them was used", repeated(t, form))

		form = making(b)
		again := onPaper(b.Send(repeated(t, form)).WantStatus(http.StatusOK))
		if len(again) != 10 || slices.Contains(codes, again[0]) {
			t.Errorf("another form made %q after %q", again, codes)
		}
		other := making(b)
		b.Send(other).WantStatus(http.StatusOK)
		gone("others took their place", repeated(t, form))

		form = making(b)
		b.Send(repeated(t, form)).WantStatus(http.StatusOK)
		p.Clock.Advance(10*time.Minute + time.Second)
		gone("later", repeated(t, form))
	})
}

// Every tab shows an authenticator's seed of its own, or that of its request: whichever
// was scanned, its code is taken.
func TestTheSeedOfEveryTabIsGood(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		b := p.Browser().SignIn("ada").StopAt(web.PathAddTOTP)
		tab := func() string { return b.Walk(nil, p.URL(web.PathSecurityAddTOTP)).URL.String() }
		first, second, third := tab(), tab(), tab()
		one, two := seedOf(t, b.Get(first)), seedOf(t, b.Get(second))
		if one == two {
			t.Fatal("two requests have one seed")
		}
		if again := seedOf(t, b.Get(first)); again != one {
			t.Errorf("the first tab shows %s, and then %s", one, again)
		}
		// Two tabs of one request, opened at once.
		seen := map[string]bool{}
		for _, a := range p.AtOnce(b.Request(third), b.Request(third)) {
			seen[seedOf(t, a.WantStatus(http.StatusOK))] = true
		}
		if len(seen) != 1 || !seen[seedOf(t, b.Get(third))] {
			t.Errorf("one request shows %d seeds: %v", len(seen), seen)
		}
		send := func(at, seed string) *providertest.Answer {
			t.Helper()
			return b.Send(b.Filled(at, providertest.With("code", code(t, seed, p.Clock.Now()))))
		}
		if to := b.Next(send(first, one).WantStatus(http.StatusSeeOther)); !strings.HasSuffix(to, "?done") {
			t.Errorf("the code of the first tab leads to %s", to)
		}
		// There is a stronger proof by now, which the other tab asks for before it goes on.
		p.Clock.Advance(time.Minute)
		asks := b.Next(b.Get(second).WantStatus(http.StatusSeeOther))
		if to := b.Next(send(asks, one).WantStatus(http.StatusSeeOther)); to != second || seedOf(t, b.Get(to)) != two {
			t.Errorf("proved for the second tab, and at %s", to)
		}
		if to := b.Next(send(second, two).WantStatus(http.StatusSeeOther)); !strings.HasSuffix(to, "?done") {
			t.Errorf("the code of the second tab leads to %s", to)
		}
		if has, err := p.Store.TOTPsOf(t.Context(), p.Person("ada").ID); err != nil || len(has) != 2 {
			t.Errorf("%d authenticators, %v", len(has), err)
		}

		// Who waited too long is told, and shown one that is good.
		b = p.Browser().SignIn("bob").StopAt(web.PathAddTOTP)
		at := tab()
		old := seedOf(t, b.Get(at))
		form := b.Filled(at, providertest.With("code", "000000")) // right or not, that is over
		p.Clock.Advance(16 * time.Minute)
		tab() // the proof is too old as well by then: they give it anew in another tab
		late := b.Send(form).WantStatus(wrong)
		if seed := seedOf(t, late); seed == old || !strings.Contains(string(late.Body), "That picture is not good any more") {
			t.Errorf("after %s: %s", old, late)
		}
		if to := b.Next(b.Send(b.Filled(at, providertest.With("code", code(t, seedOf(t, late), p.Clock.Now()))))); !strings.HasSuffix(to, "?done") {
			t.Errorf("the code of the new picture leads to %s", to)
		}
	})
}

// Who is sent away because of too many tries is told so on the page that they sent, with
// what they wrote and when to come back. A program is told the same.
func TestTooManyIsSaidOnThePage(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t)
	p.Person("bob")
	for name, on := range map[string]struct {
		limit throttle.Limit
		form  func(t *testing.T) (*providertest.Browser, *http.Request)
		keeps string
	}{
		"adding a passkey": {throttle.Passkeys, func(t *testing.T) (*providertest.Browser, *http.Request) {
			b := p.Browser().SignIn("bob")
			page := addingPage(t, p, b)
			page.prompt.Fields.Set("name", "Blue key")
			return b, page.request("{}")
		}, `value="Blue key"`},
		"a passkey that is offered": {throttle.Passkeys, func(t *testing.T) (*providertest.Browser, *http.Request) {
			b := p.Browser()
			at := b.Ask(p.Client("web", providertest.FirstParty), "openid").URL.String()
			a := b.Send(b.Filled(at, providertest.With("identifier", "bob@example.com"), providertest.With("password", providertest.Password), providertest.With("passkeys", "1")))
			return b, passkeyPageOf(t, b, b.Walk(nil, b.Next(a))).request("{}")
		}, `name="decision" value="later"`},
		"setting up": {throttle.Setup, func(t *testing.T) (*providertest.Browser, *http.Request) {
			b := came(t, p, setupLink(t, p))
			return b, filledSetup(p, b, "grace@example.com")
		}, `value="grace@example.com"`},
		"this was not me": {throttle.Links, func(*testing.T) (*providertest.Browser, *http.Request) {
			b := p.Browser()
			b.SignIn("bob").Walk(nil, p.URL(web.PathSessions))
			r := b.Filled(p.URL(web.PathSessions), providertest.With("key", "KEY")) // a form's token is the browser's
			r.URL.Path = web.PathNotMe
			return b, r
		}, `name="key" value="KEY"`},
	} {
		t.Run(name, func(t *testing.T) {
			b, form := on.form(t)
			as := repeated(t, form)
			for p.Throttle.Take(t.Context(), on.limit, throttle.Block(netip.MustParseAddr("127.0.0.1"))) == nil { // others do
			}
			a := b.Send(form).WantStatus(http.StatusTooManyRequests)
			page := string(a.Body)
			if a.Header.Get("Retry-After") == "" || !strings.Contains(page, `id="problem"`) || !strings.Contains(page, "You can try again in") || !strings.Contains(page, on.keeps) {
				t.Errorf("without %s: %s", on.keeps, page)
			}
			as.Header.Set("Accept", "application/json")
			for _, says := range []string{`"problem":"throttled"`, `"retry_after":`} {
				if a := b.Send(repeated(t, as)).WantStatus(http.StatusTooManyRequests); !strings.Contains(string(a.Body), says) {
					t.Errorf("without %s: %s", says, a)
				}
			}
			if err := p.Throttle.Reset(t.Context(), on.limit, "127.0.0.0/24"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

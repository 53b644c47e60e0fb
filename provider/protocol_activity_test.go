package provider_test

import (
	"crypto/rand"
	"html"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"

// Wrong tries are told to whose account they were at, summed by the hour, the browser and the
// proof; a wrong one is told whoever typed it, and a right one is not.
func TestWrongTriesAreSummedOnTheActivityPage(t *testing.T) {
	t.Parallel()
	providertest.Databases(t, func(t *testing.T, database string) {
		p := providertest.Start(t, providertest.On(database))
		rp := p.Client("web", providertest.FirstParty)
		b, eve := p.Browser().SignIn("ada"), p.Browser().SignIn("eve")
		p.Person("ada")
		p.Clock.Advance(time.Hour)
		from := p.Clock.Now().Truncate(time.Hour)
		g := guesserAt(t, p, rp, p.Browser())
		for range 3 {
			if a := g.try("ada@example.com", guess, "User-Agent", firefox); a.Status != wrong {
				t.Fatal(a)
			}
		}
		g.try("nobody@example.com", guess)
		p.Clock.Advance(time.Hour)
		g = guesserAt(t, p, rp, p.Browser())
		g.try("ada@example.com", guess)
		p.Browser().SignIn("ada").Walk(nil, p.URL(web.PathApps))
		read := func(b *providertest.Browser) string {
			t.Helper()
			page := html.UnescapeString(string(b.Walk(nil, p.URL(web.PathActivity)).WantStatus(http.StatusOK).Body))
			_, told, _ := strings.Cut(page, `aria-labelledby="wrong"`)
			told, _, _ = strings.Cut(told, "</section>")
			return told
		}
		told := read(b)
		between := "between " + from.Format("15:04") + " and " + from.Add(time.Hour).Format("15:04") + " UTC · Firefox on Linux"
		for _, says := range []string{"3 wrong passwords", between, "1 wrong password<"} {
			if !strings.Contains(told, says) {
				t.Errorf("the page does not say %q: %s", says, told)
			}
		}
		if n := strings.Count(told, "<li>"); n != 2 {
			t.Errorf("%d lines, want 2: %s", n, told)
		}
		if strings.Index(told, "3 wrong") < strings.Index(told, "1 wrong") {
			t.Error("the newest is not first")
		}
		if told := read(eve); told != "" {
			t.Errorf("another's tries are told: %s", told)
		}
		// What they go in is kept for 90 days, and for nobody's account for hours.
		for _, later := range []struct {
			by   time.Duration
			want int64
		}{{0, 3}, {2 * time.Hour, 2}, {90 * 24 * time.Hour, 0}} {
			p.Clock.Advance(later.by)
			if _, err := p.Store.Sweep(t.Context(), storage.At(p.Clock.Now()), 1000); err != nil {
				t.Fatal(err)
			}
			if n := providertest.CountRows(t, database)["wrong_tries"]; n != later.want {
				t.Errorf("after %s more %d rows are left, want %d", later.by, n, later.want)
			}
		}
	})
}

// People are told what happened to their account lately: theirs alone, in words, with which
// browser; and what may have been somebody else leads to where they say so.
func TestActivityIsToldInWords(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("shop")
		d := p.Device(phone)
		addPasskey(t, p, "bob", d)
		p.Person("ada")
		p.Clock.Advance(91 * 24 * time.Hour)
		elsewhere := p.Browser().As(firefox).SignIn("ada")
		elsewhere.Walk(nil, p.URL(web.PathApps))
		p.Clock.Advance(time.Minute)
		b := p.Browser().SignIn("ada").Holding(p.Device(phone))
		b.Authorize(rp, "openid")
		b.Walk(nil, p.URL(web.PathSecurityAddPasskey))
		for range 25 { // codes are spent all the time: nobody is told
			rp.Exchange(b.Authorize(rp, "openid")).OK()
		}
		read := func(to string) string {
			t.Helper()
			if _, err := p.Events.Sequence(t.Context()); err != nil {
				t.Fatal(err)
			}
			return html.UnescapeString(string(b.Get(to).WantStatus(http.StatusOK).Body))
		}
		page := read(p.URL(web.PathActivity))
		for _, says := range []string{"You signed in", "Firefox on Linux", "this browser", "Shop may use your account", "The passkey Passkey was added", "31 May 2026"} {
			if !strings.Contains(page, says) {
				t.Errorf("the page does not say %q: %s", says, page)
			}
		}
		if n := strings.Count(page, "<li>"); n != 4 {
			t.Errorf("%d lines, want 4, none that is older than 90 days or another's: %s", n, page)
		}
		if n := strings.Count(page, ">This was not me<"); n != 3 { // not of this very sign-in
			t.Errorf("%d links: %s", n, page)
		}
		if strings.Index(page, "passkey") > strings.Index(page, "Firefox on Linux") {
			t.Error("the newest is not first")
		}

		// More than a page has.
		for range 30 {
			if _, err := p.Recovery.Generate(t.Context(), p.Person("ada").ID, rand.Text(), events.ActorOperator); err != nil {
				t.Fatal(err)
			}
		}
		page = read(p.URL(web.PathActivity))
		if n := strings.Count(page, "<li>"); n != 20 || !strings.Contains(page, "by those who run") {
			t.Errorf("%d lines: %s", n, page)
		}
		_, to, _ := strings.Cut(page, `href="`+web.PathActivity)
		to, _, _ = strings.Cut(to, `"`)
		if page = read(p.URL(web.PathActivity) + to); strings.Count(page, "<li>") != 14 || !strings.Contains(page, "Firefox on Linux") {
			t.Errorf("the page after: %s", page)
		}
		b.Get(p.URL(web.PathActivity) + "?after=x").WantStatus(http.StatusBadRequest)
	})
}

// A sign-in of two steps is one entry, which names both proofs; where it began is what was not me, and
// no page ends between its steps.
func TestASignInOfTwoStepsIsOneEntry(t *testing.T) {
	t.Parallel()
	eachTold(t, func(t *testing.T, h *toldHouse) {
		rp := h.Client("web", providertest.FirstParty)
		owner := h.Browser().SignIn("ada")
		seed := h.addsTOTP(owner)
		h.Clock.Advance(5 * time.Minute)
		b := h.Browser().As(firefox).SignIn("ada")
		at := b.StopAt(web.PathTOTP).Ask(rp, "openid")
		h.Clock.Advance(time.Second)
		b.Send(b.Filled(h.URL(at.URL.RequestURI()), providertest.With("code", code(t, seed, h.Clock.Now())))).WantStatus(http.StatusSeeOther)
		read := func(to string) string {
			t.Helper()
			if _, err := h.Events.Sequence(t.Context()); err != nil {
				t.Fatal(err)
			}
			return html.UnescapeString(string(b.Get(h.URL(to)).WantStatus(http.StatusOK).Body))
		}
		const both = "Firefox on Linux · password + authenticator app"
		page := read(web.PathActivity)
		if !strings.Contains(page, both) || strings.Count(page, "Firefox on Linux") != 1 {
			t.Errorf("the page does not say %q, once: %s", both, page)
		}
		// For another browser it may have been somebody else, from its first step on.
		page = html.UnescapeString(string(owner.Walk(nil, h.URL(web.PathActivity)).WantStatus(http.StatusOK).Body))
		_, id, _ := strings.Cut(page, both)
		_, id, _ = strings.Cut(id, web.PathNotMeEvent+"?id=")
		id, _, _ = strings.Cut(id, `"`)
		first, err := h.Events.Of(t.Context(), h.ada.ID, storage.ID(id))
		if err != nil || strings.Contains(string(first.Data), "otp") {
			t.Errorf("this was not me is of %+v, %v", first, err)
		}
		h.Clock.Advance(time.Minute)
		for range 19 {
			must(h.Recovery.Generate(t.Context(), h.ada.ID, rand.Text(), events.ActorOperator))
		}
		page = read(web.PathActivity)
		if strings.Count(page, "<li>") != 20 || !strings.Contains(page, both) {
			t.Errorf("%d lines: %s", strings.Count(page, "<li>"), page)
		}
		_, earlier, _ := strings.Cut(page, `href="`+web.PathActivity)
		earlier, _, _ = strings.Cut(earlier, `"`)
		if page = read(web.PathActivity + earlier); strings.Contains(page, "Firefox on Linux") {
			t.Errorf("the page after tells of it again: %s", page)
		}
	})
}

// The language is the person's own setting: behind what an app asks for, before what the
// browser says; in the place of what a footer's link said.
func TestTheLanguageIsThePersonsOwn(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		b := p.Browser().SignIn("ada")
		b.Walk(nil, p.URL(web.PathLanguage)).WantPage(http.StatusOK)
		says := func(to, lang string) {
			t.Helper()
			if page := string(b.Get(p.URL(to)).Body); !strings.Contains(page, `<html lang="`+lang+`">`) {
				t.Errorf("%s is not in %s: %.200s", to, lang, page)
			}
		}
		says(web.PathHome, "en")
		set := func(lang string) *providertest.Answer {
			t.Helper()
			return b.Send(b.Filled(p.URL(web.PathLanguage), providertest.With("language", lang)))
		}
		set("sv").WantStatus(http.StatusSeeOther)
		says(web.PathHome, "sv")
		if got := p.Person("ada").Locale; got != "sv" {
			t.Errorf("the person's locale is %q", got)
		}
		fresh := p.Browser().SignIn("ada")
		if page := string(fresh.Walk(nil, p.URL(web.PathActivity)).Body); !strings.Contains(page, `<html lang="sv">`) {
			t.Errorf("another browser: %.200s", page)
		}
		says(web.PathHome+"?lang=es", "es") // the footer's link
		says(web.PathHome, "es")
		set("sv").WantStatus(http.StatusSeeOther)
		says(web.PathHome, "sv")
		set("tlh").WantStatus(http.StatusBadRequest)
		set("").WantStatus(http.StatusSeeOther)
		says(web.PathHome, "en")
		if got := p.Person("ada").Locale; got != "" {
			t.Errorf("the person's locale is %q", got)
		}
		all, err := p.Store.Events(t.Context(), 10)
		if err != nil || all[0].Kind != string(events.PersonUpdated) || all[0].Actor != string(events.ActorPerson) {
			t.Errorf("%v, %v", all, err)
		}

		// From the page of somebody else nothing is set.
		form := b.Filled(p.URL(web.PathLanguage), providertest.With("language", "sv"), providertest.With("session", "another"))
		b.Send(form).WantStatus(http.StatusSeeOther)
		if got := p.Person("ada").Locale; got != "" {
			t.Errorf("the person's locale is %q", got)
		}
	})
}

// Who has lost what is asked for is told how to go on, and never led back to it.
func TestWhatIsLostIsNoDeadEnd(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		addPasskey(t, p, "ada", p.Device(phone))
		b := p.Browser().SignIn("ada")
		a := b.Walk(nil, p.URL(web.PathSecurityAddTOTP))
		if a.URL.Path != web.PathPasskey {
			t.Fatalf("at %s: %s", a.URL, a.Answer)
		}
		lost := p.URL(web.PathLost) + "?i=" + a.URL.Query().Get("i") + "&lost=passkey"
		if page := html.UnescapeString(string(a.Body)); !strings.Contains(page, lost[len(p.Issuer):]) {
			t.Errorf("no way on from the passkey: %s", page)
		}
		page := html.UnescapeString(string(b.Get(lost).WantStatus(http.StatusOK).Body))
		if !strings.Contains(page, "Without your passkey") || !strings.Contains(page, "no other way") || !strings.Contains(page, "Those who run") {
			t.Errorf("%s", page)
		}
		if strings.Contains(page, web.PathPasskey+"?") {
			t.Errorf("it leads back: %s", page)
		}
		// With recovery codes there is another way.
		if _, err := p.Recovery.Generate(t.Context(), p.Person("ada").ID, rand.Text(), events.ActorPerson); err != nil {
			t.Fatal(err)
		}
		page = html.UnescapeString(string(b.Get(lost).WantStatus(http.StatusOK).Body))
		if !strings.Contains(page, web.PathRecovery+"?i=") || strings.Contains(page, "no other way") {
			t.Errorf("%s", page)
		}
		// An app's request says so too, and where the passkey can be replaced.
		a = b.StopAt("").Ask(rp, "openid", providertest.With("acr_values", "phr"))
		if a.URL.Path != web.PathPasskey {
			t.Fatalf("at %s: %s", a.URL, a.Answer)
		}
		page = html.UnescapeString(string(b.Get(p.URL(web.PathLost) + "?i=" + a.URL.Query().Get("i")).WantStatus(http.StatusOK).Body))
		if !strings.Contains(page, `href="`+web.PathSecurity+`"`) || !strings.Contains(page, "no other way") {
			t.Errorf("%s", page)
		}
	})
}

package provider_test

import (
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

var forgets = regexp.MustCompile(`name="forget" value="([^"]*)"`)

// TestPeopleForgetTheirBrowsers: what they see is theirs, and a browser that they forget
// asks for a second factor again, whether they are signed in with it or not.
func TestPeopleForgetTheirBrowsers(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		ada := p.Person("ada")
		seed := addTOTP(t, p, ada.Person)
		firefox := "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
		home := remembered(t, p, rp, p.Browser().As(firefox).SignIn("ada"), seed)
		away := remembered(t, p, rp, p.Browser().As(firefox).SignIn("ada"), seed)
		bob := p.Browser().SignIn("bob")
		bob.Authorize(rp, "openid")
		page := func(b *providertest.Browser) (string, [][]string) {
			t.Helper()
			text := html.UnescapeString(string(b.Get(p.URL(web.PathSessions)).WantStatus(http.StatusOK).Body))
			return text, forgets.FindAllStringSubmatch(text, -1)
		}
		text, known := page(home)
		if len(known) != 2 || strings.Count(text, "Not asked for a second step until") != 2 {
			t.Fatalf("%v in %s", known, text)
		}
		forget := func(b *providertest.Browser, which string) {
			t.Helper()
			b.Send(b.Filled(p.URL(web.PathSessions), providertest.With("forget", which))).WantStatus(http.StatusSeeOther)
		}
		for _, which := range []string{known[0][1], "nonsense", ""} {
			forget(bob, which)
		}
		if _, still := page(home); len(still) != 2 {
			t.Error("bob forgot ada's browser")
		}
		forget(home, known[0][1]) // the one that asks
		forget(home, known[0][1])
		if text, left := page(home); len(left) != 1 || left[0][1] != known[1][1] || !strings.Contains(text, "this browser") {
			t.Errorf("%v in %s", left, text)
		}
		if strings.Contains(text, "Browsers that you used") {
			t.Errorf("signed in with both: %s", text)
		}
		home.Send(home.Filled(p.URL(web.PathSessions), providertest.With("end", "others"))).WantStatus(http.StatusSeeOther)
		if text, left := page(home); len(left) != 1 || !strings.Contains(text, "Browsers that you used") {
			t.Errorf("%v in %s", left, text)
		}
		all, err := p.Store.Events(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		for kind, want := range map[events.Kind]int{events.DeviceRemembered: 2, events.DeviceForgotten: 1} {
			got := len(slices.DeleteFunc(slices.Clone(all), func(e storage.Event) bool { return e.Kind != string(kind) || e.PersonID != ada.ID }))
			if got != want {
				t.Errorf("%d events %s, want %d", got, kind, want)
			}
		}
		if second(p, rp, away) == "" {
			t.Error("the browser that was signed out does not ask")
		}
		if second(p, rp, home) == "" {
			t.Error("the browser that was forgotten does not ask")
		}
	})
}

// TestPeopleSayHowOftenToBeAsked, after a proof as strong as they have: the password
// alone lowers nothing.
func TestPeopleSayHowOftenToBeAsked(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		ada := p.Person("ada")
		seed := addTOTP(t, p, ada.Person)
		b := remembered(t, p, rp, p.Browser().SignIn("ada"), seed)
		says := func(asking string) *providertest.Answer {
			t.Helper()
			return b.Send(b.Filled(p.URL(web.PathSecurityAsking), providertest.With("asking", asking)))
		}
		elsewhere := func() bool { return second(p, rp, p.Browser().SignIn("ada")) != "" }
		says("never").WantStatus(http.StatusBadRequest)
		says("always").WantStatus(http.StatusSeeOther)
		if !elsewhere() {
			t.Error("always: not asked elsewhere")
		}
		remembered(t, p, rp, b, seed) // it is asked here as well
		says("sensitive").WantStatus(http.StatusSeeOther)
		if elsewhere() || second(p, rp, b) != "" {
			t.Error("sensitive: asked by the password alone")
		}
		p.Clock.Advance(11 * time.Minute)
		if second(p, rp, b) != "" {
			t.Error("sensitive: asked again")
		}
		if to := b.Next(b.Get(p.URL(web.PathSecurityAsking)).WantStatus(http.StatusSeeOther)); !strings.Contains(to, web.PathTOTP) {
			t.Errorf("a fresh password leads to %s", to)
		}
	})
}

// An operator forgets a browser of somebody's: it spares them from nothing any more, the
// event says by whom, and nobody else's is touched.
func TestAnOperatorForgetsABrowser(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		p.Browser().SignIn("ada").As(firefox).Authorize(rp, "openid")
		p.Browser().SignIn("bob").Authorize(rp, "openid")
		ada, bob, op := p.Person("ada"), p.Person("bob"), p.API("op", clients.ScopeUsersRead, clients.ScopeUsersWrite)
		of := func(who *providertest.Person) (all []storage.Device) {
			all, err := p.Sessions.Devices(t.Context(), who.ID, 10)
			if err != nil {
				t.Fatal(err)
			}
			return all
		}
		if len(of(ada)) != 1 || len(of(bob)) != 1 {
			t.Fatalf("%v, %v", of(ada), of(bob))
		}
		d, list := of(ada)[0], "/users/"+string(ada.ID)+"/devices"
		got := string(op.Do(http.MethodGet, list, nil).WantStatus(http.StatusOK).Body)
		for _, says := range []string{string(d.ID), `"browser":"Firefox"`, `"system":"Linux"`} {
			if !strings.Contains(got, says) {
				t.Errorf("%s does not say %s", got, says)
			}
		}
		if strings.Contains(got, "remembered_until") || strings.Contains(got, string(of(bob)[0].ID)) {
			t.Errorf("too much: %s", got)
		}
		d.RememberedUntil = storage.At(p.Clock.Now().Add(time.Hour))
		d.ID = storage.NewID()
		if err := p.Store.RotateDevice(t.Context(), &d, of(ada)[0].ID); err != nil {
			t.Fatal(err)
		}
		if got := string(op.Do(http.MethodGet, list, nil).WantStatus(http.StatusOK).Body); !strings.Contains(got, "remembered_until") {
			t.Errorf("%s does not say until when it is remembered", got)
		}
		op.Do(http.MethodDelete, "/users/"+string(bob.ID)+"/devices/"+string(d.ID), nil).WantStatus(http.StatusNotFound)
		op.Do(http.MethodDelete, list+"/no-id", nil).WantStatus(http.StatusNotFound)
		op.Do(http.MethodDelete, list+"/"+string(d.ID), nil).WantStatus(http.StatusNoContent)
		op.Do(http.MethodDelete, list+"/"+string(d.ID), nil).WantStatus(http.StatusNotFound)
		if len(of(ada)) != 0 || len(of(bob)) != 1 {
			t.Errorf("then there are %v, %v", of(ada), of(bob))
		}
		recorded, err := p.Store.Events(t.Context(), 50)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(recorded, func(e storage.Event) bool {
			return e.Kind == string(events.DeviceForgotten) && e.PersonID == ada.ID && e.Actor == string(events.ActorClient) && e.ActorID == "op"
		}) {
			t.Error("no event says who had it forgotten")
		}
	})
}

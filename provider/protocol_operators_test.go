package provider_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// wantEvent fails the test unless there is one event of this kind, by an operator,
// about this person and client.
func wantEvent(t *testing.T, p *providertest.P, kind string, person storage.ID, client string) {
	t.Helper()
	all, err := p.Store.Events(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	of := slices.DeleteFunc(all, func(e storage.Event) bool { return e.Kind != kind })
	if len(of) != 1 || of[0].Actor != "operator" || of[0].PersonID != person || of[0].ClientID != client {
		t.Errorf("events %s: %+v", kind, of)
	}
}

// An operator sees where somebody is signed in, with what was given away there, and
// ends one session or all; what has offline_access lives on.
func TestAnOperatorEndsSessions(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp, other := p.Client("web", providertest.FirstParty), p.Client("other", providertest.FirstParty)
		one, two := p.Browser().SignIn("ada"), p.Browser().SignIn("ada")
		first := rp.Exchange(one.Authorize(rp, "openid")).OK()
		other.Exchange(one.Authorize(other, "openid")).OK()
		second := rp.Exchange(two.Authorize(rp, "openid")).OK()
		offline := rp.Exchange(two.Authorize(rp, "openid offline_access")).OK()
		bobs := rp.Exchange(p.Browser().SignIn("bob").Authorize(rp, "openid")).OK()
		ada, ctx := p.Person("ada").ID, t.Context()

		living, err := p.Sessions.List(ctx, ada, storage.Page{})
		if err != nil || len(living.Items) != 2 || living.Items[0].ACR != "aal1" || !slices.Equal(living.Items[0].Clients, []string{"other", "web"}) ||
			!slices.Equal(living.Items[1].Clients, []string{"web"}) {
			t.Fatalf("%+v, %v", living.Items, err)
		}
		id := string(living.Items[0].ID)
		if err := p.Sessions.EndByID(ctx, id, "operator", events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		if err := p.Sessions.EndByID(ctx, id, "operator", events.ActorOperator); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("ended again: %v", err)
		}
		rp.Refresh(first.Refresh).WantError("invalid_grant")
		p.Userinfo(first.Access).WantStatus(http.StatusUnauthorized)
		one.Ask(rp, "openid", providertest.With("prompt", "none")).WantError("login_required")
		second = rp.Refresh(second.Refresh).OK()

		if err := p.Sessions.EndAll(ctx, ada, "operator", events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		if err := p.Sessions.EndAll(ctx, ada, "operator", events.ActorOperator); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("all ended again: %v", err)
		}
		rp.Refresh(second.Refresh).WantError("invalid_grant")
		two.Ask(rp, "openid", providertest.With("prompt", "none")).WantError("login_required")
		rp.Refresh(offline.Refresh).OK()
		rp.Refresh(bobs.Refresh).OK()
		for _, kind := range []string{"session.ended", "person.signed_out"} {
			wantEvent(t, p, kind, ada, "")
		}
	})
}

// An operator ends one grant: its tokens are dead at once, and no others.
func TestAnOperatorRevokesAGrant(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp, other := p.Client("web", providertest.FirstParty), p.Client("other", providertest.FirstParty)
		browser := p.Browser().SignIn("ada")
		first := rp.Exchange(browser.Authorize(rp, "openid offline_access")).OK()
		second := rp.Exchange(browser.Authorize(rp, "openid")).OK()
		other.Exchange(browser.Authorize(other, "openid")).OK()
		ada, ctx := p.Person("ada").ID, t.Context()
		all, err := p.Grants.List(ctx, ada, "", storage.Page{})
		if err != nil || len(all.Items) != 3 {
			t.Fatalf("%d grants, %v", len(all.Items), err)
		}
		of, err := p.Grants.List(ctx, ada, "web", storage.Page{})
		if err != nil || len(of.Items) != 2 || !of.Items[0].Living || !of.Items[0].Grant.Offline {
			t.Fatalf("%+v, %v", of.Items, err)
		}
		id := string(of.Items[0].Grant.ID)
		if gid := p.Verify(first.Access).Claims["gid"]; gid != id {
			t.Errorf("listed %s, the token says %v", id, gid)
		}
		if err := p.Grants.RevokeByID(ctx, id, events.ActorOperator, "operator"); err != nil {
			t.Fatal(err)
		}
		if err := p.Grants.RevokeByID(ctx, id, events.ActorOperator, "operator"); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("revoked again: %v", err)
		}
		rp.Refresh(first.Refresh).WantError("invalid_grant")
		p.Userinfo(first.Access).WantStatus(http.StatusUnauthorized)
		rp.Introspect(first.Access).WantInactive()
		rp.Refresh(second.Refresh).OK()
		if of, err = p.Grants.List(ctx, ada, "web", storage.Page{}); err != nil || len(of.Items) != 1 {
			t.Errorf("%d grants left, %v", len(of.Items), err)
		}
		if g, err := p.Grants.Show(ctx, id); err != nil || g.Living || g.Grant.RevokedWhy != "operator" {
			t.Errorf("%+v, %v", g, err)
		}
		wantEvent(t, p, "grant.revoked", ada, "web")
	})
}

// Who is erased leaves no row that names them but events; their tokens are dead, and
// whoever has their address next is somebody else (OWASP ASVS 5.0 section 14.2.4).
func TestAnErasedPersonIsGone(t *testing.T) {
	t.Parallel()
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Start(t, providertest.On(url))
		rp := p.Client("web")
		p.Person("eve")
		before := providertest.CountRows(t, url)
		join(t, p, "ada", "shop")
		browser := p.Browser().SignIn("ada")
		tokens := rp.Exchange(browser.Authorize(rp, "openid offline_access")).OK()
		ada := p.Person("ada")
		if err := p.Directory.Delete(t.Context(), "ada@example.com", events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		if err := p.Directory.Delete(t.Context(), "ada@example.com", events.ActorOperator); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("again: %v", err)
		}
		rp.Refresh(tokens.Refresh).WantError("invalid_grant")
		p.Userinfo(tokens.Access).WantStatus(http.StatusUnauthorized)
		rp.Introspect(tokens.Access).WantInactive()
		browser.Ask(rp, "openid", providertest.With("prompt", "none")).WantError("login_required")
		after := providertest.CountRows(t, url)
		for _, table := range []string{"persons", "identifiers", "passwords", "sessions", "session_clients", "devices", "grants", "consents", "histories", "decisions", "members"} {
			if before[table] != after[table] {
				t.Errorf("%s: %d rows before there was such a person, %d when they are gone", table, before[table], after[table])
			}
		}
		wantEvent(t, p, "person.deleted", ada.ID, "")
		if again := p.Person("ada"); again.Sub == ada.Sub {
			t.Error("somebody else has the subject")
		}
		rp.Refresh(tokens.Refresh).WantError("invalid_grant")
	})
}

// A closed account that is opened again signs in anew: what ended stays ended.
func TestAnEnabledPersonSignsInAnew(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		browser := p.Browser().SignIn("ada")
		tokens := rp.Exchange(browser.Authorize(rp, "openid offline_access")).OK()
		if _, err := p.Directory.Enable(t.Context(), "ada@example.com", events.ActorOperator); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("an open account: %v", err)
		}
		if _, err := p.Directory.Disable(t.Context(), "ada@example.com", events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		if person, err := p.Directory.Enable(t.Context(), "ada@example.com", events.ActorOperator); err != nil || !person.DisabledAt.IsZero() {
			t.Fatal(person, err)
		}
		rp.Refresh(tokens.Refresh).WantError("invalid_grant")
		browser.Ask(rp, "openid", providertest.With("prompt", "none")).WantError("login_required")
		rp.Exchange(p.Browser().SignIn("ada").Authorize(rp, "openid")).OK()
		wantEvent(t, p, "person.enabled", p.Person("ada").ID, "")
	})
}

// Whether a resource may go costs the same with however many clients: what is read of
// them is a few ids.
func TestWhoHasAScopeCostsOneStatement(t *testing.T) {
	p := providertest.Start(t, providertest.On(providertest.Postgres(t)))
	p.Resource("https://cars.example", "cars")
	for i := range 30 {
		p.Client(fmt.Sprintf("c%02d", i), func(r *clients.Registration) { r.Scope = "openid cars" })
	}
	var err error
	sent := p.Statements.During(func() { err = p.Clients.DeleteResource(t.Context(), "https://cars.example", events.ActorOperator) })
	if err == nil || !strings.Contains(err.Error(), "c00, c01, c02, c03, c04 and others") {
		t.Errorf("%v", err)
	}
	if len(sent) != 2 || !strings.Contains(sent[1], "LIMIT") || strings.Contains(sent[1], "*") {
		t.Errorf("it is read and looked for by %q", sent)
	}
}

// A page of a list costs one or two statements, however much is in it.
func TestListsCostTwoStatementsAPage(t *testing.T) {
	p := providertest.Start(t, providertest.On(providertest.Postgres(t)))
	rp := p.Client("web", providertest.FirstParty)
	join(t, p, "ada", "shop", "bank")
	for _, who := range []string{"ada", "ada", "bob", "eve"} {
		rp.Exchange(p.Browser().SignIn(who).Authorize(rp, "openid")).OK()
	}
	ada, ctx := p.Person("ada").ID, t.Context()
	for name, list := range map[string]struct {
		most int
		read func(storage.Page) (int, error)
	}{
		"people":         {2, func(pg storage.Page) (int, error) { return rowsOf(p.Directory.List(ctx, "", pg)) }},
		"people, search": {2, func(pg storage.Page) (int, error) { return rowsOf(p.Directory.List(ctx, "a", pg)) }},
		"groups":         {1, func(pg storage.Page) (int, error) { return rowsOf(p.Directory.Groups(ctx, pg)) }},
		"groups of":      {2, func(pg storage.Page) (int, error) { return rowsOf(p.Directory.GroupsOf(ctx, string(ada), pg)) }},
		"members":        {2, func(pg storage.Page) (int, error) { return rowsOf(p.Directory.Members(ctx, "shop", pg)) }},
		"sessions":       {2, func(pg storage.Page) (int, error) { return rowsOf(p.Sessions.List(ctx, ada, pg)) }},
		"grants":         {1, func(pg storage.Page) (int, error) { return rowsOf(p.Grants.List(ctx, ada, "web", pg)) }},
	} {
		for _, page := range []storage.Page{{}, {Limit: 1}} {
			var rows int
			var err error
			sent := p.Statements.During(func() { rows, err = list.read(page) })
			if err != nil || rows == 0 || len(sent) > list.most {
				t.Errorf("%s: %d rows by %d statements, at most %d, %v: %q", name, rows, len(sent), list.most, err, sent)
			}
		}
	}
}

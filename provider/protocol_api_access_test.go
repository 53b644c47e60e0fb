package provider_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// items are the entries of a list of the API, page by page.
func items(t *testing.T, op *providertest.API, p *providertest.P, path string) (all []map[string]any) {
	t.Helper()
	for pages := 0; path != ""; pages++ {
		if pages > 20 {
			t.Fatal("no last page")
		}
		page := op.Do(http.MethodGet, path, nil).WantStatus(http.StatusOK).JSON()
		for _, item := range page["items"].([]any) {
			all = append(all, item.(map[string]any))
		}
		next, _ := page["next"].(string)
		path = strings.TrimPrefix(next, p.URL("/api/v1"))
	}
	return all
}

// A program sees where a person is signed in and what clients may do for them, and
// takes it away: a session, all of them, a grant, a consent.
func TestAPIAccessIsSeenAndEnded(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		web, shop := p.Client("web"), p.Client("shop")
		one, two := p.Browser().SignIn("ada"), p.Browser().SignIn("ada")
		first := web.Exchange(one.Authorize(web, "openid email")).OK()
		second := web.Exchange(two.Authorize(web, "openid email")).OK()
		third := shop.Exchange(two.Authorize(shop, "openid")).OK()
		bobs := web.Exchange(p.Browser().SignIn("bob").Authorize(web, "openid")).OK()
		ada := p.Person("ada")
		at := "/users/" + ada.Sub
		op := p.API("ops", clients.ScopeSessionsRead, clients.ScopeSessionsWrite, clients.ScopeGrantsRead, clients.ScopeGrantsWrite,
			clients.ScopeConsentsRead, clients.ScopeConsentsWrite)

		sessions := items(t, op, p, at+"/sessions?limit=1")
		if len(sessions) != 2 || sessions[0]["user_id"] != string(ada.ID) || sessions[0]["acr"] != "aal1" || len(sessions[1]["client_ids"].([]any)) != 2 {
			t.Fatalf("sessions %v", sessions)
		}
		if all, shops := items(t, op, p, at+"/grants?limit=1"), items(t, op, p, at+"/grants?limit=1&client_id=shop"); len(all) != 3 || len(shops) != 1 || shops[0]["client_id"] != "shop" {
			t.Errorf("grants %v, of shop %v", all, shops)
		}
		webs := items(t, op, p, "/clients/web/grants?limit=2")
		if len(webs) != 3 || webs[0]["user_id"] != string(ada.ID) || webs[2]["user_id"] != string(p.Person("bob").ID) || webs[0]["living"] != true {
			t.Errorf("grants of web %v", webs)
		}
		op.Do(http.MethodGet, "/clients/none/grants", nil).WantProblem(http.StatusNotFound, "")
		agreed := items(t, op, p, at+"/consents?limit=1")
		if len(agreed) != 2 || agreed[0]["client_id"] != "shop" || agreed[1]["client_id"] != "web" || agreed[1]["agreed"] != true {
			t.Errorf("consents %v", agreed)
		}

		end := "/sessions/" + sessions[0]["id"].(string)
		op.Do(http.MethodDelete, end, nil).WantStatus(http.StatusNoContent)
		op.Do(http.MethodDelete, end, nil).WantProblem(http.StatusNotFound, "")
		web.Refresh(first.Refresh).WantError("invalid_grant")

		grant := "/grants/" + webs[1]["id"].(string)
		ended := op.Do(http.MethodPost, grant+"/revoke", nil, onceBy("k")).WantStatus(http.StatusOK)
		if g := ended.JSON(); g["living"] != false || g["revoked_at"] == nil || g["revoked_why"] != "operator" {
			t.Errorf("%s", ended)
		}
		if again := op.Do(http.MethodPost, grant+"/revoke", nil).WantStatus(http.StatusOK); string(again.Body) != string(ended.Body) {
			t.Errorf("%s\nagain %s", ended, again)
		}
		op.Do(http.MethodPost, "/grants/"+string(storage.NewID())+"/revoke", nil).WantProblem(http.StatusNotFound, "")
		if read := op.Do(http.MethodGet, grant, nil).WantStatus(http.StatusOK); string(read.Body) != string(ended.Body) {
			t.Errorf("%s\nread %s", ended, read)
		}
		web.Refresh(second.Refresh).WantError("invalid_grant")

		op.Do(http.MethodDelete, at+"/consents/shop", nil).WantStatus(http.StatusNoContent)
		op.Do(http.MethodDelete, at+"/consents/shop", nil).WantProblem(http.StatusNotFound, "")
		shop.Refresh(third.Refresh).WantError("invalid_grant")
		two.Ask(shop, "openid", providertest.With("prompt", "none")).WantError("consent_required")

		for range 2 { // who is signed in nowhere stays so
			op.Do(http.MethodDelete, at+"/sessions", nil).WantStatus(http.StatusNoContent)
		}
		two.Ask(web, "openid", providertest.With("prompt", "none")).WantError("login_required")
		web.Refresh(bobs.Refresh).OK()
		wantActs(t, p, string(ada.ID), "session.ended", "grant.revoked", "consent.withdrawn", "person.signed_out")
	})
}

// A program reads what happened by filters, newest first, with what is personal, which
// goes when somebody is erased.
func TestAPIEventsAreRead(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		op := p.API("ops", clients.ScopeEventsRead, clients.ScopeUsersWrite)
		user := op.Do(http.MethodPost, "/users", map[string]any{"email": "ada@example.com"}).WantStatus(http.StatusCreated).JSON()
		id := user["id"].(string)
		op.Do(http.MethodPatch, "/users/"+id, map[string]any{"name": "Ada"}, ifMatch("*")).WantStatus(http.StatusOK)
		of := func(query string) []map[string]any {
			t.Helper()
			if _, err := p.Events.Sequence(t.Context()); err != nil {
				t.Fatal(err)
			}
			return items(t, op, p, "/events?"+query)
		}
		all := of("limit=1&user_id=" + id)
		if len(all) != 2 || all[0]["kind"] != "person.updated" || all[1]["kind"] != "person.created" || all[0]["actor"] != "client" || all[0]["actor_id"] != "ops" ||
			all[0]["number"].(float64) <= all[1]["number"].(float64) {
			t.Fatalf("events %v", all)
		}
		if address, _ := all[0]["personal"].(map[string]any)["address"].(string); address == "" || all[0]["erased"] != nil {
			t.Errorf("event %v: no address", all[0])
		}
		for query, want := range map[string]int{
			"kind=person.created": 1, "user_id=" + user["sub"].(string): 2, "actor=client&kind=person.updated": 1, "actor_id=ops": 2, "outcome=failure": 0,
			"request_id=" + all[0]["request_id"].(string): 1, "client_id=ops": 1, "until=2000-01-01T00:00:00Z": 0, "user_id=" + id + "&since=2000-01-01T00:00:00%2B02:00": 2,
			"user_id=" + string(storage.NewID()): 0, "kind=%27": 0,
		} {
			if got := of(query); len(got) != want {
				t.Errorf("%s: %d events, want %d: %v", query, len(got), want, got)
			}
		}
		older := "before=" + strconv.FormatFloat(all[0]["number"].(float64), 'f', 0, 64) + "&user_id=" + id
		if got := of(older + "&limit=1"); len(got) != 1 || got[0]["kind"] != "person.created" {
			t.Errorf("before the newest: %v", got)
		}
		for query, field := range map[string]string{
			"before=0": "before", "before=-1": "before", "before=x": "before",
			"actor=boss": "actor", "outcome=x": "outcome", "since=yesterday": "since", "user_id=p_nobody": "user_id", "user_id=ada@example.com": "user_id", "kind=" + strings.Repeat("x", 65): "kind",
		} {
			op.Do(http.MethodGet, "/events?"+query, nil).WantProblem(http.StatusBadRequest, field)
		}
		op.Do(http.MethodDelete, "/users/"+id, nil, ifMatch("*")).WantStatus(http.StatusNoContent)
		for _, e := range of("user_id=" + id) {
			if before := e["number"].(float64) <= all[0]["number"].(float64); e["personal"] != nil || before && e["erased"] != true {
				t.Errorf("event %v of somebody who is erased", e)
			}
		}
	})
}

// A read costs as much whatever there is: so many statements on Postgres.
func TestAPIReadsAreBounded(t *testing.T) {
	p := providertest.Start(t, providertest.On(providertest.Postgres(t)), generous)
	names := apiHouse(t, p)
	if err := p.Store.SetAsking(t.Context(), p.Person("victim").ID, string(policy.AskSensitive)); err != nil {
		t.Fatal(err)
	}
	op := p.API("ops", clients.APIScopes()...)
	shop := p.Client("shop", providertest.FirstParty)
	for _, name := range []string{"bob", "eve", "kim"} {
		who := p.Person(name)
		join(t, p, name, "group-of-"+name)
		op.Do(http.MethodPut, "/groups/wronged/members/"+who.Sub, nil).WantStatus(http.StatusNoContent)
	}
	for range 3 {
		p.Browser().SignIn("victim").Authorize(shop, "openid")
	}
	const (
		admitted = 2 // the token lives, and its client is within its rate
		kinds    = 4 // the person, and what they have of each kind of factor: no read needs more
	)
	tried := 0
	for _, o := range apiOperations(t, p) {
		if o.Method != http.MethodGet {
			continue
		}
		tried++
		at := o.at(t, names)
		op.Do(http.MethodGet, at, nil).WantStatus(http.StatusOK) // statements are prepared
		if sent := p.Statements.During(func() { op.Do(http.MethodGet, at, nil).WantStatus(http.StatusOK) }); len(sent) > admitted+kinds {
			t.Errorf("%s: %d statements:\n%s", o.ID, len(sent), strings.Join(sent, "\n"))
		}
	}
	if tried < 15 {
		t.Errorf("%d reads were tried", tried)
	}
}

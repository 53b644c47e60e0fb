package provider_test

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// A person's life, by the API alone. They sign in with the password that they were
// given, which is read nowhere.
func TestAPIUsersLive(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		op := p.API("ops", clients.ScopeUsersRead, clients.ScopeUsersWrite)
		made := op.Do(http.MethodPost, "/users", map[string]any{
			"email": "Ada@example.com", "name": "Ada", "given_name": "Ada", "address": map[string]any{"locality": "London", "country": "UK"}, "password": providertest.Password,
		}).WantStatus(http.StatusCreated)
		user := made.JSON()
		id, sub := user["id"].(string), user["sub"].(string)
		if user["email"] != "Ada@example.com" || user["email_verified"] != true || user["has_password"] != true || user["given_name"] != "Ada" ||
			made.Header.Get("Location") != p.URL("/api/v1/users/"+id) || strings.Contains(string(made.Body), providertest.Password) {
			t.Errorf("%s: %v", made, made.Header)
		}
		p.Browser().SignIn("ada").Authorize(rp, "openid")

		for _, at := range []string{id, sub} {
			if read := op.Do(http.MethodGet, "/users/"+at, nil).WantStatus(http.StatusOK); string(read.Body) != string(made.Body) || read.Header.Get("ETag") != made.Header.Get("ETag") {
				t.Errorf("%s\nmade %s", read, made)
			}
		}
		op.Do(http.MethodGet, "/users/ada@example.com", nil).WantProblem(http.StatusNotFound, "") // paths end in logs

		at := "/users/" + id
		op.Do(http.MethodPatch, at, map[string]any{"locale": "sv"}).WantProblem(http.StatusPreconditionRequired, "If-Match")
		changed := op.Do(http.MethodPatch, at, map[string]any{"locale": "sv", "given_name": nil, "address": map[string]any{"country": nil}}, ifMatch(made.Header.Get("ETag"))).WantStatus(http.StatusOK)
		if m := changed.JSON(); m["locale"] != "sv" || m["given_name"] != nil || m["address"].(map[string]any)["locality"] != "London" || m["address"].(map[string]any)["country"] != nil {
			t.Errorf("%s", changed)
		}
		// The clock stands still, and yet this is another state.
		op.Do(http.MethodPatch, at, map[string]any{"locale": "de"}, ifMatch(made.Header.Get("ETag"))).WantProblem(http.StatusPreconditionFailed, "If-Match")
		for _, member := range []string{"email", "password", "sub", "id", "has_password", "colour"} {
			op.Do(http.MethodPatch, at, map[string]any{member: "x"}, ifMatch("*")).WantProblem(http.StatusBadRequest, member)
		}
		op.Do(http.MethodPatch, at, map[string]any{"birthdate": "yesterday"}, ifMatch("*")).WantProblem(http.StatusBadRequest, "birthdate")

		op.Do(http.MethodPost, at+"/disable", nil, ifMatch(made.Header.Get("ETag"))).WantProblem(http.StatusPreconditionFailed, "If-Match")
		off := op.Do(http.MethodPost, at+"/disable", nil, ifMatch(changed.Header.Get("ETag"))).WantStatus(http.StatusOK)
		again := op.Do(http.MethodPost, at+"/disable", nil).WantStatus(http.StatusOK)
		if off.JSON()["disabled_at"] == nil || string(again.Body) != string(off.Body) {
			t.Errorf("%s\nagain %s", off, again)
		}
		on := op.Do(http.MethodPost, at+"/enable", nil).WantStatus(http.StatusOK)
		if on.JSON()["disabled_at"] != nil || on.Header.Get("ETag") == off.Header.Get("ETag") {
			t.Errorf("%s", on)
		}
		op.Do(http.MethodDelete, at, nil).WantProblem(http.StatusPreconditionRequired, "If-Match")
		op.Do(http.MethodDelete, at, nil, ifMatch(off.Header.Get("ETag"))).WantProblem(http.StatusPreconditionFailed, "If-Match")
		op.Do(http.MethodDelete, at, nil, ifMatch(on.Header.Get("ETag"))).WantStatus(http.StatusNoContent)
		op.Do(http.MethodGet, at, nil).WantProblem(http.StatusNotFound, "")
		wantActs(t, p, id, "person.created", "password.set", "person.updated", "person.disabled", "person.enabled", "person.disabled", "person.deleted")
	})
}

// Somebody gets a password, and signs in with it; with another one they are signed out,
// and the one before opens nothing. It is done once, however often it is sent.
func TestAPISetsPasswords(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		op := p.API("ops", clients.ScopeUsersRead, clients.ScopeUsersWrite)
		made := op.Do(http.MethodPost, "/users", map[string]any{"email": "ada@example.com"}).WantStatus(http.StatusCreated)
		id, tag := made.JSON()["id"].(string), made.Header.Get("ETag")
		at := "/users/" + id + "/set-password"
		set := func(password any, more ...func(*http.Request)) *providertest.Answer {
			return op.Do(http.MethodPost, at, map[string]any{"password": password}, more...)
		}
		for _, wrong := range []any{"too short", strings.Repeat("x", 1025), "doorstep is a long word", "ada is here, and not alone", nil, 15} {
			if a := set(wrong); a.Status != http.StatusBadRequest && a.Status != http.StatusRequestEntityTooLarge {
				t.Errorf("%v: %s", wrong, a)
			} else {
				a.WantProblem(a.Status, "password")
			}
		}
		op.Do(http.MethodPost, at, map[string]any{}).WantProblem(http.StatusBadRequest, "password")
		op.Do(http.MethodPost, at, map[string]any{"password": providertest.Password, "email": "x"}).WantProblem(http.StatusBadRequest, "email")
		op.Do(http.MethodPost, "/users/"+string(storage.NewID())+"/set-password", map[string]any{"password": providertest.Password}).WantProblem(http.StatusNotFound, "")
		op.Do(http.MethodPost, "/users/ada@example.com/set-password", map[string]any{"password": providertest.Password}).WantProblem(http.StatusNotFound, "")
		set(providertest.Password, ifMatch(`"1-x"`)).WantProblem(http.StatusPreconditionFailed, "If-Match")

		first := set(providertest.Password, ifMatch(tag)).WantStatus(http.StatusOK)
		if m := first.JSON(); m["has_password"] != true || m["id"] != id || strings.Contains(string(first.Body), providertest.Password) {
			t.Errorf("%s", first)
		}
		browser := p.Browser().SignIn("ada")
		tokens := rp.Exchange(browser.Authorize(rp, "openid offline_access")).OK()

		const other = "seven swans in a row"
		again := set(other, onceBy("other")).WantStatus(http.StatusOK)
		browser.Ask(rp, "openid", providertest.With("prompt", "none")).WantError("login_required")
		rp.Refresh(tokens.Refresh).WantError("invalid_grant")
		if err := verify(t, p, id, other); err != nil {
			t.Errorf("the new password: %v", err)
		}
		if err := verify(t, p, id, providertest.Password); !errors.Is(err, proof.ErrWrong) {
			t.Errorf("the password before: %v", err)
		}
		if replayed := set(other, onceBy("other")).WantStatus(http.StatusOK); string(replayed.Body) != string(again.Body) {
			t.Errorf("%s\nagain %s", again, replayed)
		}
		wantActs(t, p, id, "person.created", "password.set", "password.set", "session.ended", "grant.revoked")
	})
}

// verify proves a person's password.
func verify(t *testing.T, p *providertest.P, id, password string) error {
	t.Helper()
	person, err := p.Directory.Person(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Passwords.Verify(t.Context(), person, password)
	return err
}

// Who reads groups is told who is in them by id alone; their addresses and names are
// for who reads people.
func TestAttack83ReadingGroupsTellsNoAddresses(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		join(t, p, "ada", "shop")
		ada := p.Person("ada")
		member := func(scopes ...string) map[string]any {
			t.Helper()
			all := items(t, p.API("ops-"+strconv.Itoa(len(scopes)), scopes...), p, "/groups/shop/members")
			if len(all) != 1 || all[0]["user_id"] != string(ada.ID) || all[0]["sub"] != ada.Sub || all[0]["since"] == nil {
				t.Fatalf("members %v", all)
			}
			return all[0]
		}
		others := slices.DeleteFunc(clients.APIScopes(), func(s string) bool { return s == clients.ScopeUsersRead })
		if m := member(others...); m["email"] != nil || m["name"] != nil {
			t.Errorf("without users:read: %v", m)
		}
		if m := member(clients.ScopeGroupsRead, clients.ScopeUsersRead); m["email"] != "ada@example.com" || m["name"] != ada.Name {
			t.Errorf("with users:read: %v", m)
		}
	})
}

// wantActs fails the test unless the client ops did just this to a person.
func wantActs(t *testing.T, p *providertest.P, person string, kinds ...string) {
	t.Helper()
	all, err := p.Store.Events(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	var did []string
	for _, e := range all {
		if string(e.PersonID) == person && e.Actor == string(events.ActorClient) && e.ActorID == "ops" {
			did = append(did, e.Kind)
		}
	}
	if slices.Sort(did); !slices.Equal(did, slices.Sorted(slices.Values(kinds))) {
		t.Errorf("ops did %v, want %v", did, kinds)
	}
}

// Who is added has all that is right, or is not there at all.
func TestAPIUsersAreAddedWholeOrNot(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		p.Person("ada")
		op := p.API("ops", clients.ScopeUsersRead, clients.ScopeUsersWrite)
		for _, tc := range []struct {
			user   map[string]any
			status int
			field  string
		}{
			{map[string]any{}, http.StatusBadRequest, "email"},
			{map[string]any{"email": "x"}, http.StatusBadRequest, "email"},
			{map[string]any{"email": "ADA@example.com"}, http.StatusConflict, "email"},
			{map[string]any{"email": "bob@example.com", "password": "short"}, http.StatusBadRequest, "password"},
			{map[string]any{"email": "bob@example.com", "password": strings.Repeat("x", 2000)}, http.StatusRequestEntityTooLarge, "password"},
			{map[string]any{"email": "bob@example.com", "birthdate": "x"}, http.StatusBadRequest, "birthdate"},
			{map[string]any{"email": "bob@example.com", "locale": "???"}, http.StatusBadRequest, "locale"},
			{map[string]any{"email": "bob@example.com", "address": map[string]any{"planet": "x"}}, http.StatusBadRequest, "address.planet"},
			{map[string]any{"email": "bob@example.com", "sub": "p_x"}, http.StatusBadRequest, "sub"},
		} {
			op.Do(http.MethodPost, "/users", tc.user).WantProblem(tc.status, tc.field)
		}
		op.Do(http.MethodGet, "/users?search=%0a", nil).WantProblem(http.StatusBadRequest, "search")
		if found := op.Do(http.MethodGet, "/users?search=bob@", nil).JSON()["items"].([]any); len(found) != 0 {
			t.Errorf("%v was added", found)
		}
		made := op.Do(http.MethodPost, "/users", map[string]any{"email": "bob@example.com", "email_verified": false}).WantStatus(http.StatusCreated).JSON()
		if made["email_verified"] != false || made["has_password"] != false {
			t.Errorf("made %v", made)
		}
		found := op.Do(http.MethodGet, "/users?search=Bob@", nil).WantStatus(http.StatusOK).JSON()["items"].([]any)
		if len(found) != 1 || found[0].(map[string]any)["id"] != made["id"] {
			t.Errorf("found %v", found)
		}
	})
}

// A group's life, and its members', by the API alone.
func TestAPIGroupsLive(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		ada := p.Person("ada")
		op := p.API("ops", clients.ScopeGroupsRead, clients.ScopeGroupsWrite)
		made := op.Do(http.MethodPost, "/groups", map[string]any{"name": "Shop", "description": "Sells"}).WantStatus(http.StatusCreated)
		if made.JSON()["name"] != "shop" || !strings.HasPrefix(made.Header.Get("ETag"), `"1-`) || made.Header.Get("Location") != p.URL("/api/v1/groups/shop") {
			t.Errorf("%s: %v", made, made.Header)
		}
		op.Do(http.MethodPost, "/groups", map[string]any{"name": "SHOP"}).WantProblem(http.StatusConflict, "name")
		op.Do(http.MethodPost, "/groups", map[string]any{"name": "a b"}).WantProblem(http.StatusBadRequest, "name")
		changed := op.Do(http.MethodPatch, "/groups/shop", map[string]any{"description": nil}, ifMatch(made.Header.Get("ETag"))).WantStatus(http.StatusOK)
		if changed.JSON()["description"] != nil || !strings.HasPrefix(changed.Header.Get("ETag"), `"2-`) {
			t.Errorf("%s: %v", changed, changed.Header)
		}
		op.Do(http.MethodPatch, "/groups/shop", map[string]any{"description": "x"}, ifMatch(made.Header.Get("ETag"))).WantProblem(http.StatusPreconditionFailed, "If-Match")
		op.Do(http.MethodPatch, "/groups/shop", map[string]any{"name": "x"}, ifMatch("*")).WantProblem(http.StatusBadRequest, "name")

		member := "/groups/shop/members/" + ada.Sub
		for range 2 { // of who is in it nothing is done
			op.Do(http.MethodPut, member, nil).WantStatus(http.StatusNoContent)
		}
		in := op.Do(http.MethodGet, "/groups/shop/members", nil).WantStatus(http.StatusOK).JSON()["items"].([]any)
		if len(in) != 1 || in[0].(map[string]any)["user_id"] != string(ada.ID) || in[0].(map[string]any)["sub"] != ada.Sub {
			t.Errorf("members %v", in)
		}
		hers := op.Do(http.MethodGet, "/users/"+string(ada.ID)+"/groups", nil).WantStatus(http.StatusOK).JSON()["items"].([]any)
		if len(hers) != 1 || hers[0].(map[string]any)["name"] != "shop" {
			t.Errorf("groups %v", hers)
		}
		op.Do(http.MethodDelete, member, nil).WantStatus(http.StatusNoContent)
		op.Do(http.MethodDelete, member, nil).WantProblem(http.StatusNotFound, "")
		op.Do(http.MethodPut, "/groups/none/members/"+ada.Sub, nil).WantProblem(http.StatusNotFound, "group")
		op.Do(http.MethodPut, "/groups/shop/members/"+string(storage.NewID()), nil).WantProblem(http.StatusNotFound, "user_id")

		p.Client("shop", func(r *clients.Registration) { r.Owner = "shop" })
		op.Do(http.MethodDelete, "/groups/shop", nil, ifMatch("*")).WantProblem(http.StatusConflict, "name")
		if err := p.Clients.Delete(t.Context(), "shop", events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		op.Do(http.MethodDelete, "/groups/shop", nil, ifMatch(made.Header.Get("ETag"))).WantProblem(http.StatusPreconditionFailed, "If-Match")
		op.Do(http.MethodDelete, "/groups/shop", nil, ifMatch(changed.Header.Get("ETag"))).WantStatus(http.StatusNoContent)
		op.Do(http.MethodDelete, "/groups/operators", nil, ifMatch("*")).WantProblem(http.StatusConflict, "name")
		wantActs(t, p, string(ada.ID), "group.member_added", "group.member_removed")
	})
}

// Who writes groups, or people, makes no operator and changes none without the scope
// that says so, however the group is spelled; for others it is not asked for.
func TestAttack83WritingGroupsMakesNoOperator(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		boss, ada := p.Person("boss"), p.Person("ada")
		if err := p.Directory.AddMember(t.Context(), directory.Operators, boss.Sub, events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		all := clients.APIScopes()
		op := p.API("ops", slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == clients.ScopeOperatorsWrite })...)
		before := whole(t, p)
		notHeld := func(a *providertest.Answer, field string) {
			t.Helper()
			if code := a.WantProblem(http.StatusForbidden, field).JSON()["code"]; code != "scope_not_held" {
				t.Errorf("%s: code %v", a, code)
			}
			if a.Header.Values("WWW-Authenticate") != nil { // it is for what is wrong with the token (RFC 6750 section 3.1)
				t.Errorf("%s: challenge %q", a, a.Header.Get("WWW-Authenticate"))
			}
		}
		for _, group := range []string{"operators", "Operators", "OPERATORS", "%6fperators"} {
			notHeld(op.Do(http.MethodPut, "/groups/"+group+"/members/"+ada.Sub, nil), "group")
			notHeld(op.Do(http.MethodDelete, "/groups/"+group+"/members/"+boss.Sub, nil), "group")
		}
		for _, id := range []string{string(boss.ID), boss.Sub} {
			notHeld(op.Do(http.MethodPatch, "/users/"+id, map[string]any{"name": "X"}, ifMatch("*")), "user_id")
			notHeld(op.Do(http.MethodDelete, "/users/"+id, nil, ifMatch("*")), "user_id")
			notHeld(op.Do(http.MethodPost, "/users/"+id+"/disable", nil), "user_id")
			notHeld(op.Do(http.MethodPost, "/users/"+id+"/enable", nil), "user_id")
			notHeld(op.Do(http.MethodPost, "/users/"+id+"/set-password", map[string]any{"password": "whose sign-in opens the house"}), "user_id")
		}
		notHeld(op.Do(http.MethodPost, "/clients", map[string]any{"grant_types": []string{"client_credentials"}, "scope": clients.ScopeOperatorsWrite}), "scope")
		if whole(t, p) != before {
			t.Error("something was changed")
		}
		op.Do(http.MethodPost, "/users/"+string(ada.ID)+"/disable", nil).WantStatus(http.StatusOK)
		op.Do(http.MethodPost, "/users/"+string(ada.ID)+"/set-password", map[string]any{"password": "whose sign-in opens a shop"}).WantStatus(http.StatusOK)

		op = p.API("more", all...)
		op.Do(http.MethodPut, "/groups/operators/members/"+ada.Sub, nil).WantStatus(http.StatusNoContent)
		op.Do(http.MethodPost, "/users/"+string(ada.ID)+"/enable", nil).WantStatus(http.StatusOK)
		op.Do(http.MethodDelete, "/groups/operators/members/"+boss.Sub, nil).WantStatus(http.StatusNoContent)
		op.Do(http.MethodDelete, "/users/"+boss.Sub, nil, ifMatch("*")).WantStatus(http.StatusNoContent)
	})
}

// Nobody leaves a house that nobody can run, also not whoever may say who runs it.
func TestAPITheLastOperatorStays(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		ada, eve := p.Person("ada"), p.Person("eve")
		op := p.API("ops", clients.ScopeGroupsWrite, clients.ScopeUsersWrite, clients.ScopeOperatorsWrite)
		op.Do(http.MethodPut, "/groups/operators/members/"+ada.Sub, nil).WantStatus(http.StatusNoContent)
		before := whole(t, p)
		for _, a := range []*providertest.Answer{
			op.Do(http.MethodDelete, "/groups/operators/members/"+ada.Sub, nil),
			op.Do(http.MethodPost, "/users/"+ada.Sub+"/disable", nil),
			op.Do(http.MethodDelete, "/users/"+ada.Sub, nil, ifMatch("*")),
		} {
			a.WantProblem(http.StatusConflict, "person")
		}
		if whole(t, p) != before {
			t.Error("something was changed")
		}
		op.Do(http.MethodPut, "/groups/operators/members/"+eve.Sub, nil).WantStatus(http.StatusNoContent)
		op.Do(http.MethodDelete, "/users/"+ada.Sub, nil, ifMatch("*")).WantStatus(http.StatusNoContent)
	})
}

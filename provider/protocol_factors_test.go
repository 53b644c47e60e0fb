package provider_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// An operator removes what opens an account: it opens nothing any more, its owner is
// told, the event says by whom, and their sessions go on.
func TestAnOperatorRemovesAFactor(t *testing.T) {
	box := providertest.NewMailbox(t)
	p := providertest.Start(t, providertest.WithMailbox(box))
	rp := p.Client("web", providertest.FirstParty)
	d := p.Device(phone)
	b := addPasskey(t, p, "ada", d)
	ada, op := p.Person("ada"), p.API("op", clients.ScopeUsersRead, clients.ScopeUsersWrite)
	has, err := p.Store.PasskeysOf(t.Context(), ada.ID)
	if err != nil || len(has) != 1 {
		t.Fatalf("%v, %v", has, err)
	}
	all := "/users/" + string(ada.ID) + "/factors"
	one := all + "/" + string(has[0].ID)
	if got := string(op.Do(http.MethodGet, all, nil).WantStatus(http.StatusOK).Body); !strings.Contains(got, string(has[0].ID)) || !strings.Contains(got, `"passkey"`) {
		t.Errorf("%s does not name the passkey %s", got, has[0].ID)
	}
	bobs := "/users/" + string(p.Person("bob").ID) + "/factors/" + string(has[0].ID)
	op.Do(http.MethodDelete, bobs, nil).WantStatus(http.StatusNotFound)
	wantPasskeys(t, p, "ada", 1)
	page := signInPage(t, p, rp)

	op.Do(http.MethodDelete, one, nil).WantStatus(http.StatusNoContent)
	wantPasskeys(t, p, "ada", 0)
	page.answer(d).WantStatus(wrong)
	op.Do(http.MethodDelete, one, nil).WantStatus(http.StatusNotFound)
	rp.Exchange(b.Authorize(rp, "openid")).OK() // signed in as before

	p.DeliverMails()
	removed := func(m providertest.Received) bool {
		return m.To == ada.Email && strings.Contains(m.Text, has[0].Name) && strings.Contains(strings.ToLower(m.Subject), "removed")
	}
	if got := box.Got(); !slices.ContainsFunc(got, removed) {
		t.Errorf("no mail tells of the end: %+v", got)
	}
	recorded, err := p.Store.Events(t.Context(), 50)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(recorded, func(e storage.Event) bool {
		return e.Kind == string(events.FactorRemoved) && e.PersonID == ada.ID && e.Actor == string(events.ActorClient) && e.ActorID == "op"
	}) {
		t.Error("no event says who removed it")
	}
}

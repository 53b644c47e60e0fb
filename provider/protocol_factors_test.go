package provider_test

import (
	"net/http"
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

// Who is asked for a second factor less often is told of it, with the link of who was not
// them; who is asked more often is not.
func TestALoweredAskingIsTold(t *testing.T) {
	t.Parallel()
	eachTold(t, func(t *testing.T, h *toldHouse) {
		seed := h.addsTOTP(h.Browser().SignIn("ada"))
		b := remembered(t, h.P, h.Client("web", providertest.FirstParty), h.Browser().SignIn("ada"), seed)
		h.DeliverMails()
		h.box.Got() // of the authenticator
		says := func(asking string) []providertest.Received {
			t.Helper()
			b.Send(b.Filled(h.URL(web.PathSecurityAsking), providertest.With("asking", asking))).WantStatus(http.StatusSeeOther)
			h.DeliverMails()
			return h.box.Got()
		}
		if got := says("always"); len(got) != 0 {
			t.Errorf("raised, and %d mails tell of it", len(got))
		}
		got := says("sensitive")
		if len(got) != 1 {
			t.Fatalf("lowered, and %d mails tell of it", len(got))
		}
		told := got[0]
		if len(told.Links()) != 1 || !strings.Contains(told.Subject, "less often") {
			t.Fatalf("%s: %v", told.Subject, told.Links())
		}
		// Its link takes that back as well.
		h.Clock.Advance(time.Minute)
		owner := h.Browser().SignIn("ada")
		at := taken(owner, told.Links()[0])
		if at.URL.Path == web.PathTOTP {
			owner.Send(owner.Filled(h.URL(at.URL.RequestURI()), providertest.With("code", code(t, seed, h.Clock.Now())))).WantStatus(http.StatusSeeOther)
			at = owner.Walk(nil, h.URL(web.PathDisown)+"?i="+at.URL.Query().Get("i"))
		}
		owner.Send(owner.Filled(h.URL(at.URL.RequestURI()))).WantStatus(http.StatusOK)
		if got := h.Person("ada").Asking; got != "unusual" {
			t.Errorf("asked %q", got)
		}
	})
}

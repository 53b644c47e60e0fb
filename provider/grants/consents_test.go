package grants

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

// What a client may do is what was agreed to and what grants still let it; the end
// of it is one unit with one event.
func TestAccessIsListedAndWithdrawn(t *testing.T) {
	s, store := start(t)
	ada, bob := person(t, store), person(t, store)
	at := storage.At(noon.Add(-time.Hour))
	grant := func(who storage.ID, client string, made storage.Time, scopes ...string) *storage.Grant {
		t.Helper()
		g := &storage.Grant{
			ID: storage.NewID(), ClientID: client, PersonID: who, Sub: "p_1", Scopes: scopes, Resources: storage.Strings{"https://api.example"},
			CodeUsedAt: storage.At(noon), ExpiresAt: storage.At(noon.Add(time.Hour)), CreatedAt: made,
		}
		if err := store.CreateGrant(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		return g
	}
	for _, who := range []storage.ID{ada, bob} {
		if err := s.Give(t.Context(), who, "shop", nil, Asked{Scopes: []string{"openid"}}); err != nil {
			t.Fatal(err)
		}
	}
	shops := []*storage.Grant{grant(ada, "shop", at, "openid", "email"), grant(ada, "shop", at, "openid")}
	ours := grant(ada, "ours", storage.At(noon), "openid")
	grant(ada, "ours", at, "openid", "phone")
	bobs := grant(bob, "shop", at, "openid")

	list := func() []Access {
		t.Helper()
		all, err := s.AccessTo(t.Context(), ada)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	all := list()
	if len(all) != 2 || all[0].ClientID != "ours" || all[0].Agreed || !all[0].Since.Equal(at.Time) || !slices.Equal(all[0].Scopes, []string{"openid", "phone"}) {
		t.Fatalf("listed %+v", all)
	}
	if shop := all[1]; !shop.Agreed || !shop.Since.Equal(noon) || !slices.Equal(shop.Scopes, []string{"email", "openid"}) || !slices.Equal(shop.Resources, []string{"https://api.example"}) {
		t.Errorf("the shop: %+v", shop)
	}

	if err := s.Withdraw(t.Context(), ada, "nobody", events.ActorPerson); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("from a client without access: %v", err)
	}
	if err := s.Withdraw(t.Context(), ada, "shop", events.ActorPerson); err != nil {
		t.Fatal(err)
	}
	if all := list(); len(all) != 1 || all[0].ClientID != "ours" {
		t.Errorf("left is %+v", all)
	}
	dead := func(g *storage.Grant) bool {
		t.Helper()
		state, err := store.GrantByID(t.Context(), g.ID)
		if err != nil {
			t.Fatal(err)
		}
		revoked, err := store.Revocations(t.Context(), map[string]string{storage.RevokedGrant: string(g.ID)})
		if err != nil {
			t.Fatal(err)
		}
		if (len(revoked) == 1) == state.Alive(noon) {
			t.Errorf("the grant says alive %v, the revocations are %v", state.Alive(noon), revoked)
		}
		return len(revoked) == 1
	}
	if !dead(shops[0]) || !dead(shops[1]) || dead(ours) || dead(bobs) {
		t.Error("other grants are dead than those of the pair")
	}
	rows, err := store.Events(t.Context(), 10)
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d events, %v, want two consents and their withdrawal", len(rows), err)
	}
	i := slices.IndexFunc(rows, func(e storage.Event) bool { return e.Kind == "consent.withdrawn" })
	if i < 0 || rows[i].Actor != "person" || rows[i].PersonID != ada || rows[i].ClientID != "shop" ||
		string(rows[i].Document.V) != `{"scopes":["email","openid"],"resources":["https://api.example"]}` {
		t.Errorf("events %+v", rows)
	}
	if err := s.Withdraw(t.Context(), ada, "shop", events.ActorPerson); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("again: %v", err)
	}
	// A client of the operator's own has access without a consent.
	if err := s.Withdraw(t.Context(), ada, "ours", events.ActorOperator); err != nil || !dead(ours) || len(list()) != 0 {
		t.Errorf("without a consent: %v, left %+v", err, list())
	}
	// A code that waits is no access yet, and is taken away.
	waits := &storage.Grant{
		ID: storage.NewID(), ClientID: "ours", PersonID: ada, Sub: "p_1", Withdrawals: 1, CodeHash: []byte("code"), ExpiresAt: storage.At(noon.Add(time.Hour)), CreatedAt: at,
	}
	if err := store.CreateGrant(t.Context(), waits); err != nil {
		t.Fatal(err)
	}
	if len(list()) != 0 || dead(waits) {
		t.Errorf("a code that waits: listed %+v, dead %v", list(), dead(waits))
	}
	if err := s.Withdraw(t.Context(), ada, "ours", events.ActorPerson); err != nil || !dead(waits) {
		t.Errorf("of a code that waits: %v", err)
	}
}

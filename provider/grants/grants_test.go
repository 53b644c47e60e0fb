package grants

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func start(t testing.TB) (*Service, *storage.Store) {
	t.Helper()
	store, err := storage.Open(t.Context(), "sqlite://"+filepath.ToSlash(filepath.Join(t.TempDir(), "grants.db")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if _, err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return noon }
	return New(store, events.New(store, nil, now), [32]byte{1}, now), store
}

func person(t *testing.T, store *storage.Store) storage.ID {
	t.Helper()
	at := storage.At(noon)
	p := &storage.Person{ID: storage.NewID(), Sub: string(storage.NewID()), Claims: storage.Document(storage.Raw("{}")), CreatedAt: at, UpdatedAt: at}
	if err := store.CreatePerson(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return p.ID
}

func client(t *testing.T, store *storage.Store, id string) {
	t.Helper()
	at := storage.At(noon)
	if err := store.CreateClient(t.Context(), &storage.Client{ID: id, Version: 1, CreatedAt: at, UpdatedAt: at}); err != nil {
		t.Fatal(err)
	}
}

func TestCovers(t *testing.T) {
	given := &storage.Consent{Scopes: storage.Strings{"openid", "email"}, Resources: storage.Strings{"https://api.example"}, CreatedAt: storage.At(noon)}
	for _, tc := range []struct {
		what              string
		consent           *storage.Consent
		scopes, resources []string
		want              bool
	}{
		{"all of it", given, []string{"email", "openid"}, []string{"https://api.example"}, true},
		{"less", given, []string{"openid"}, nil, true},
		{"nothing", given, nil, nil, true},
		{"one scope more", given, []string{"openid", "email", "phone"}, nil, false},
		{"a scope in another case", given, []string{"OpenID"}, nil, false},
		{"one resource more", given, []string{"openid"}, []string{"https://api.example", "https://other.example"}, false},
		{"no consent", nil, []string{"openid"}, nil, false},
		{"no consent, and nothing wanted", nil, nil, nil, false},
		{"none was found", &storage.Consent{}, nil, nil, false},
	} {
		if got := Covers(tc.consent, Asked{Scopes: tc.scopes, Resources: tc.resources}); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.what, got, tc.want)
		}
	}
}

// TestConsentCoversClaims: a claim is agreed to by its name, or by the scope that
// stands for it (OIDC Core sections 5.4 and 5.5).
func TestConsentCoversClaims(t *testing.T) {
	given := &storage.Consent{Scopes: storage.Strings{"openid", "email"}, Claims: storage.Strings{"birthdate"}, CreatedAt: storage.At(noon)}
	for _, tc := range []struct {
		asked Asked
		want  bool
	}{
		{Asked{Claims: []string{"birthdate"}}, true},
		{Asked{Claims: []string{"email", "email_verified"}}, true}, // of a scope that was agreed to
		{Asked{Claims: []string{"name"}}, false},
		{Asked{Claims: []string{"birthdate", "address"}}, false},
		{Asked{Scopes: []string{"profile"}, Claims: []string{"name"}}, false}, // the scope itself was not
		{Asked{Scopes: []string{"openid"}}, true},
	} {
		if got := Covers(given, tc.asked); got != tc.want {
			t.Errorf("%+v: %v, want %v", tc.asked, got, tc.want)
		}
	}
	s, store := start(t)
	ada := person(t, store)
	for _, a := range []Asked{
		{Scopes: []string{"openid", "email"}, Claims: []string{"email", "birthdate"}}, {Scopes: []string{"openid"}, Claims: []string{"name"}},
	} {
		had, err := store.ConsentOf(t.Context(), ada, "shop")
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			t.Fatal(err)
		}
		if err := s.Give(t.Context(), ada, "shop", had, a); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := store.ConsentOf(t.Context(), ada, "shop"); err != nil || !slices.Equal(got.Claims, storage.Strings{"birthdate", "name"}) {
		t.Errorf("%+v, %v: want birthdate and name, as email came with its scope", got, err)
	}
}

func TestConsentGrows(t *testing.T) {
	s, store := start(t)
	ada := person(t, store)
	give := func(had *storage.Consent, scopes, resources []string) *storage.Consent {
		t.Helper()
		unit := storage.WithUnit(t.Context())
		if err := s.Give(unit, ada, "shop", had, Asked{Scopes: scopes, Resources: resources}); err != nil {
			t.Fatal(err)
		}
		if c, err := store.ConsentOf(t.Context(), ada, "shop"); had == nil && !errors.Is(err, storage.ErrNotFound) {
			t.Fatalf("before the unit was flushed: %+v, %v", c, err)
		}
		if err := store.Flush(unit); err != nil {
			t.Fatal(err)
		}
		c, err := store.ConsentOf(t.Context(), ada, "shop")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := give(nil, []string{"openid", "email", "openid"}, nil)
	if !slices.Equal(first.Scopes, storage.Strings{"email", "openid"}) || len(first.Resources) != 0 || !Covers(first, Asked{Scopes: []string{"openid"}}) {
		t.Errorf("the first: %+v", first)
	}
	second := give(first, []string{"cars:read", "openid"}, []string{"https://api.example"})
	if !Covers(second, Asked{Scopes: []string{"openid", "email", "cars:read"}, Resources: []string{"https://api.example"}}) || len(second.Scopes) != 3 {
		t.Errorf("the second: %+v", second)
	}
	rows, err := store.Events(t.Context(), 5)
	if err != nil || len(rows) != 2 {
		t.Fatalf("%d events, %v, want 2", len(rows), err)
	}
	for _, e := range rows {
		if e.Kind != "consent.given" || e.Actor != "person" || e.PersonID != ada || e.ClientID != "shop" {
			t.Errorf("event %+v", e)
		}
	}
}

func TestARevokedGrantIsDeadWithItsTokens(t *testing.T) {
	s, store := start(t)
	at := storage.At(noon.Add(-time.Hour))
	client(t, store, "shop")
	g := &storage.Grant{
		ID: storage.NewID(), ClientID: "shop", PersonID: person(t, store), Sub: "p_1", RefreshGen: 1,
		ExpiresAt: storage.At(noon.Add(time.Hour)), CreatedAt: at,
	}
	if err := store.CreateGrant(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	ids := storage.TokenIDs{JTI: "x", GrantID: g.ID, ClientID: "shop", KeyID: "k"}
	if state, err := s.Living(t.Context(), ids, noon); err != nil || state.Grant.PersonID != g.PersonID {
		t.Fatalf("before: %+v, %v", state, err)
	}
	for range 2 { // again is no error
		unit := storage.WithUnit(t.Context())
		if err := s.Revoke(unit, g, events.ActorSystem, "refresh token used twice"); err != nil {
			t.Fatal(err)
		}
		if err := store.Flush(unit); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Living(t.Context(), ids, noon); !errors.Is(err, ErrDead) {
		t.Errorf("after: %v", err)
	}
	state, err := store.GrantByID(t.Context(), g.ID)
	if err != nil || state.Alive(noon) || state.Grant.RevokedWhy != "refresh token used twice" {
		t.Errorf("the grant: %+v, %v", state, err)
	}
	rows, _ := store.Events(t.Context(), 5)
	if len(rows) != 2 || rows[0].Kind != "grant.revoked" || string(rows[0].Document.V) != `{"grant":"`+string(g.ID)+`","why":"refresh token used twice"}` {
		t.Errorf("events %+v", rows)
	}
	revoked, _ := store.Revocations(t.Context(), map[string]string{storage.RevokedGrant: string(g.ID)})
	if len(revoked) != 1 || !revoked[0].ExpiresAt.Equal(noon.Add(time.Hour)) {
		t.Errorf("revocations %+v", revoked)
	}
}

// A revocation kills what was issued at or before it, and nothing later.
func TestWhatIsIssuedLaterLives(t *testing.T) {
	s, store := start(t)
	client(t, store, "shop")
	client(t, store, "other")
	if err := store.Revoke(t.Context(), &storage.Revocation{
		Kind: storage.RevokedClient, ID: "shop", NotBefore: storage.At(noon), ExpiresAt: storage.At(noon.Add(time.Hour)),
	}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		client string
		issued time.Time
		want   error
	}{
		{"shop", noon.Add(-time.Hour), ErrDead},
		{"shop", noon, ErrDead},
		{"shop", noon.Add(time.Second), nil},
		{"other", noon, nil},
		{"nobody", noon, ErrDead}, // deleted, say
		{"", noon, ErrDead},
	} {
		ids := storage.TokenIDs{JTI: "x", ClientID: tc.client, KeyID: "k"}
		if _, err := s.Living(t.Context(), ids, tc.issued); !errors.Is(err, tc.want) {
			t.Errorf("%s at %v: %v, want %v", tc.client, tc.issued, err, tc.want)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Living(t.Context(), storage.TokenIDs{ClientID: "other"}, noon); err == nil || errors.Is(err, ErrDead) {
		t.Errorf("a store that does not answer is a verdict: %v", err)
	}
}

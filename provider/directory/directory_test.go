package directory

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/storage"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newDirectory(t *testing.T) (*Service, *storage.Store) {
	t.Helper()
	store, err := storage.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if _, err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return noon }
	return New(store, events.New(store, nil, clock), clock), store
}

func create(t *testing.T, s *Service, in NewPerson) *storage.Person {
	t.Helper()
	p, err := s.Create(t.Context(), in, events.ActorOperator)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func kindsOf(t *testing.T, store *storage.Store) (kinds []string) {
	t.Helper()
	es, err := store.Events(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range es {
		kinds = append(kinds, e.Kind)
	}
	slices.Sort(kinds)
	return kinds
}

// TestPersonIsFoundByAnySpellingOfTheirAddress, and shown as they wrote it.
func TestPersonIsFoundByAnySpellingOfTheirAddress(t *testing.T) {
	s, store := newDirectory(t)
	ada := create(t, s, NewPerson{Email: " Ada.Lovelace@Example.COM ", Verified: true, Name: "Ada Lovelace", Locale: "en-GB"})
	for _, spelling := range []string{"ada.lovelace@example.com", "ADA.LOVELACE@EXAMPLE.COM", "ａda.lovelace@example.com", " ada.lovelace@example.com"} {
		if p, err := s.ByEmail(t.Context(), spelling); err != nil || p.ID != ada.ID {
			t.Errorf("%q: %v, %v", spelling, p, err)
		}
	}
	for _, nobody := range []string{"grace@example.com", "ada.lovelace@example.com@evil.example", "", "ada\x00@example.com"} {
		if p, err := s.ByEmail(t.Context(), nobody); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%q: %v, %v, want ErrNotFound", nobody, p, err)
		}
	}
	shown, err := s.Show(t.Context(), string(ada.ID))
	if err != nil || len(shown.Identifiers) != 1 || shown.Name != "Ada Lovelace" || shown.Locale != "en-GB" {
		t.Fatalf("%+v, %v", shown, err)
	}
	if id := shown.Identifiers[0]; id.Display != "Ada.Lovelace@Example.COM" || !id.VerifiedAt.Equal(noon) {
		t.Errorf("address %+v", id)
	}
	if got := kindsOf(t, store); !slices.Equal(got, []string{"person.created"}) {
		t.Errorf("events %v", got)
	}
}

// TestSubjectIsRandomAndNobodyElses: attack cases 76 and 92. It has 128 random
// bits and a prefix that no client id has.
func TestSubjectIsRandomAndNobodyElses(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		sub := newSub()
		if seen[sub] || !strings.HasPrefix(sub, ident.SubPrefix) || len(sub) != len(ident.SubPrefix)+22 {
			t.Fatalf("subject %q", sub)
		}
		seen[sub] = true
	}
	here, _ := newDirectory(t)
	there, _ := newDirectory(t)
	ada := NewPerson{Email: "ada@example.com", Name: "Ada"}
	first, other := create(t, here, ada), create(t, there, ada)
	if first.Sub == other.Sub || len(first.Sub) != len(ident.SubPrefix)+22 || len(other.Sub) != len(first.Sub) {
		t.Errorf("subjects of two people of one address: %q and %q", first.Sub, other.Sub)
	}
}

// TestTwinsAreRefused: attack case 75. One address is one person's in every
// spelling, and a refused person leaves nothing behind.
func TestTwinsAreRefused(t *testing.T) {
	s, store := newDirectory(t)
	create(t, s, NewPerson{Email: "ada@example.com"})
	for _, twin := range []string{"ada@example.com", "ADA@example.com", "ａda@example.com", "ada@EXAMPLE.com"} {
		_, err := s.Create(t.Context(), NewPerson{Email: twin}, events.ActorOperator)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.KindConflict || f.Field != "email" {
			t.Errorf("%q: %v, want a conflict of email", twin, err)
		}
	}
	all, err := s.List(t.Context(), "", storage.Page{})
	if err != nil || len(all.Items) != 1 || len(all.Items[0].Identifiers) != 1 {
		t.Errorf("people %+v, %v", all, err)
	}
	if got := kindsOf(t, store); len(got) != 1 {
		t.Errorf("events %v", got)
	}
}

// TestTwinsInARaceAreRefusedByTheStore: both looked before either was written.
func TestTwinsInARaceAreRefusedByTheStore(t *testing.T) {
	s, store := newDirectory(t)
	first, second := storage.WithUnit(t.Context()), storage.WithUnit(t.Context())
	if _, err := s.Create(first, NewPerson{Email: "ada@example.com"}, events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(second, NewPerson{Email: "Ada@example.com"}, events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	if err := store.Flush(first); err != nil {
		t.Fatal(err)
	}
	if err := store.Flush(second); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("%v, want ErrConflict", err)
	}
	if all, err := s.List(t.Context(), "", storage.Page{}); err != nil || len(all.Items) != 1 {
		t.Errorf("people %+v, %v", all, err)
	}
}

// TestEveryFaultIsNamedAtOnce.
func TestEveryFaultIsNamedAtOnce(t *testing.T) {
	s, _ := newDirectory(t)
	yes := true
	_, err := s.Create(t.Context(), NewPerson{
		Email: "a@b@evil.example", Name: "Ada\x00", Locale: "not a locale",
		Claims: Claims{
			GivenName: strings.Repeat("x", maxText+1), Picture: "javascript:alert(1)", Birthdate: "10 December 1815",
			PhoneNumberVerified: &yes, Address: &Address{Country: "\u0007"},
		},
	}, events.ActorOperator)
	var fields []string
	for _, f := range fault.All(err) {
		fields = append(fields, f.Field)
	}
	slices.Sort(fields)
	want := []string{"address.country", "birthdate", "email", "given_name", "locale", "name", "phone_number_verified", "picture"}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Error(diff)
	}
	_, err = s.Create(t.Context(), NewPerson{Email: "ada@example.com", Claims: Claims{PhoneNumber: "0701234567"}}, events.ActorOperator)
	if fs := fault.All(err); len(fs) != 1 || fs[0].Field != "phone_number" {
		t.Errorf("%v, want a fault of phone_number", err)
	}
}

// TestClaimsKeepTheirTypes (OIDC Core section 5.1): booleans and objects, not text.
func TestClaimsKeepTheirTypes(t *testing.T) {
	s, _ := newDirectory(t)
	no := false
	in := Claims{
		GivenName: "Ada", Website: "https://ada.example", Birthdate: "0000-12-10", PhoneNumber: "+46701234567", PhoneNumberVerified: &no,
		Address: &Address{StreetAddress: "1 St James's Square\nMayfair", Country: "UK"},
	}
	p := create(t, s, NewPerson{Email: "ada@example.com", Claims: in})
	shown, err := s.Show(t.Context(), "ADA@example.com")
	if err != nil {
		t.Fatal(err)
	}
	var got Claims
	if err := json.Unmarshal(shown.Claims.V, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, got); diff != "" {
		t.Error(diff)
	}
	var raw map[string]any
	if err := json.Unmarshal(p.Claims.V, &raw); err != nil {
		t.Fatal(err)
	}
	if raw["phone_number_verified"] != false || len(raw) != 6 {
		t.Errorf("document %v", raw)
	}
	if _, isObject := raw["address"].(map[string]any); !isObject {
		t.Errorf("address is %T", raw["address"])
	}
}

// TestDisabledPersonLosesSessionsAndGrants, once, with its event.
func TestDisabledPersonLosesSessionsAndGrants(t *testing.T) {
	s, store := newDirectory(t)
	ada := create(t, s, NewPerson{Email: "ada@example.com"})
	session := &storage.Session{
		ID: storage.NewID(), SecretHash: []byte("s"), PersonID: ada.ID, Evidence: storage.Document(storage.Raw("{}")),
		CreatedAt: storage.At(noon), SeenAt: storage.At(noon), ExpiresAt: storage.At(noon.Add(time.Hour)),
	}
	if err := store.CreateSession(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	disabled, err := s.Disable(t.Context(), "Ada@Example.com", events.ActorOperator)
	if err != nil || disabled.DisabledAt.IsZero() {
		t.Fatalf("%+v, %v", disabled, err)
	}
	if got, err := store.Session(t.Context(), session.ID); err != nil || got.EndedAt.IsZero() {
		t.Errorf("session %+v, %v", got, err)
	}
	if _, err := s.Disable(t.Context(), string(ada.ID), events.ActorOperator); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("again: %v, want ErrNotFound", err)
	}
	if got := kindsOf(t, store); !slices.Equal(got, []string{"person.created", "person.disabled"}) {
		t.Errorf("events %v", got)
	}
	if p, err := s.ByEmail(t.Context(), "ada@example.com"); err != nil || p.DisabledAt.IsZero() {
		t.Errorf("the address is free again: %+v, %v", p, err)
	}
	for _, key := range []string{"nobody@example.com", "1", "'; DROP TABLE persons", string(storage.NewID())} {
		if _, err := s.Show(t.Context(), key); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%q: %v, want ErrNotFound", key, err)
		}
	}
}

// TestEveryClaimCanBeSet: a person comes from a document, and is changed by merge
// patches (RFC 7396); what clients could not use is refused, and changes nothing.
func TestEveryClaimCanBeSet(t *testing.T) {
	s, store := newDirectory(t)
	in := NewPerson{Email: "ada@example.com", Name: "Ada Lovelace", Locale: "en-GB"}
	if err := json.Unmarshal([]byte(`{"given_name":"Ada","family_name":"Lovelace","middle_name":"King","nickname":"A",
		"preferred_username":"ada","profile":"https://ada.example/","picture":"https://ada.example/a.png","website":"https://ada.example/w","gender":"female",
		"birthdate":"1815-12-10","zoneinfo":"Europe/London","phone_number":"+441234567890","phone_number_verified":false,
		"address":{"formatted":"1 St\nLondon","street_address":"1 St","locality":"London","region":"L","postal_code":"W1","country":"GB"}}`), &in.Claims); err != nil {
		t.Fatal(err)
	}
	ada := create(t, s, in)
	claims := func() string {
		t.Helper()
		p, err := store.Person(t.Context(), ada.ID)
		if err != nil {
			t.Fatal(err)
		}
		var all map[string]any
		if err := json.Unmarshal(p.Claims.V, &all); err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(all)
		return p.Name + " " + p.Locale + " " + string(text)
	}
	change := func(patch string) error {
		t.Helper()
		p, err := s.Person(t.Context(), "ada@example.com")
		if err != nil {
			t.Fatal(err)
		}
		return s.Patch(t.Context(), p, []byte(patch), events.ActorOperator)
	}
	before := claims()
	if strings.Count(before, ":") < 19 {
		t.Errorf("kept: %s", before)
	}
	for _, wrong := range []string{
		`{"given_nam":"x"}`, `{"address":{"street":"x"}}`, `{"address":"x"}`, `{"birthdate":"soon"}`, `{"phone_number":null}`, `{"email":"b@example.com"}`, `{"sub":"x"}`,
		`{"email_verified":true}`, `{"locale":"!"}`, `{"name":"a\u0000b"}`, `{"website":"javascript:alert(1)"}`, `{"phone_number_verified":"yes"}`, `[]`, `{`, `{"name":"a","name":"b"}`,
	} {
		if err := change(wrong); len(fault.All(err)) == 0 {
			t.Errorf("%s: %v, want a fault", wrong, err)
		}
	}
	if got := claims(); got != before {
		t.Errorf("what was refused changed %s to %s", before, got)
	}
	patch := `{"name":null,"locale":"sv","given_name":null,"family_name":null,"middle_name":null,"nickname":null,"preferred_username":null,"profile":null,"picture":null,"website":null,
		"gender":null,"zoneinfo":null,"phone_number":null,"phone_number_verified":null,"address":{"formatted":null,"street_address":null,"locality":"Uppsala","region":null,"postal_code":null,"country":"SE"}}`
	if err := change(patch); err != nil {
		t.Fatal(err)
	}
	if got := claims(); got != ` sv {"address":{"country":"SE","locality":"Uppsala"},"birthdate":"1815-12-10"}` {
		t.Errorf("after the patch: %s", got)
	}
	if err := change(`{"address":{"locality":null,"country":null},"birthdate":null}`); err != nil {
		t.Fatal(err)
	}
	if got := claims(); got != " sv {}" { // an empty address is none
		t.Errorf("after the second patch: %s", got)
	}
	if got := kindsOf(t, store); !slices.Equal(got, []string{"person.created", "person.updated", "person.updated"}) {
		t.Errorf("events %v", got)
	}
	if err := store.UpdatePerson(t.Context(), ada, storage.At(noon.Add(-time.Hour))); !errors.Is(err, storage.ErrStale) {
		t.Errorf("a change of who was changed meanwhile: %v, want ErrStale", err)
	}
}

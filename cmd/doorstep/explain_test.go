package main

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/policy/rules"
	"github.com/doorstep-id/doorstep/storage"
)

// emptyHouse is a database in which nothing happened yet.
func emptyHouse(t *testing.T) *storage.Store {
	t.Helper()
	store, err := storage.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if _, err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store
}

// TestDecisionsAreExplained: by what was stored of them, and not at all where the signals do
// not add up.
func TestDecisionsAreExplained(t *testing.T) {
	ctx, store := t.Context(), emptyHouse(t)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	facts := policy.Facts{Client: "shop", Scopes: []string{"openid", "cars"}, CountryOf: "SE", DeviceTier: policy.TierCookie}
	facts.Values[policy.Country] = policy.Seen{Value: 4711, Count: 12.5}
	facts.Values[policy.Browser] = policy.Seen{Value: 4712}
	facts.Crowd.SignIns = 100
	set := rules.Set{Name: "house", Version: "7", Levels: rules.Levels{Medium: 1, High: 2}, Rules: []rules.Rule{{
		Name: "odd", When: func(c rules.Case) (bool, error) { return c.Level == policy.High, nil },
		Then: rules.Demand{Outcome: policy.Require, ACR: policy.AAL2, Methods: []string{"otp", "hwk"}, MaxAge: 5 * time.Minute},
	}}}
	stored := func(change func(*policy.Record)) string {
		t.Helper()
		from := 2.0
		record := policy.Record{High: &from, Scorers: []string{"chain@1", "own@3"}, Facts: facts, Decision: rules.Decide(set, facts, []policy.Signal{
			{Code: "NEW_COUNTRY", Bits: policy.Bits(7.1), Level: "country", N: 12, Source: "chain@1"}, {Code: "MOOD", Bits: -0.5, Source: "own@3"},
		})}
		change(&record)
		doc, err := policy.EncodeDecision(record)
		if err != nil {
			t.Fatal(err)
		}
		id := storage.NewID()
		err = store.CreateDecision(ctx, &storage.Decision{ID: id, PersonID: storage.NewID(), ClientID: "shop", Outcome: "require", Rule: "odd", Document: storage.Document(doc), CreatedAt: storage.At(at)})
		if err != nil {
			t.Fatal(err)
		}
		return string(id)
	}
	e, err := explainedOf(ctx, store, stored(func(*policy.Record) {}))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := (&app{stdout: &out}).print(e, e.print); err != nil {
		t.Fatal(err)
	}
	said := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"at 2026-03-01T12:00:00Z", "client shop", "outcome require, aal2, by otp or hwk, at most 5m0s old", "rule odd, of house@7", "level high high_from +2.000000", "scorers chain@1 own@3",
		"+7.100000 NEW_COUNTRY country a country that they never came from (12)", "-0.500000 MOOD", "+6.600000 in all",
		"scopes openid cars", "country SE", "device_tier cookie", "first_time no", "country known; 12.5 of 100.0 sign-ins of everybody", "browser known",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	for _, hash := range []policy.Hash{4711, 4712} {
		if text, _ := hash.MarshalText(); strings.Contains(said, string(text)) {
			t.Errorf("a hash helps nobody: %s", text)
		}
	}
	if _, err := explainedOf(ctx, store, stored(func(r *policy.Record) { r.Decision.Score++ })); !errors.Is(err, errSum) {
		t.Errorf("a score of other signals: %v", err)
	}
	for _, nobodys := range []string{string(storage.NewID()), "4711", ""} {
		if _, err := explainedOf(ctx, store, nobodys); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%q: %v", nobodys, err)
		}
	}
}

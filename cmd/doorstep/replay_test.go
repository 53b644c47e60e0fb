package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/policy/rules"
	"github.com/doorstep-id/doorstep/storage"
)

// TestDecisionsAreReplayed: the rules that decided come out as they did, others as they would
// have, over more than one page of them.
func TestDecisionsAreReplayed(t *testing.T) {
	ctx, store := t.Context(), emptyHouse(t)
	parse := func(text string) rules.Set {
		t.Helper()
		set, err := rules.Parse([]byte(text), nobodyKnown)
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	decided := parse("name: house\nversion: v\nrules:\n  - {name: vault, when: 'client == \"vault\"', then: {require: aal2}}\ndefault: allow\n")
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	// Ten people; the first comes 1,099 times, and each time to the shop but the last.
	people := make([]storage.ID, 10)
	for i := range people {
		people[i] = storage.NewID()
	}
	keep := func(person storage.ID, client string, score float64, at time.Time) {
		t.Helper()
		facts := policy.Facts{Client: client, DeviceTier: policy.TierCookie}
		record := policy.Record{Facts: facts, Scorers: []string{"chain@1"}, Decision: rules.Decide(decided, facts, []policy.Signal{{Code: "NEW_ASN", Bits: score, Source: "chain@1"}})}
		doc, err := policy.EncodeDecision(record)
		if err != nil {
			t.Fatal(err)
		}
		err = store.CreateDecision(ctx, &storage.Decision{ID: storage.NewID(), PersonID: person, ClientID: client, Outcome: string(record.Decision.Outcome), Document: storage.Document(doc), CreatedAt: storage.At(at)})
		if err != nil {
			t.Fatal(err)
		}
	}
	keep(people[0], "shop", 20, at.Add(-time.Hour)) // from before
	for i := range 1099 {
		keep(people[0], "shop", float64(i%10), at.Add(time.Duration(i/3)*time.Second)) // three at once
	}
	for _, person := range people {
		keep(person, "vault", 0, at.Add(time.Hour))
		keep(person, "shop", 9, at.Add(time.Hour))
	}
	replay := func(set rules.Set) *replayed {
		t.Helper()
		r, err := replayOf(ctx, store, set, at)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	before := tally{Allow: 1109, Require: 10}
	clients := []replayedClient{{"shop", tally{Allow: 1109}, tally{Allow: 1109}}, {"vault", tally{Require: 10}, tally{Require: 10}}}
	want := &replayed{Rules: decided.ID(), Since: "2026-03-01T12:00:00Z", Decisions: 1119, Before: before, After: before, Changes: []replayedChange{}, Clients: clients}
	if diff := cmp.Diff(want, replay(decided)); diff != "" {
		t.Errorf("by the same rules: %s", diff)
	}

	const levels = "name: levels\nversion: v\nlevels: {medium: {budget: 0.5}, high: {budget: 0.1}}\nrules:\n  - {name: odd, when: 'level == \"high\"', then: {require: phr, max_age: 5m}}\n  - {name: shop, when: 'client == \"shop\"', then: allow}\ndefault: deny\n"
	odd := parse(levels)
	// Of 1,119 scores 111 may be high: those of 9 are 119, and share a score.
	want = &replayed{
		Rules: odd.ID(), Since: "2026-03-01T12:00:00Z", Decisions: 1119, Before: before, After: tally{Allow: 990, Require: 119, Deny: 10}, Changed: 129,
		Changes: []replayedChange{{"allow", "require, phr, at most 5m0s old", 119}, {"require, aal2", "deny", 10}},
		Clients: []replayedClient{{"shop", tally{Allow: 1109}, tally{Allow: 990, Require: 119}}, {"vault", tally{Require: 10}, tally{Deny: 10}}},
		People:  replayedPeople{N: 10, Median: 1, P95: 110, Most: 110},
	}
	got := replay(odd)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var out bytes.Buffer
	if err := (&app{stdout: &out}).print(got, got.print); err != nil {
		t.Fatal(err)
	}
	said := strings.Join(strings.Fields(out.String()), " ")
	for _, line := range []string{
		fmt.Sprintf("1119 decisions since 2026-03-01T12:00:00Z, by %s: 129 come out otherwise", odd.ID()), "before, after 1109 10 0 - 990 119 10", "vault 0 10 0 - 0 0 10",
		"119 allow -> require, phr, at most 5m0s old", "10 people would not have come in as they did: half of them at most 1 times, 95 of 100 at most 110, one of them 110",
	} {
		if !strings.Contains(said, line) {
			t.Errorf("no %q in\n%s", line, out.String())
		}
	}
}

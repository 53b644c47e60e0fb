package events_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// origin is of a request from an address.
func origin(request, address string) func(context.Context) (string, string) {
	return func(context.Context) (string, string) { return request, address }
}

// tell records n events of a person, each from an address and with a number of its
// own, and chains them.
func tell(t *testing.T, p *providertest.P, about *providertest.Person, n int) {
	t.Helper()
	for i := range n {
		from := p.Events.From(origin(fmt.Sprintf("req-%d", i), fmt.Sprintf("198.51.100.%d", i)))
		if err := from.Record(t.Context(), events.Event{Kind: events.GrantMade, Actor: events.ActorPerson, Person: about.ID, Client: "shop", Data: map[string]any{"turn": i}}); err != nil {
			t.Fatal(err)
		}
		p.Clock.Advance(time.Second)
	}
	sequence(t, p)
}

func sequence(t *testing.T, p *providertest.P) {
	t.Helper()
	if _, err := p.Events.Sequence(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func verify(t *testing.T, p *providertest.P, elsewhere string) events.Report {
	t.Helper()
	r, err := p.Events.Verify(t.Context(), elsewhere, 0)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func head(t *testing.T, p *providertest.P) events.Head {
	t.Helper()
	h, err := p.Events.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func checkpoint(t *testing.T, p *providertest.P) {
	t.Helper()
	if err := p.Events.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// chained are the tables that somebody may meddle with.
var chained = []string{"events", "event_chains", "event_heads"}

// Whoever writes to the database behind the provider's back is found out, and the
// first bad event is named (R19: edited, deleted, reordered, put in, cut off at either end).
func TestTheFirstBadEventIsNamed(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Start(t, providertest.On(url))
		ada, bob := p.Person("ada"), p.Person("bob")
		tell(t, p, bob, 1)
		tell(t, p, ada, 9)
		checkpoint(t, p)
		kept := head(t, p).Number
		tell(t, p, ada, 3)
		checkpoint(t, p) // which is too soon
		elsewhere := head(t, p)
		last := elsewhere.Number
		if r := verify(t, p, elsewhere.Token); r.Fault != nil || r.Checked != last || r.Heads != 2 || r.First != 1 || r.Last != last || r.Newest == nil || r.Newest.Number != kept {
			t.Fatalf("before anybody meddles: %+v, %v", r, r.Fault)
		}
		for _, table := range chained {
			providertest.Meddle(t, url, fmt.Sprintf("CREATE TABLE was_%[1]s AS SELECT * FROM %[1]s", table))
		}
		set := func(what string) []string { return []string{"UPDATE events SET " + what + " WHERE number = 5"} }
		cutTo := func(n int64) []string {
			return []string{
				fmt.Sprintf("DELETE FROM events WHERE number > %d", n),
				fmt.Sprintf("UPDATE event_chains SET number = %[1]d, hash = (SELECT hash FROM events WHERE number = %[1]d)", n),
			}
		}
		// What was changed is chained anew from there, by the provider itself.
		anew := func(change string) []string {
			return []string{
				change, "UPDATE events SET number = NULL WHERE number >= 5",
				"UPDATE event_chains SET number = 4, hash = (SELECT hash FROM events WHERE number = 4)", "",
			}
		}
		nothing := "zeroblob(32)"
		if strings.HasPrefix(url, "postgres") {
			nothing = "decode(repeat('00', 32), 'hex')"
		}
		const noHeads = "DELETE FROM event_heads"
		const change = "UPDATE events SET kind = 'grant.revoked' WHERE number = 5"
		for name, tc := range map[string]struct {
			meddle    []string // "" is a pass of the sequencer
			elsewhere bool     // with the head that was kept elsewhere
			number    int64
			says      string
		}{
			"kind":                    {set("kind = 'x'"), false, 5, "changed"},
			"outcome":                 {set("outcome = 'failure'"), false, 5, "changed"},
			"actor":                   {set("actor = 'system'"), false, 5, "changed"},
			"actor's id":              {set("actor_id = ''"), false, 5, "changed"},
			"person":                  {set("person_id = NULL"), false, 5, "changed"},
			"client":                  {set("client_id = 'other'"), false, 5, "changed"},
			"request":                 {set("request_id = 'req-9'"), false, 5, "changed"},
			"document":                {set(`document = '{"turn": 99}'`), false, 5, "changed"},
			"time":                    {set("created_at = created_at + 1"), false, 5, "changed"},
			"no address":              {set("personal = NULL"), false, 5, "changed"},
			"address":                 {set("personal = (SELECT personal FROM events WHERE number = 6)"), false, 5, "changed"},
			"hash":                    {set("hash = (SELECT hash FROM events WHERE number = 6)"), false, 5, "changed"},
			"no hash":                 {set("hash = NULL"), false, 5, "changed"},
			"the last":                {[]string{fmt.Sprintf("UPDATE events SET kind = 'x' WHERE number = %d", last)}, false, last, "changed"},
			"the first":               {[]string{"UPDATE events SET kind = 'x' WHERE number = 1"}, false, 1, "changed"},
			"several":                 {[]string{"UPDATE events SET kind = 'x' WHERE number IN (9, 7, 8)"}, false, 7, "changed"},
			"deleted":                 {[]string{"DELETE FROM events WHERE number = 5"}, false, 5, "missing"},
			"unnumbered":              {[]string{"UPDATE events SET number = NULL WHERE number = 5"}, false, 5, "missing"},
			"chained anew at the end": {[]string{"UPDATE events SET number = NULL WHERE number = 5", ""}, false, 5, "missing"},
			"reordered": {[]string{
				"UPDATE events SET number = 1000 WHERE number = 4", "UPDATE events SET number = 4 WHERE number = 5", "UPDATE events SET number = 5 WHERE number = 1000",
			}, false, 4, "changed"},
			"put in": {[]string{
				"UPDATE events SET number = number + 1000 WHERE number >= 5",
				"UPDATE events SET number = number - 999 WHERE number >= 1000",
				"INSERT INTO events (id, kind, outcome, actor, actor_id, client_id, request_id, document, created_at, number, hash) SELECT '01890000-0000-7000-8000-000000000000'," +
					" kind, outcome, actor, actor_id, client_id, request_id, document, created_at, 5, hash FROM events WHERE number = 4",
			}, false, 5, "put in"},
			"put in at the end": {[]string{
				fmt.Sprintf("INSERT INTO events (id, kind, outcome, actor, actor_id, client_id, request_id, document, created_at, number, hash) SELECT '01890000-0000-7000-8000-000000000000',"+
					" kind, outcome, actor, actor_id, client_id, request_id, document, created_at, %d, hash FROM events WHERE number = 4", last+1),
			}, false, last + 1, "never chained"},
			"the end is cut off":           {[]string{fmt.Sprintf("DELETE FROM events WHERE number > %d", last-2)}, false, last - 1, "cut off"},
			"with the chain":               {cutTo(kept - 1), false, kept, "cut off since"},
			"with the chain and all heads": {append(cutTo(last-2), noHeads), true, last - 1, "cut off since"},
			"all of it":                    {[]string{"DELETE FROM events", noHeads, "UPDATE event_chains SET number = 0, hash = " + nothing}, true, 1, "cut off since"},
			"the beginning is cut off":     {[]string{"DELETE FROM events WHERE number < 5"}, false, 1, "missing"},
			"and the chain begins there":   {[]string{"DELETE FROM events WHERE number < 5", "UPDATE event_chains SET first = 5"}, false, 1, "no anchor of ours"},
			"with another head for an anchor": {[]string{
				fmt.Sprintf("DELETE FROM events WHERE number <= %d", kept),
				fmt.Sprintf("UPDATE event_chains SET first = %d, anchor = (SELECT token FROM event_heads)", kept+1),
			}, false, 1, "no anchor of ours"},
			"changed, and all hashes anew":          {anew(change), false, kept, "made anew"},
			"changed, all hashes anew and no heads": {append(anew(change), noHeads), true, last, "made anew"},
			"a head that is not ours":               {[]string{"UPDATE event_heads SET token = 'e30.e30.e30'"}, false, kept, "not ours"},
			"a head of theirs beyond the end":       {[]string{fmt.Sprintf("INSERT INTO event_heads (number, token, created_at) VALUES (%d, 'e30.e30.e30', 1)", last+5)}, false, last + 5, "not ours"},
			"a head that is antedated":              {[]string{"UPDATE event_heads SET created_at = 1"}, false, kept, "not ours"},
			"a head in another's place":             {[]string{"UPDATE event_heads SET number = number - 1"}, false, kept - 1, "not ours"},
			"the chain's hash":                      {[]string{"UPDATE event_chains SET hash = (SELECT hash FROM events WHERE number = 4)"}, false, last, "ends with"},
		} {
			t.Run(name, func(t *testing.T) {
				for _, statement := range tc.meddle {
					if statement == "" {
						sequence(t, p)
						continue
					}
					providertest.Meddle(t, url, statement)
				}
				token := ""
				if tc.elsewhere {
					if r := verify(t, p, ""); r.Fault != nil {
						t.Errorf("nothing from elsewhere is needed: %v", r.Fault)
					}
					token = elsewhere.Token
				}
				switch r := verify(t, p, token); {
				case r.Fault == nil:
					t.Errorf("the chain holds: %+v", r)
				case r.Fault.Number != tc.number || !strings.Contains(r.Fault.Says, tc.says):
					t.Errorf("%v, want event %d and %q", r.Fault, tc.number, tc.says)
				}
				for _, table := range chained {
					providertest.Meddle(t, url, "DELETE FROM "+table)
					providertest.Meddle(t, url, fmt.Sprintf("INSERT INTO %[1]s SELECT * FROM was_%[1]s", table))
				}
				if r := verify(t, p, elsewhere.Token); r.Fault != nil {
					t.Fatalf("put back: %v", r.Fault)
				}
			})
		}
	})
}

// A head holds for good: its key may have rotated, left the published set, been
// forgotten, or been revoked, which is said.
func TestAHeadOutlivesItsKey(t *testing.T) {
	p := providertest.Start(t)
	tell(t, p, p.Person("ada"), 3)
	before := head(t, p)
	if before.Number != head(t, p).Number || len(before.Hash) != 32 || before.Key.State != keys.StateSigning || before.First != 1 || !before.At.Equal(p.Clock.Now().Truncate(time.Second)) {
		t.Fatalf("%+v", before)
	}
	if _, err := p.RotateKey(t.Context(), before.Key.Alg, events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	p.Clock.Advance(1000 * 24 * time.Hour)
	sequence(t, p)
	if r := verify(t, p, before.Token); r.Fault != nil || r.Heads != 1 || len(r.Revoked) != 0 {
		t.Errorf("long after: %+v, %v", r, r.Fault)
	}
	if h, err := events.ReadHead(t.Context(), p.Keys, before.Token); err != nil || h.Key.State != keys.StateForgotten {
		t.Errorf("%+v, %v", h, err)
	}
	recent := head(t, p)
	if _, err := p.RevokeKey(t.Context(), recent.Key.KID, events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	for what, later := range map[string]time.Duration{"after its revocation": time.Minute, "long after it": 1000 * 24 * time.Hour} {
		p.Clock.Advance(later)
		sequence(t, p)
		if _, err := p.Store.Sweep(t.Context(), storage.At(p.Clock.Now()), 100); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, p, recent.Token); r.Fault != nil || !slices.Equal(r.Revoked, []string{recent.Key.KID}) {
			t.Errorf("%s: %+v, %v", what, r, r.Fault)
		}
	}
	for name, token := range map[string]string{
		"another type": must(p.Keys.Sign(t.Context(), keys.ES256, "at+jwt", []byte(`{"number":3}`))),
		"nonsense":     "a.b.c",
		"changed":      before.Token[:len(before.Token)-2] + "AA",
		"another's":    must(providertest.Start(t).Keys.Sign(t.Context(), keys.ES256, events.TypHead, []byte(`{"number":3}`))),
	} {
		if _, err := p.Events.Verify(t.Context(), token, 0); !errors.Is(err, keys.ErrToken) {
			t.Errorf("%s: %v, want keys.ErrToken", name, err)
		}
	}
}

// meanwhile does something once, before the statement of that place is sent.
type meanwhile struct {
	silent
	place int
	do    func()
}

func (m *meanwhile) Begin(ctx context.Context, _ string) context.Context {
	m.place--
	if m.place == 0 {
		m.do()
	}
	return ctx
}

// Events are chained and heads are signed while somebody verifies: at whichever moment,
// the chain holds, and what a head was signed of is walked too.
func TestTheChainGrowsWhileItIsVerified(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		p, other := providertest.Start(t, providertest.On(url)), providertest.Start(t, providertest.On(url))
		ada := p.Person("ada")
		tell(t, p, ada, 3)
		grow := func() {
			other.Clock.Advance(11 * time.Minute)
			tell(t, other, ada, 2)
			checkpoint(t, other)
		}
		for _, changed := range []bool{false, true} {
			unseen := 0
			for place := 1; ; place++ {
				was, grew := head(t, other).Number, int64(0)
				p.Store.Observe(&meanwhile{place: place, do: func() {
					grow()
					grew = was + 2
					if changed {
						providertest.Meddle(t, url, fmt.Sprintf("UPDATE events SET kind = 'x' WHERE number = %d", grew))
					}
				}})
				r := verify(t, p, "")
				p.Store.Observe(silent{})
				if grew == 0 { // it took fewer statements
					break
				}
				switch {
				case !changed && r.Fault != nil:
					t.Errorf("it grew before statement %d: %v", place, r.Fault)
				case r.Last < grew:
					unseen++
				case changed && (r.Fault == nil || r.Fault.Number != grew):
					t.Errorf("it grew before statement %d, and event %d was changed: %+v, %v", place, grew, r, r.Fault)
				}
				if changed {
					providertest.Meddle(t, url, fmt.Sprintf("UPDATE events SET kind = 'grant.made' WHERE number = %d", grew))
				}
			}
			if unseen > 3 { // those of the last statements
				t.Errorf("it grew %d times and was not walked to its end", unseen)
			}
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

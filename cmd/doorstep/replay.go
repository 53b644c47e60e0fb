package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/policy/rules"
	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/risk"
	"github.com/doorstep-id/doorstep/storage"
)

func (a *app) policyReplayCommand() *cobra.Command {
	since := "30d"
	replay := &cobra.Command{
		Use:   "replay FILE",
		Short: "Tell what other rules would have decided",
		Long: `Decide again, by the rules in a file, what was decided lately: on the same facts and the
same signals. Told is how many would have been let in, asked for more and denied, before and
after, by client; and how many people would have been asked who were not, and how often. The
rules that decided come out as they did. Nothing is changed. - reads standard input.

Addresses are not kept: zones are known by their name, and by country. A budget counts the
scores of the same time. That more is required is no question yet: who had given it already
was asked nothing.`,
		Example: "  doorstep policy replay rules.yaml\n  doorstep policy replay rules.yaml --since 7d -o json",
		Args:    cobra.ExactArgs(1),
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, args []string) error {
			from, err := momentOrAge("since", since, a.now())
			if err != nil {
				return err
			}
			text, err := a.readInput(args[0])
			if err != nil {
				return err
			}
			set, err := rules.Parse(text, nobodyKnown)
			if err != nil {
				return err
			}
			r, err := replayOf(ctx, s.Store, set, from)
			if err != nil {
				return err
			}
			return a.print(r, r.print)
		}),
	}
	replay.Flags().StringVar(&since, "since", since, "from when on: a time (2026-11-27T12:00:00Z), a day, or how long ago (24h, 7d)")
	addSettingFlags(replay, databaseSettings...)
	return replay
}

// replayed is what came of it.
type replayed struct {
	Rules     string           `json:"rules"`
	Since     string           `json:"since"`
	Decisions int              `json:"decisions"`
	Before    tally            `json:"before"`
	After     tally            `json:"after"`
	Changed   int              `json:"changed"` // that came out otherwise
	Changes   []replayedChange `json:"changes"` // of outcome or assurance, the most common first
	Clients   []replayedClient `json:"clients"`
	// People are those who would have been asked for more, or denied, where they were not: how many
	// there are, and how often that was for the one in the middle, for the 95th of 100, and for the
	// one for whom it was most often.
	People replayedPeople `json:"people"`
}

// tally counts decisions by their outcome.
type tally struct {
	Allow   int `json:"allow"`
	Require int `json:"require"`
	Deny    int `json:"deny"`
}

func (t *tally) add(d *policy.Decision) {
	switch d.Outcome {
	case policy.Allow:
		t.Allow++
	case policy.Require:
		t.Require++
	default:
		t.Deny++
	}
}

type replayedChange struct {
	From string `json:"from"`
	To   string `json:"to"`
	N    int    `json:"decisions"`
}

type replayedClient struct {
	Client string `json:"client_id"`
	Before tally  `json:"before"`
	After  tally  `json:"after"`
}

type replayedPeople struct {
	N      int `json:"people"`
	Median int `json:"median"`
	P95    int `json:"p95"`
	Most   int `json:"most"`
}

// replayPage is how many decisions are read at once.
const replayPage = 1000

// eachDecision reads all decisions from a time on.
func eachDecision(ctx context.Context, store *storage.Store, from time.Time, do func(*storage.Decision, *policy.Record)) error {
	var last *storage.Decision
	for {
		some, err := store.DecisionsSince(ctx, from, last, replayPage)
		if err != nil {
			return err
		}
		for i := range some {
			record, err := policy.DecodeDecision(some[i].Document.V)
			if err != nil {
				return fmt.Errorf("decision %s: %w", some[i].ID, err)
			}
			do(&some[i], &record)
		}
		if len(some) < replayPage {
			return nil
		}
		last = &some[len(some)-1]
	}
}

func replayOf(ctx context.Context, store *storage.Store, set rules.Set, from time.Time) (*replayed, error) {
	if set.Budgets != (rules.Budgets{}) {
		var scores []float64
		err := eachDecision(ctx, store, from, func(_ *storage.Decision, r *policy.Record) {
			if !r.Facts.FirstTime {
				scores = append(scores, r.Decision.Score)
			}
		})
		if err != nil {
			return nil, err
		}
		set = set.Budgeted(reachedBy(scores))
	}
	out := &replayed{Rules: set.ID(), Since: instant(from), Changes: []replayedChange{}, Clients: []replayedClient{}}
	changes, clients, people := map[[2]string]int{}, map[string]*replayedClient{}, map[storage.ID]int{}
	err := eachDecision(ctx, store, from, func(row *storage.Decision, r *policy.Record) {
		again := risk.Again(set, r)
		out.Decisions++
		out.Before.add(&r.Decision)
		out.After.add(&again)
		client := clients[row.ClientID]
		if client == nil {
			client = &replayedClient{Client: row.ClientID}
			clients[row.ClientID] = client
		}
		client.Before.add(&r.Decision)
		client.After.add(&again)
		was, is := demanded(&r.Decision), demanded(&again)
		if was == is {
			return
		}
		out.Changed++
		changes[[2]string{was, is}]++
		if r.Decision.Outcome == policy.Allow { // and is not any more
			people[row.PersonID]++
		}
	})
	if err != nil {
		return nil, err
	}
	for of, n := range changes {
		out.Changes = append(out.Changes, replayedChange{of[0], of[1], n})
	}
	slices.SortFunc(out.Changes, func(a, b replayedChange) int {
		return cmp.Or(b.N-a.N, cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	for _, id := range slices.Sorted(maps.Keys(clients)) {
		out.Clients = append(out.Clients, *clients[id])
	}
	out.People = spread(slices.Sorted(maps.Values(people)))
	return out, nil
}

// demanded is an outcome in words, with what is required.
func demanded(d *policy.Decision) string { return (&explained{Decision: *d}).outcome() }

// reachedBy says which score a share of these reach.
func reachedBy(scores []float64) rules.Quantile {
	slices.Sort(scores)
	return func(share float64) float64 {
		above := int(share * float64(len(scores)))
		if above == 0 {
			return math.Inf(1)
		}
		return scores[len(scores)-above]
	}
}

// spread tells of counts, which are in order.
func spread(counts []int) replayedPeople {
	n := len(counts)
	if n == 0 {
		return replayedPeople{}
	}
	return replayedPeople{N: n, Median: counts[n/2], P95: counts[min(n-1, n*95/100)], Most: counts[n-1]}
}

func (r *replayed) print(w io.Writer) {
	fmt.Fprintf(w, "%d decisions since %s, by %s: %d come out otherwise\n\n", r.Decisions, r.Since, r.Rules, r.Changed)
	row(w, "", "allow", "require", "deny")
	lines := func(name string, before, after tally) {
		row(w, name, number(before.Allow), number(before.Require), number(before.Deny))
		row(w, "", number(after.Allow), number(after.Require), number(after.Deny))
	}
	lines("before, after", r.Before, r.After)
	for _, c := range r.Clients {
		lines(cmp.Or(c.Client, "(our own pages)"), c.Before, c.After)
	}
	if r.Changed == 0 {
		return
	}
	fmt.Fprintln(w)
	for _, c := range r.Changes {
		row(w, number(c.N), c.From, "-> "+c.To)
	}
	if p := r.People; p.N > 0 {
		fmt.Fprintf(w, "\n%d people would not have come in as they did: half of them at most %d times, 95 of 100 at most %d, one of them %d\n", p.N, p.Median, p.P95, p.Most)
	}
}

func number(n int) string { return fmt.Sprint(n) }

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/policy"
	codes "github.com/doorstep-id/doorstep/policy/chain"
	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/risk"
	"github.com/doorstep-id/doorstep/storage"
)

func (a *app) policyExplainCommand() *cobra.Command {
	explain := &cobra.Command{
		Use:   "explain DECISION",
		Short: "Tell why a sign-in was decided as it was",
		Long: `Tell on what a decision was made: the facts, each signal with its bits, which add up to
the score, the rule, and the versions of rules and scorers. Events of sign-ins name their
decision. Places and browsers are kept as keyed hashes, and nobody can tell them from these:
what is told is how common they are.`,
		Example: "  doorstep events list --kind signin.succeeded -o json\n  doorstep policy explain 01a220f1-c3fc-7d0a-9a52-59e12b845f6d",
		Args:    cobra.ExactArgs(1),
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, args []string) error {
			e, err := explainedOf(ctx, s.Store, args[0])
			if err != nil {
				return notFound(err, "decision", args[0])
			}
			return a.print(e, e.print)
		}),
	}
	addSettingFlags(explain, databaseSettings...)
	return explain
}

// explained is a decision as it was stored.
type explained struct {
	ID        string          `json:"id"`
	CreatedAt string          `json:"created_at"`
	Person    string          `json:"person_id"`
	Decision  policy.Decision `json:"decision"` // with its signals
	Scorers   []string        `json:"scorers"`
	Medium    *float64        `json:"medium"` // the scores from which it would have been so
	High      *float64        `json:"high"`
	Facts     policy.Facts    `json:"facts"`
}

// errSum is for a decision whose explanation does not explain it.
var errSum = errors.New("the bits of its signals do not add up to its score: somebody changed it")

func explainedOf(ctx context.Context, store *storage.Store, id string) (*explained, error) {
	key, err := storage.ParseID(id)
	if err != nil {
		return nil, err
	}
	row, err := store.DecisionByID(ctx, key)
	if err != nil {
		return nil, err
	}
	record, err := policy.DecodeDecision(row.Document.V)
	if err != nil {
		return nil, err
	}
	if policy.Sum(record.Decision.Reasons) != record.Decision.Score {
		return nil, fmt.Errorf("decision %s: %w", id, errSum)
	}
	return &explained{
		ID: id, CreatedAt: row.CreatedAt.UTC().Format(time.RFC3339), Person: string(row.PersonID),
		Decision: record.Decision, Scorers: append([]string{}, record.Scorers...), Facts: record.Facts,
		Medium: record.Medium, High: record.High,
	}, nil
}

// signalWords tell what signals are about.
var signalWords = map[string]string{
	policy.FirstLogin:      "nothing is remembered of the person",
	codes.KnownNetwork:     "they came from there before",
	codes.NewCountry:       "a country that they never came from",
	codes.NewASN:           "a network that they never came from",
	codes.NewBlock:         "a block of addresses that they never came from, of a network that they did",
	codes.NewAddress:       "a new address, of a block that they came from",
	codes.KnownAgent:       "they used this browser before",
	codes.NewDeviceType:    "a kind of device that they never used",
	codes.NewSystem:        "a system that they never used",
	codes.NewBrowser:       "a browser that they never used",
	codes.NewVersion:       "a version of their browser that they never used",
	codes.Upgraded:         "a newer version of their browser",
	codes.Downgraded:       "an older version of their browser",
	codes.DeviceUnknown:    "the browser has no cookie of theirs",
	codes.DeviceKnown:      "the browser has a cookie of theirs",
	codes.DeviceSecond:     "and they gave a second factor in it",
	codes.DeviceBound:      "and it was a passkey that stays in this machine",
	codes.Activity:         "how often they come, beside everybody",
	codes.ImpossibleTravel: "nobody travels so fast",
	codes.HostingASN:       "a network of machines",
	codes.AnonymousNetwork: "a network that hides who uses it",
	codes.SprayBurst:       "many accounts are tried from around there",
	codes.AccountFailures:  "wrong proofs for this account",
	codes.PasswordBreached: "the password is in lists of stolen ones",
	codes.Dormant:          "days since they were here",
	risk.ScorerFailed:      "the scorer failed",
	risk.ScorerTimeout:     "the scorer took too long",
	risk.Unreadable:        "what is remembered of the person cannot be read",
}

func (e *explained) print(w io.Writer) {
	d, f := &e.Decision, &e.Facts
	row(w, "decision", e.ID)
	row(w, "at", e.CreatedAt)
	row(w, "person", e.Person)
	row(w, "client", f.Client)
	row(w, "outcome", e.outcome())
	row(w, "rule", d.Rule+", of "+d.RulesVersion)
	row(w, "level", string(d.Level))
	if e.Medium != nil {
		row(w, "medium_from", bits(*e.Medium))
	}
	if e.High != nil {
		row(w, "high_from", bits(*e.High))
	}
	row(w, "scorers", strings.Join(e.Scorers, " "))
	row(w, "score", bits(d.Score))
	fmt.Fprintln(w)
	for _, s := range d.Reasons {
		about := signalWords[s.Code]
		if s.N > 0 {
			about = strings.TrimPrefix(fmt.Sprintf("%s (%d)", about, s.N), " ")
		}
		row(w, bits(s.Bits), s.Code, s.Level, about)
	}
	row(w, bits(policy.Sum(d.Reasons)), "in all", "", "")
	fmt.Fprintln(w)
	for _, fact := range []struct {
		name string
		is   any
	}{
		{"scopes", f.Scopes}, {"resources", f.Resources}, {"acr_asked", f.ACRAsked}, {"groups", f.Groups}, {"zones", f.Zones}, {"country", f.CountryOf},
		{"device_tier", string(f.DeviceTier)}, {"first_time", f.FirstTime}, {"breached", f.Breached},
	} {
		row(w, fact.name, told(fact.is))
	}
	for i, v := range f.Values {
		if v.Value == 0 {
			continue
		}
		how := "known"
		if v.Count > 0 {
			how = fmt.Sprintf("known; %.1f of %.1f sign-ins of everybody", v.Count, f.Crowd.SignIns)
		}
		row(w, policy.Feature(i).String(), how)
	}
}

func (e *explained) outcome() string {
	d := &e.Decision
	out := []string{string(d.Outcome)}
	if d.ACR != "" {
		out = append(out, d.ACR)
	}
	if len(d.Methods) > 0 {
		out = append(out, "by "+strings.Join(d.Methods, " or "))
	}
	if d.MaxAge > 0 {
		out = append(out, "at most "+d.MaxAge.String()+" old")
	}
	return strings.Join(out, ", ")
}

// bits have as many places as tell apart what is stored.
func bits(x float64) string { return fmt.Sprintf("%+.6f", x) }

func told(fact any) string {
	switch v := fact.(type) {
	case []string:
		return strings.Join(v, " ")
	case bool:
		if v {
			return "yes"
		}
		return "no"
	default:
		return fmt.Sprint(v)
	}
}

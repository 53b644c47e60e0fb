// Package risk runs the engine whose words policy has: it gathers the facts of
// an attempt, runs the scorers, lets policy/rules decide and stores the decision
// with all that it was made on, so that it can be explained and replayed.
//
// It must never decide itself, store an address or a user agent (facts carry
// keyed hashes), learn from a sign-in that did not reach what was demanded, or
// take a scorer's failure for a good sign.
package risk

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/policy/rules"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/storage"
)

// Config says who decides.
type Config struct {
	Key     [32]byte  // of the hashes in facts; it must outlive them
	Rules   rules.Set // the zero Set lets nobody in
	Scorers []policy.Scorer
}

// Service decides about attempts.
type Service struct {
	// Places says where addresses are; nil: nobody knows. It must be set before the first
	// attempt, or never.
	Places *Places

	cfg   Config
	store *storage.Store
	now   func() time.Time
}

// New returns the service.
func New(cfg Config, store *storage.Store, now func() time.Time) *Service {
	return &Service{cfg: cfg, store: store, now: now}
}

// Strict reports whether the rules demand more of anybody than a password alone can prove.
func (s *Service) Strict() bool { return s.cfg.Rules.Strict() }

// Attempt is what is known of somebody who signs in, or comes back with a
// living session.
type Attempt struct {
	Person     storage.ID
	Client     string
	Scopes     []string
	Resources  []string
	ACRAsked   []string
	Groups     []string    // of the person
	Device     storage.ID  // this browser; "" while it has no id
	DeviceTier policy.Tier // how well it is known to be the person's; "" is TierNone
	Address    netip.Addr
	UserAgent  string
	Breached   bool            // the password is in lists of stolen ones
	History    json.RawMessage // as it is stored; none of whoever never signed in
}

// Assessment is a decision that was not stored yet.
type Assessment struct {
	Decision      policy.Decision
	Circumstances string // fingerprint of the facts: see Circumstances
	person        storage.ID
	attempt       policy.Attempt
	history       policy.History
	newer         bool // the history is of a newer program: it stays as it is
}

// Circumstances is a fingerprint of all that is seen of an attempt and of who
// would decide, but not of what is remembered: while it is the same, a session's
// last decision stands.
func (s *Service) Circumstances(a Attempt) string {
	f := s.facts(a, policy.History{})
	f.DeviceTier, f.FirstTime, f.Crowd = "", false, policy.Crowd{}
	for i := range f.Values {
		f.Values[i] = policy.Seen{Value: f.Values[i].Value}
	}
	doc, err := json.Marshal(struct {
		Facts   policy.Facts
		Rules   string
		Scorers []string
	}{f, s.cfg.Rules.ID(), s.scorers()})
	if err != nil {
		panic("risk: facts: " + err.Error()) // strings and bools: a fault of our own struct
	}
	return s.hash("circumstances", string(doc))
}

func (s *Service) facts(a Attempt, h policy.History) policy.Facts {
	f := policy.Facts{
		Client: a.Client, Scopes: a.Scopes, Resources: a.Resources, ACRAsked: a.ACRAsked,
		DeviceTier: cmp.Or(a.DeviceTier, policy.TierNone), FirstTime: h.SignIns == 0, Breached: a.Breached,
		Groups: a.Groups,
	}
	var at Place
	if s.Places != nil {
		at = s.Places.Of(a.Address)
	}
	f.CountryOf, f.Zones = at.Country, s.cfg.Rules.ZonesOf(a.Address, at.Country, at.ASN)
	f.Values[policy.Device].Value = s.deviceHash(a.Device)
	set := func(feature policy.Feature, what, value string) {
		if value != "" {
			f.Values[feature].Value = s.value(what, value)
		}
	}
	if a.Address.IsValid() {
		set(policy.Block, "network", throttle.Block(a.Address))
	}
	set(policy.Agent, "agent", strings.TrimSpace(withoutVersions(a.UserAgent)))
	return f
}

// withoutVersions drops the digits of a user agent, so that an update of the
// same browser looks the same.
func withoutVersions(agent string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) || r == '.' {
			return -1
		}
		return r
	}, agent)
}

func (s *Service) value(what, value string) policy.Hash {
	return policy.Hash(binary.BigEndian.Uint64(s.mac(what, value)))
}

func (s *Service) deviceHash(id storage.ID) policy.Hash {
	if id == "" {
		return 0
	}
	return s.value("device", string(id))
}

// hash is 64 bits under the key: enough to tell a person's few values apart,
// too few to find out whose they are without the key.
func (s *Service) hash(what, value string) string {
	return base64.RawURLEncoding.EncodeToString(s.mac(what, value))
}

func (s *Service) mac(what, value string) []byte {
	mac := hmac.New(sha256.New, s.cfg.Key[:])
	mac.Write([]byte(what + "\x00" + value))
	return mac.Sum(nil)[:8]
}

// ruleScorersFailed names the decision when no configured scorer could look.
const ruleScorersFailed = "every scorer failed"

// unreadable is the signal, of no bits, that a person's history could not be read. They
// count as somebody who was never here: nobody is locked out by that, nor trusted.
const unreadable = "HISTORY_UNREADABLE"

// Assess decides about an attempt and stores nothing: see Remember and Learn. A
// scorer that fails leaves a signal of no weight, and the others decide; when
// all of them fail the person has to prove more.
func (s *Service) Assess(ctx context.Context, a Attempt) (*Assessment, error) {
	history, err := policy.DecodeHistory(a.History)
	var signals []policy.Signal
	if err != nil {
		history, signals = policy.History{}, []policy.Signal{{Code: unreadable}}
	}
	as := &Assessment{
		Circumstances: s.Circumstances(a),
		person:        a.Person,
		attempt:       policy.Attempt{At: s.now(), Facts: s.facts(a, history)},
		history:       history,
		newer:         errors.Is(err, policy.ErrVersion),
	}
	failed := 0
	for _, scorer := range s.cfg.Scorers {
		more, err := scorer.Score(ctx, nil, &as.attempt, &as.history)
		if err != nil {
			failed++
			more = []policy.Signal{{Code: "SCORER_FAILED", Observed: fmt.Sprintf("%T", scorer)}}
		}
		for _, sig := range more {
			sig.Bits = policy.Bits(sig.Bits)
			signals = append(signals, sig)
		}
	}
	as.Decision = rules.Decide(s.cfg.Rules, as.attempt.Facts, signals)
	if failed > 0 && failed == len(s.cfg.Scorers) && as.Decision.Outcome == policy.Allow {
		as.Decision.Outcome, as.Decision.ACR, as.Decision.Rule = policy.Require, policy.AAL2, ruleScorersFailed
	}
	as.Decision.ID = string(storage.NewID())
	return as, ctx.Err()
}

func (s *Service) scorers() []string {
	var names []string
	for _, scorer := range s.cfg.Scorers {
		names = append(names, fmt.Sprintf("%T", scorer))
	}
	return names
}

// Remember stores a decision with the facts it was made on, in the unit of ctx.
func (s *Service) Remember(ctx context.Context, as *Assessment) error {
	doc, err := policy.EncodeDecision(policy.Record{Decision: as.Decision, Facts: as.attempt.Facts})
	if err != nil {
		return fmt.Errorf("risk: remember: %w", err)
	}
	err = s.store.CreateDecision(ctx, &storage.Decision{
		ID: storage.ID(as.Decision.ID), PersonID: as.person, ClientID: as.attempt.Client,
		Outcome: string(as.Decision.Outcome), Rule: as.Decision.Rule,
		Document: storage.Document(doc), CreatedAt: storage.At(as.attempt.At),
	})
	if err != nil {
		return fmt.Errorf("risk: remember: %w", err)
	}
	return nil
}

// Learn adds an attempt to its person's history, in the unit of ctx; device is the id that
// its browser has from now on. Only a sign-in whose evidence met the decision may be learned.
func (s *Service) Learn(ctx context.Context, as *Assessment, device storage.ID) error {
	if as.newer {
		return nil
	}
	attempt := as.attempt
	attempt.Values[policy.Device].Value = s.deviceHash(device)
	doc, err := policy.EncodeHistory(as.history.Learn(attempt))
	if err != nil {
		return fmt.Errorf("risk: learn: %w", err)
	}
	err = s.store.SetHistory(ctx, &storage.History{PersonID: as.person, Document: storage.Document(doc), UpdatedAt: storage.At(as.attempt.At)})
	if err != nil {
		return fmt.Errorf("risk: learn: %w", err)
	}
	return nil
}

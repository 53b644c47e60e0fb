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
	"strconv"
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
	// Lists has what the zones of the rules import; nil: nothing. It must be set as Places is.
	Lists *Lists

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
	Hints      Hints
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
// last decision stands. What changes by itself under somebody who stays where they are
// is not in it: an address within its block, a version of the same browser.
func (s *Service) Circumstances(a Attempt) string {
	return s.circumstances(s.facts(a, policy.History{}), a)
}

func (s *Service) circumstances(f policy.Facts, a Attempt) string {
	f.DeviceTier, f.FirstTime, f.Crowd, f.Release = "", false, policy.Crowd{}, 0
	for i := range f.Values {
		f.Values[i] = policy.Seen{Value: f.Values[i].Value}
	}
	f.Values[policy.Address], f.Values[policy.Version] = policy.Seen{}, policy.Seen{}
	f.Values[policy.Agent] = policy.Seen{Value: s.value("agent", strings.TrimSpace(withoutVersions(a.UserAgent)))}
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
	f.CountryOf, f.Zones = at.Country, s.zones(a.Address, at)
	f.Values[policy.Device].Value = s.deviceHash(a.Device)
	s.seeNetwork(&f, a.Address, at)
	s.seeAgent(&f, a)
	return f
}

// zones names those that an address is in.
func (s *Service) zones(addr netip.Addr, at Place) []string {
	var listed rules.Listed
	if s.Lists != nil {
		listed = s.Lists.Has
	}
	return s.cfg.Rules.ZonesOf(addr, at.Country, at.ASN, listed)
}

// seeNetwork notes where an attempt comes from. A block is one wherever it lies: when the
// files of places are changed, or come, people's networks are still known.
func (s *Service) seeNetwork(f *policy.Facts, addr netip.Addr, at Place) {
	if at.Country != "" {
		s.see(f, policy.Country, "country", at.Country)
	}
	if at.ASN != 0 {
		s.see(f, policy.ASN, "asn", strconv.FormatUint(uint64(at.ASN), 10))
	}
	if at.Region != "" {
		s.see(f, policy.Region, "region", at.Country, at.Region)
	}
	if at.City != "" {
		s.see(f, policy.City, "city", at.Country, at.Region, at.City)
	}
	if at.Located {
		f.Values[policy.Place].Value = at.Point.Hash()
	}
	if addr.IsValid() {
		s.see(f, policy.Block, "network", throttle.Block(addr))
		s.see(f, policy.Address, "address", host(addr))
	}
}

// host is whose address it is: of IPv6 its /64, within which a machine has another one
// every day (RFC 8981).
func host(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	return netip.PrefixFrom(addr, 64).Masked().String()
}

// seeAgent notes what an attempt is made with. Each value stands for the coarser ones as
// well: a browser is another one on another system.
func (s *Service) seeAgent(f *policy.Facts, a Attempt) {
	with := AgentOf(a.UserAgent, a.Hints)
	if with.Kind != "" {
		s.see(f, policy.DeviceType, "device type", with.Kind)
	}
	if with.System != "" {
		s.see(f, policy.System, "system", with.Kind, with.System)
	}
	if with.Browser != "" {
		s.see(f, policy.Browser, "browser", with.Kind, with.System, with.Browser)
	}
	if with.Browser != "" && with.Release > 0 {
		f.Release = with.Release
		s.see(f, policy.Version, "version", with.Kind, with.System, with.Browser, strconv.Itoa(with.Release))
	}
	if agent := strings.TrimSpace(a.UserAgent); agent != "" {
		s.see(f, policy.Agent, "agent", agent)
	}
}

// see notes a value, by what it is made of.
func (s *Service) see(f *policy.Facts, feature policy.Feature, what string, parts ...string) {
	f.Values[feature].Value = s.value(what, strings.Join(parts, "\x00"))
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
		person:  a.Person,
		attempt: policy.Attempt{At: s.now(), Facts: s.facts(a, history)},
		history: history,
		newer:   errors.Is(err, policy.ErrVersion),
	}
	as.Circumstances = s.circumstances(as.attempt.Facts, a)
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

// Package risk runs the engine whose words policy has: it gathers the facts of
// an attempt, runs the scorers, lets policy/rules decide and stores the decision
// with all that it was made on, so that it can be explained and replayed.
//
// It must never decide itself, store an address or a user agent (facts carry
// keyed hashes), learn from a sign-in that did not reach what was demanded, or
// take a scorer's failure for a good sign.
//
// Notes
//
//   - 2026-11-28: scorers that only count are waited for, and have no deadline: on a machine
//     whose cores hash passwords a deadline would fail everybody at once.
//   - 2026-11-28: how common values are is in memory, and in the database a minute later: a
//     sign-in sends no statement for it. A sign-in weighs the more the later it is, so that
//     servers add to rows and never rewrite them.
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
	"math"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
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
	Scorers []Scorer  // none: the rules alone decide
	// Failed is told of each scorer that said nothing, and why; nil: nobody.
	Failed func(scorer, code string, err error)
	// Decided is told of each decision that was stored; nil: nobody.
	Decided func(policy.Outcome, policy.Level)
}

// Service decides about attempts.
type Service struct {
	// Places says where addresses are; nil: nobody knows. It must be set before the first
	// attempt, or never.
	Places *Places
	// Lists has what the zones of the rules import; nil: nothing. It must be set as Places is.
	Lists *Lists

	cfg     Config
	scorers []*asked
	crowd   *crowd                    // nil: no scorer asks how common anything is
	rules   atomic.Pointer[rules.Set] // those of cfg, with the levels of now
	store   *storage.Store
	now     func() time.Time
}

// New returns the service. It knows of no crowd until [Service.KeepCrowd].
func New(cfg Config, store *storage.Store, now func() time.Time) *Service {
	if cfg.Failed == nil {
		cfg.Failed = func(string, string, error) {}
	}
	if cfg.Decided == nil {
		cfg.Decided = func(policy.Outcome, policy.Level) {}
	}
	s := &Service{cfg: cfg, store: store, now: now}
	s.rules.Store(&cfg.Rules)
	for _, one := range cfg.Scorers {
		s.scorers = append(s.scorers, newAsked(one))
	}
	if len(s.scorers) > 0 {
		s.crowd = newCrowd()
	}
	return s
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
	levels        rules.Levels // that it was judged by
	newer         bool         // the history is of a newer program: it stays as it is
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
	}{f, s.cfg.Rules.ID(), s.scorerIDs()})
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

// Unreadable is the signal, of no bits, that a person's history could not be read. They
// count as somebody who was never here: nobody is locked out by that, nor trusted.
const Unreadable = "HISTORY_UNREADABLE"

// Assess decides about an attempt and stores nothing: see Remember and Learn. A
// scorer that fails leaves a signal of no weight, and the others decide; when
// all of them fail the person has to prove more.
func (s *Service) Assess(ctx context.Context, a Attempt) (*Assessment, error) {
	history, err := policy.DecodeHistory(a.History)
	var signals []policy.Signal
	if err != nil {
		history, signals = policy.History{}, []policy.Signal{{Code: Unreadable}}
	}
	as := &Assessment{
		person:  a.Person,
		attempt: policy.Attempt{At: s.now(), Facts: s.facts(a, history)},
		history: history,
		newer:   errors.Is(err, policy.ErrVersion),
	}
	as.Circumstances = s.circumstances(as.attempt.Facts, a)
	if s.crowd != nil {
		s.crowd.fill(&as.attempt.Facts, &as.history, as.attempt.At)
	}
	said, none := s.ask(ctx, as.attempt, as.history)
	set := s.rules.Load()
	as.levels = set.Levels
	as.Decision = rules.Decide(*set, as.attempt.Facts, append(signals, said...))
	if none {
		stepUp(&as.Decision)
	}
	as.Decision.ID = string(storage.NewID())
	return as, ctx.Err()
}

// stepUp demands a second factor of whoever would come in with less.
func stepUp(d *policy.Decision) {
	switch {
	case d.Outcome == policy.Allow:
		d.Outcome, d.Methods, d.MaxAge = policy.Require, nil, 0
	case d.Outcome == policy.Require && (d.ACR == "" || d.ACR == policy.AAL1):
	default:
		return
	}
	d.ACR, d.Rule = policy.AAL2, ruleScorersFailed
}

func (s *Service) scorerIDs() []string {
	var ids []string
	for _, one := range s.scorers {
		ids = append(ids, one.id())
	}
	return ids
}

// Remember stores a decision with the facts it was made on, in the unit of ctx.
func (s *Service) Remember(ctx context.Context, as *Assessment) error {
	record := policy.Record{Decision: as.Decision, Facts: as.attempt.Facts, Scorers: s.scorerIDs()}
	if as.levels != (rules.Levels{}) {
		record.Medium, record.High = finite(as.levels.Medium), finite(as.levels.High)
	}
	doc, err := policy.EncodeDecision(record)
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
	storage.Then(ctx, func() { s.cfg.Decided(as.Decision.Outcome, as.Decision.Level) })
	return nil
}

// finite is x, nil if no score reaches it.
func finite(x float64) *float64 {
	if math.IsInf(x, 1) {
		return nil
	}
	return &x
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
	if s.crowd != nil {
		storage.Then(ctx, func() { s.crowd.learn(&attempt, as.Decision.Score) })
	}
	return nil
}

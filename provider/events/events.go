package events

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// Kind names what happened: noun.verb in the past tense. Kinds are kept, and
// read by other systems: one that was released keeps its name.
type Kind string

// The kinds of events. A failed sign-in, a client-credentials token and a refresh
// change nothing: they are logged and counted.
const (
	SignInSucceeded  Kind = "signin.succeeded"
	SessionEnded     Kind = "session.ended"
	LogoutUntold     Kind = "logout.untold" // a client was not told, for all that was tried
	ConsentGiven     Kind = "consent.given"
	ConsentWithdrawn Kind = "consent.withdrawn" // the end of the consent and of every grant of person and client
	GrantMade        Kind = "grant.made"
	CodeSpent        Kind = "code.spent"
	IDTokenGiven     Kind = "id_token.given" // alone, at the authorization endpoint: no grant comes of it
	GrantRevoked     Kind = "grant.revoked"
	TokenIssued      Kind = "token.issued" // by the command line, for the operators' API
	TokenRevoked     Kind = "token.revoked"
	ClientCreated    Kind = "client.created"
	ClientUpdated    Kind = "client.updated"
	ClientDeleted    Kind = "client.deleted"
	ClientDisabled   Kind = "client.disabled"
	ClientEnabled    Kind = "client.enabled"
	SecretRotated    Kind = "secret.rotated" // a client's
	ResourceCreated  Kind = "resource.created"
	ResourceUpdated  Kind = "resource.updated"
	ResourceDeleted  Kind = "resource.deleted"
	PersonCreated    Kind = "person.created"
	PersonUpdated    Kind = "person.updated"
	PersonDisabled   Kind = "person.disabled"
	PasswordSet      Kind = "password.set"
	KeyRotated       Kind = "key.rotated"
	KeyRevoked       Kind = "key.revoked"
	DatabaseRestored Kind = "database.restored" // from a backup: what is older happened before it was made
	KEKRotated       Kind = "kek.rotated"       // everything is sealed with the current key-encryption key
	HeadDropped      Kind = "head.dropped"      // a signed head of the events that was not ours was taken out

	GroupCreated       Kind = "group.created"
	GroupUpdated       Kind = "group.updated"
	GroupDeleted       Kind = "group.deleted"
	GroupMemberAdded   Kind = "group.member_added"
	GroupMemberRemoved Kind = "group.member_removed"

	PersonSignedOut Kind = "person.signed_out" // every session of theirs ended
	PersonEnabled   Kind = "person.enabled"
	PersonDeleted   Kind = "person.deleted" // the end of all that was theirs

	FactorAdded       Kind = "factor.added" // it counts from now on: an authenticator gave its first code
	FactorRenamed     Kind = "factor.renamed"
	FactorRemoved     Kind = "factor.removed"
	RecoveryGenerated Kind = "recovery.generated" // new recovery codes, in the place of all others
	RecoveryUsed      Kind = "recovery.used"      // one of them
	FactorTrusted     Kind = "factor.trusted"     // its person said that it is theirs, after all
	FactorStopped     Kind = "factor.stopped"     // too many wrong codes: none of its codes is looked at any more
	FactorLifted      Kind = "factor.lifted"      // they are again

	// AccountDisowned: somebody said that something was not them, and all others lost the account.
	AccountDisowned Kind = "account.disowned"
	RecoveryBegun   Kind = "recovery.begun"   // who lost their password typed the code that was sent to them
	AddressVerified Kind = "address.verified" // a code that was sent there was typed: added with it, or before
	AddressRemoved  Kind = "address.removed"

	DeviceRemembered Kind = "device.remembered" // a browser spares its person from a second factor from now on
	DeviceForgotten  Kind = "device.forgotten"
	AskingChanged    Kind = "asking.changed" // how often a person wants to be asked for a second factor

	SetupOffered   Kind = "setup.offered"   // a link for the first operator was made
	SetupCompleted Kind = "setup.completed" // it was used

	MailUndelivered Kind = "mail.undelivered" // it was given up
	MailRetried     Kind = "mail.retried"     // a dead one, by an operator
	MailDiscarded   Kind = "mail.discarded"
)

// Actor is who did it.
type Actor string

// The actors of events.
const (
	ActorPerson   Actor = "person"
	ActorClient   Actor = "client"
	ActorOperator Actor = "operator"
	ActorSystem   Actor = "system" // the provider by itself, as after a reused code
)

// Outcome is what came of it.
type Outcome string

// The outcomes of events. Most changes that fail leave no event: they never were.
const (
	Success Outcome = "success"
	Failure Outcome = "failure" // something was changed, or given up, because it failed
)

// Event is what happened, before it has a time and an origin.
type Event struct {
	Kind    Kind
	Outcome Outcome // "" is Success
	Actor   Actor
	Person  storage.ID // whom it is about; "" for nobody
	Client  string     // the client's id; "" for none
	At      time.Time  // when it was; the zero Time stands for the moment of recording
	Data    any        // what else there is to say, as a JSON object without token_id; nil for nothing
	// Personal is what of it says who somebody is (a name, an e-mail address): it is
	// sealed, and goes when they are erased. It never stands in Data.
	Personal map[string]any
}

// Keys is what events are sealed and signed with; it is the keys service.
type Keys interface {
	Derive(purpose string) [32]byte
	Open(purpose, id string, sealed []byte) ([]byte, error)
	Algorithms() []string
	Sign(ctx context.Context, alg, typ string, payload []byte) (string, error)
	Verifier
}

// Service records events, chains them and reads them. It is safe for concurrent use.
type Service struct {
	store   *storage.Store
	keys    Keys
	now     func() time.Time
	origin  func(ctx context.Context) (requestID, address string)
	agent   func(ctx context.Context) (browser, system string)
	count   func(Kind)
	waiting *atomic.Int64 // since when the oldest event that was seen waits for its number, in microseconds; 0: none
}

// New returns the service. Without keys it records what has no personal part, and
// does nothing else.
func New(store *storage.Store, k Keys, now func() time.Time) *Service {
	return &Service{
		store: store, keys: k, now: now, waiting: &atomic.Int64{},
		origin: func(context.Context) (string, string) { return "", "" },
		agent:  func(context.Context) (string, string) { return "", "" },
		count:  func(Kind) {},
	}
}

type actorKey struct{}

type actor struct {
	kind  Actor
	id    string
	token string // by which it asked; "" for none
}

// WithActor returns a ctx whose events are done by that actor, whatever the room
// that records them takes them for: a surface that carries out the wishes of others
// knows whose they are. id is the client's id or the id of the person's row. What the
// provider does by itself stays its own.
func WithActor(ctx context.Context, kind Actor, id string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor{kind: kind, id: id})
}

// WithToken returns a ctx whose events also say by which access token their actor asked:
// id is its jti. An actor may have many, in many hands.
func WithToken(ctx context.Context, id string) context.Context {
	told, _ := ctx.Value(actorKey{}).(actor)
	told.token = id
	return context.WithValue(ctx, actorKey{}, told)
}

// by returns who did what e tells of.
func (e *Event) by(ctx context.Context) actor {
	if told, ok := ctx.Value(actorKey{}).(actor); ok && e.Actor != ActorSystem {
		return told
	}
	switch e.Actor {
	case ActorPerson:
		return actor{kind: e.Actor, id: string(e.Person)}
	case ActorClient:
		return actor{kind: e.Actor, id: e.Client}
	case ActorOperator, ActorSystem:
	}
	return actor{kind: e.Actor}
}

// From returns the service with origin to ask which request, from which address,
// a ctx belongs to: two empty strings for none.
func (s *Service) From(origin func(ctx context.Context) (requestID, address string)) *Service {
	with := *s
	with.origin = origin
	return &with
}

// With returns the service with agent to ask with which browser and system, in words, a person did
// something: two empty strings where nobody knows.
func (s *Service) With(agent func(ctx context.Context) (browser, system string)) *Service {
	with := *s
	with.agent = agent
	return &with
}

// Counted returns the service that tells count of each event that it recorded.
func (s *Service) Counted(count func(Kind)) *Service {
	with := *s
	with.count = count
	return &with
}

// memberAddress is the member of the personal part that From fills, MemberBrowser and MemberSystem
// those that With does, memberToken that of Data that WithToken does.
const (
	MemberBrowser = "browser"
	MemberSystem  = "system"

	memberAddress = "address"
	memberToken   = "token_id"
)

// document returns Data, with the token by which its actor asked, if there was one.
func (e *Event) document(token string) (storage.Raw, error) {
	text := storage.Raw("{}")
	if e.Data != nil {
		var err error
		if text, err = json.Marshal(e.Data); err != nil {
			return nil, err
		}
	}
	if token == "" {
		return text, nil
	}
	var said map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&said); err != nil {
		return nil, err
	}
	said[memberToken] = token
	return json.Marshal(said)
}

// Record appends the event to the unit in ctx; without a unit it is written at
// once. The request's id and the address, which is sealed, are those of ctx, and who
// did it is whom WithActor put there.
func (s *Service) Record(ctx context.Context, e Event) error {
	by := e.by(ctx)
	row := storage.Event{
		ID: storage.NewID(), Kind: string(e.Kind), Outcome: string(cmp.Or(e.Outcome, Success)), Actor: string(by.kind), ActorID: by.id,
		PersonID: e.Person, ClientID: e.Client, CreatedAt: storage.At(e.At),
	}
	if e.At.IsZero() {
		row.CreatedAt = storage.At(s.now())
	}
	document, err := e.document(by.token)
	if err != nil {
		return fmt.Errorf("record %s: %w", e.Kind, err)
	}
	row.Document = storage.Document(document)
	personal := maps.Clone(e.Personal)
	var address, browser, system string
	row.RequestID, address = s.origin(ctx)
	if by.kind == ActorPerson {
		browser, system = s.agent(ctx)
	}
	for member, value := range map[string]string{memberAddress: address, MemberBrowser: browser, MemberSystem: system} {
		if value == "" {
			continue
		}
		if personal == nil {
			personal = map[string]any{}
		}
		personal[member] = value
	}
	if len(personal) > 0 {
		if row.Personal, err = s.sealRecorded(row.ID, personal); err != nil {
			return fmt.Errorf("record %s: seal what is personal: %w", e.Kind, err)
		}
	}
	if err := s.store.CreateEvent(ctx, &row); err != nil {
		return fmt.Errorf("record %s: %w", e.Kind, err)
	}
	s.count(e.Kind)
	return nil
}

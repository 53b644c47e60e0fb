package proof

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/storage"
)

const (
	// MaxPasskeys is how many passkeys one person has.
	MaxPasskeys = 20
	// MaxPasskeyAnswer is the length of the longest answer of an authenticator, in bytes of JSON.
	MaxPasskeyAnswer = 32 << 10
	// maxCredentialID is what WebAuthn Level 3 section 4 allows.
	maxCredentialID = 1023
)

// PasskeyConfig says whose passkeys are taken.
type PasskeyConfig struct {
	// RPID is the domain that passkeys are made for (WebAuthn Level 3 section 5.1.2): the
	// issuer's host, or a domain above it. One that is no domain, such as an address,
	// leaves passkeys off.
	RPID    string
	Name    string   // of the house, as authenticators show it
	Origins []string // of the pages that ask, as in "https://login.example"; our own first
	// IsApp says whether an origin that is no page's is that of an app which may ask as our
	// pages do: "android:apk-key-hash:" and a hash. nil: there are none.
	IsApp func(ctx context.Context, origin string) (bool, error)
	// AAGUIDs are the models of authenticators that may be added, in text form; none for
	// all. With any, authenticators are asked to attest, and one that does not say its
	// model is refused.
	AAGUIDs []string
}

// Passkey adds and checks passkeys: WebAuthn Level 3 sections 7.1 and 7.2, by
// go-webauthn; challenges, counters and whose credential it is are ours.
type Passkey struct {
	store      *storage.Store
	events     *events.Service
	now        func() time.Time
	challenges challenges
	party      *webauthn.WebAuthn // nil while passkeys are off
	rpID       string
	origins    []string // related ones
	isApp      func(ctx context.Context, origin string) (bool, error)
	models     []uuid.UUID
}

// algorithms are what a credential may sign with, the best first.
var algorithms = []protocol.CredentialParameter{
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgEdDSA},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgRS256},
}

// NewPasskey returns the passkey proof; key is the MAC key of its challenges.
func NewPasskey(cfg PasskeyConfig, store *storage.Store, ev *events.Service, key [32]byte, now func() time.Time) (*Passkey, error) {
	p := &Passkey{store: store, events: ev, now: now, challenges: challenges{store, key, now}, rpID: cfg.RPID, isApp: cfg.IsApp}
	for _, text := range cfg.AAGUIDs {
		if err := CheckAAGUID(text); err != nil {
			return nil, fmt.Errorf("proof: passkeys: %w", err)
		}
		p.models = append(p.models, uuid.MustParse(text))
	}
	if protocol.ValidateRPID(cfg.RPID) != nil {
		return p, nil
	}
	party := &webauthn.Config{
		RPID: cfg.RPID, RPDisplayName: cfg.Name, RPOrigins: cfg.Origins,
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementPreferred, UserVerification: protocol.VerificationPreferred,
		},
		// What a browser tells beyond what it was asked is no reason to keep a person out.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	}
	if len(p.models) > 0 {
		party.AttestationPreference = protocol.PreferDirectAttestation
	}
	var err error
	if p.party, err = webauthn.New(party); err != nil {
		return nil, fmt.Errorf("proof: passkeys: %w", err)
	}
	if len(cfg.Origins) > 1 {
		doc, err := related(cfg.Origins[0], cfg.Origins[1:])
		if err != nil {
			return nil, fmt.Errorf("proof: passkeys: origins %w", err)
		}
		p.origins = doc.Origins
	}
	return p, nil
}

// Enabled reports whether there are passkeys: whether the relying-party id is a domain.
func (p *Passkey) Enabled() bool { return p.party != nil }

// RPID is the domain that passkeys are made for.
func (p *Passkey) RPID() string { return p.rpID }

// Creation returns what a browser is asked to make a passkey with, as
// PublicKeyCredentialCreationOptionsJSON (section 5.1.8). identifier is what the person
// calls the account.
func (p *Passkey) Creation(ctx context.Context, interaction storage.ID, person *storage.Person, identifier string) (json.RawMessage, error) {
	if !p.Enabled() {
		return nil, fault.NotFound("passkeys")
	}
	has, err := p.fewer(ctx, person)
	if err != nil {
		return nil, err
	}
	options, _, err := p.party.BeginRegistration(owner{person, identifier, nil},
		webauthn.WithCredentialParameters(algorithms), webauthn.WithExclusions(webauthn.Credentials(credentials(has)).CredentialDescriptors()),
		func(o *protocol.PublicKeyCredentialCreationOptions) error {
			o.Challenge = p.challenges.make(registration, interaction)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("proof: passkeys: %w", err)
	}
	return marshal(options.Response)
}

// fewer returns a person's passkeys, or a fault if one more would be too many.
func (p *Passkey) fewer(ctx context.Context, person *storage.Person) ([]storage.Passkey, error) {
	has, err := p.store.PasskeysOf(ctx, person.ID)
	if err != nil {
		return nil, fmt.Errorf("proof: passkeys: %w", err)
	}
	if len(has) >= MaxPasskeys {
		f := fault.Conflict("passkey", fmt.Sprintf("there are %d already: remove one first", MaxPasskeys))
		f.Code = "passkeys_many"
		return nil, f
	}
	return has, nil
}

// Add adds the passkey that answer, a RegistrationResponseJSON (section 5.1), has to a
// person, in the unit of ctx with its event, and returns it. [ErrWrong]: the answer is
// none to a challenge of this interaction, or proves nothing. A model that is not
// among those allowed, a name that is too long, or one passkey too many is a fault.
// From here or the flush, whose guard it brings: storage.ErrConflict where it is
// somebody's already, storage.ErrStale where another one was quicker to be the last.
func (p *Passkey) Add(ctx context.Context, interaction storage.ID, person *storage.Person, name string, answer []byte) (*storage.Passkey, error) {
	if !p.Enabled() {
		return nil, fault.NotFound("passkeys")
	}
	if strings.TrimSpace(name) != "" {
		var err error
		if name, err = factorName(name); err != nil {
			return nil, err
		}
	}
	if len(answer) > MaxPasskeyAnswer {
		return nil, fault.TooLarge("passkey", fmt.Sprintf("must have at most %d bytes", MaxPasskeyAnswer))
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return nil, wrong(err)
	}
	session, err := p.answered(ctx, registration, interaction, parsed.Response.CollectedClientData.Challenge)
	if err != nil {
		return nil, err
	}
	if _, err := p.fewer(ctx, person); err != nil {
		return nil, err
	}
	session.UserID, session.CredParams = handle(person), algorithms
	party, err := p.partyFor(ctx, parsed.Response.CollectedClientData.Origin)
	if err != nil {
		return nil, err
	}
	made, err := party.CreateCredential(owner{person: person}, session, parsed)
	if err != nil {
		return nil, wrong(err)
	}
	model, err := uuid.FromBytes(made.Authenticator.AAGUID)
	if err != nil || len(made.ID) == 0 || len(made.ID) > maxCredentialID {
		return nil, wrong(errors.New("the authenticator's model or the credential's id has a wrong length"))
	}
	if len(p.models) > 0 && !slices.Contains(p.models, model) {
		return nil, &fault.Error{Kind: fault.KindForbidden, Code: "passkey_model", Field: "passkey", Message: "must be of a model that is allowed here"}
	}
	k := &storage.Passkey{
		ID: storage.NewID(), PersonID: person.ID, CredentialID: made.ID, PublicKey: made.PublicKey, RPID: p.rpID, AAGUID: model.String(),
		Transports: transports(made.Transport), SignCount: int64(made.Authenticator.SignCount),
		BackupEligible: made.Flags.BackupEligible, BackedUp: made.Flags.BackupState, CreatedAt: storage.At(p.now()),
	}
	k.Name = cmp.Or(strings.TrimSpace(name), p.Model(k), "Passkey")
	err = p.store.Together(ctx, func(ctx context.Context) error {
		if err := p.store.CreatePasskey(ctx, k, MaxPasskeys); err != nil {
			return fmt.Errorf("proof: add passkey: %w", err)
		}
		return p.events.Record(ctx, factorEvent(events.FactorAdded, methodOf(k), person.ID, k.ID, k.Name, events.ActorPerson))
	})
	return k, err
}

// answered uses up the challenge of an answer, and returns what the library wants to
// know of the question.
func (p *Passkey) answered(ctx context.Context, of ceremony, interaction storage.ID, text string) (webauthn.SessionData, error) {
	challenge, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return webauthn.SessionData{}, wrong(errChallenge)
	}
	err = p.challenges.spend(ctx, of, interaction, challenge)
	switch {
	case errors.Is(err, errChallenge):
		return webauthn.SessionData{}, wrong(err)
	case err != nil:
		return webauthn.SessionData{}, fmt.Errorf("proof: passkey: %w", err)
	}
	return webauthn.SessionData{Challenge: text, RelyingPartyID: p.rpID}, nil
}

// Rename names a passkey, with the event. storage.ErrNotFound: the person has none of
// this id.
func (p *Passkey) Rename(ctx context.Context, person, id storage.ID, name string, by events.Actor) error {
	name, err := factorName(name)
	if err != nil {
		return err
	}
	return p.change(ctx, events.FactorRenamed, person, id, name, by, func(ctx context.Context) error {
		return p.store.RenamePasskey(ctx, person, id, name)
	})
}

// Remove removes a passkey, with the event: it opens nothing any more, and what it
// proved in living sessions counts no more. storage.ErrNotFound: the person has none of
// this id.
func (p *Passkey) Remove(ctx context.Context, person, id storage.ID, by events.Actor) error {
	return p.change(ctx, events.FactorRemoved, person, id, "", by, func(ctx context.Context) error {
		return p.store.DeletePasskey(ctx, person, id)
	})
}

// Trust has a passkey count again that was disowned, with the event.
// storage.ErrNotFound: the person has none of this id that is doubted.
func (p *Passkey) Trust(ctx context.Context, person, id storage.ID, by events.Actor) error {
	return p.change(ctx, events.FactorTrusted, person, id, "", by, func(ctx context.Context) error {
		return p.store.TrustPasskey(ctx, person, id)
	})
}

func (p *Passkey) change(ctx context.Context, kind events.Kind, person, id storage.ID, name string, by events.Actor, do func(context.Context) error) error {
	has, err := p.store.PasskeysOf(ctx, person)
	if err != nil {
		return fmt.Errorf("proof: passkeys: %w", err)
	}
	i := slices.IndexFunc(has, func(k storage.Passkey) bool { return k.ID == id })
	if i < 0 {
		return storage.ErrNotFound
	}
	err = p.store.Together(ctx, func(ctx context.Context) error {
		if err := do(ctx); err != nil {
			return err
		}
		return p.events.Record(ctx, factorEvent(kind, methodOf(&has[i]), person, id, name, by))
	})
	if err != nil {
		return fmt.Errorf("proof: change passkey: %w", err)
	}
	return nil
}

// wrong is ErrWrong with the cause, for the log.
func wrong(cause error) error {
	var detailed *protocol.Error
	if errors.As(cause, &detailed) {
		cause = fmt.Errorf("%w: %s", cause, detailed.DevInfo)
	}
	return fmt.Errorf("%w: %w", ErrWrong, cause)
}

// owner is a person, as the library wants to see them.
type owner struct {
	person     *storage.Person
	identifier string
	has        []webauthn.Credential
}

// handle is what authenticators know a person by (section 5.4.3): nothing that tells
// who it is.
func handle(person *storage.Person) []byte { return []byte(person.Sub) }

func (o owner) WebAuthnID() []byte                         { return handle(o.person) }
func (o owner) WebAuthnName() string                       { return o.identifier }
func (o owner) WebAuthnDisplayName() string                { return o.person.Name }
func (o owner) WebAuthnCredentials() []webauthn.Credential { return o.has }

func credentials(ks []storage.Passkey) []webauthn.Credential {
	out := make([]webauthn.Credential, 0, len(ks))
	for _, k := range ks {
		c := webauthn.Credential{ID: k.CredentialID, PublicKey: k.PublicKey}
		for _, t := range k.Transports {
			c.Transport = append(c.Transport, protocol.AuthenticatorTransport(t))
		}
		c.Flags.BackupEligible, c.Flags.BackupState = k.BackupEligible, k.BackedUp
		c.Authenticator.SignCount = uint32(k.SignCount) //nolint:gosec // it came from one
		out = append(out, c)
	}
	return out
}

// transports are those that WebAuthn names (section 5.8.4): a browser says what it likes.
func transports(told []protocol.AuthenticatorTransport) storage.Strings {
	known := []protocol.AuthenticatorTransport{protocol.USB, protocol.NFC, protocol.BLE, protocol.SmartCard, protocol.Hybrid, protocol.Internal}
	out := storage.Strings{}
	for _, t := range known {
		if slices.Contains(told, t) {
			out = append(out, string(t))
		}
	}
	return out
}

func marshal(options any) (json.RawMessage, error) {
	doc, err := json.Marshal(options)
	if err != nil {
		return nil, fmt.Errorf("proof: passkeys: %w", err)
	}
	return doc, nil
}

package proof

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/storage"
)

// Request returns what a browser is asked to prove a passkey with, as
// PublicKeyCredentialRequestOptionsJSON (section 5.1.9): one of this person's, of those
// with an id in only, if it has any; or with nil whichever it has, which then has to
// verify its user as well.
func (p *Passkey) Request(ctx context.Context, interaction storage.ID, person *storage.Person, only []string) (json.RawMessage, error) {
	if !p.Enabled() {
		return nil, fault.NotFound("passkeys")
	}
	challenge := webauthn.WithChallenge(p.challenges.make(authentication, interaction))
	if person == nil {
		options, _, err := p.party.BeginDiscoverableLogin(challenge, webauthn.WithUserVerification(protocol.VerificationRequired))
		if err != nil {
			return nil, fmt.Errorf("proof: passkeys: %w", err)
		}
		return marshal(options.Response)
	}
	has, err := p.store.PasskeysOf(ctx, person.ID)
	if err != nil {
		return nil, fmt.Errorf("proof: passkeys: %w", err)
	}
	if len(only) > 0 {
		has = slices.DeleteFunc(has, func(k storage.Passkey) bool { return !slices.Contains(only, string(k.ID)) })
	}
	has = slices.DeleteFunc(has, func(k storage.Passkey) bool { return !k.DoubtedAt.IsZero() })
	if len(has) == 0 {
		return nil, storage.ErrNotFound
	}
	options, _, err := p.party.BeginLogin(owner{person, "", credentials(has)}, challenge, webauthn.WithUserVerification(protocol.VerificationPreferred))
	if err != nil {
		return nil, fmt.Errorf("proof: passkeys: %w", err)
	}
	return marshal(options.Response)
}

// Verify returns who proved a passkey by answer, an AuthenticationResponseJSON
// (section 5.1), and the evidence, else [ErrWrong]: the answer is none to a challenge of
// this interaction, or its passkey nobody's, another person's than the one asked for, or
// one that counts backwards, which two copies of it would (section 6.1.1).
func (p *Passkey) Verify(ctx context.Context, interaction storage.ID, person *storage.Person, answer []byte) (*storage.Person, policy.Evidence, error) {
	var none policy.Evidence
	if !p.Enabled() {
		return nil, none, fault.NotFound("passkeys")
	}
	if len(answer) > MaxPasskeyAnswer {
		return nil, none, fault.TooLarge("passkey", fmt.Sprintf("must have at most %d bytes", MaxPasskeyAnswer))
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return nil, none, wrong(err)
	}
	session, err := p.answered(ctx, authentication, interaction, parsed.Response.CollectedClientData.Challenge)
	if err != nil {
		return nil, none, err
	}
	k, whose, err := p.store.PasskeyByCredential(ctx, parsed.RawID)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil, none, wrong(err)
	case err != nil:
		return nil, none, fmt.Errorf("proof: passkey: %w", err)
	case !whose.DisabledAt.IsZero():
		return nil, none, wrong(errors.New("its person is disabled"))
	case !k.DoubtedAt.IsZero():
		return nil, none, wrong(errors.New("its person has not said since that it is theirs"))
	}
	party, err := p.partyFor(ctx, parsed.Response.CollectedClientData.Origin)
	if err != nil {
		return nil, none, err
	}
	used, err := verified(party, session, person, whose, k, parsed)
	if err != nil {
		return nil, none, wrong(err)
	}
	was := k.SignCount
	k.SignCount, k.BackedUp, k.UsedAt = int64(used.Authenticator.SignCount), used.Flags.BackupState, storage.At(p.now())
	err = p.store.UsePasskey(storage.WithoutUnit(ctx), k, was)
	switch {
	case errors.Is(err, storage.ErrStale):
		return nil, none, wrong(err)
	case err != nil:
		return nil, none, fmt.Errorf("proof: passkey: %w", err)
	}
	ev := policy.Evidence{
		Method: methodOf(k), At: p.now(), Credential: string(k.ID), Interaction: string(interaction),
		PhishingResistant: true, DeviceBound: !k.BackupEligible, Platform: parsed.AuthenticatorAttachment == protocol.Platform,
		// Of this proof: a flag that was stored would say what once was.
		UserVerified: parsed.Response.AuthenticatorData.Flags.HasUserVerified(),
	}
	return whose, ev, nil
}

// methodOf is what a passkey proves: that somebody has the one device that it stays in,
// or one of those that it may be on.
func methodOf(k *storage.Passkey) string {
	if k.BackupEligible {
		return policy.Software
	}
	return policy.Hardware
}

// verified checks the answer against a passkey: of the person who was asked, or, when
// nobody in particular was, of whoever the authenticator says, with the user verified.
func verified(party *webauthn.WebAuthn, session webauthn.SessionData, asked, whose *storage.Person, k *storage.Passkey, parsed *protocol.ParsedCredentialAssertionData) (*webauthn.Credential, error) {
	one := owner{whose, "", credentials([]storage.Passkey{*k})}
	var (
		used *webauthn.Credential
		err  error
	)
	if asked == nil {
		session.UserVerification = protocol.VerificationRequired
		_, used, err = party.ValidatePasskeyLogin(func(_, _ []byte) (webauthn.User, error) { return one, nil }, session, parsed)
	} else {
		session.UserID, session.UserVerification = handle(asked), protocol.VerificationPreferred
		used, err = party.ValidateLogin(one, session, parsed)
	}
	switch {
	case err != nil:
		return nil, err
	case used.Authenticator.CloneWarning:
		return nil, errors.New("its counter did not go on")
	}
	return used, nil
}

package flow

import (
	"context"
	"fmt"
	"slices"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/storage"
)

// The ways in which people can prove more, the best first: with a passkey that stays in
// its device, with one that may be elsewhere as well, with an authenticator's code, with one
// that is sent to a phone, with the password; and where that is enough with a recovery code.
var (
	byBound    = Way{Step: StepPasskey, Gives: policy.Evidence{Method: policy.Hardware, PhishingResistant: true, UserVerified: true, DeviceBound: true}}
	bySynced   = Way{Step: StepPasskey, Gives: policy.Evidence{Method: policy.Software, PhishingResistant: true, UserVerified: true}}
	byCode     = Way{Step: StepTOTP, Gives: policy.Evidence{Method: policy.OneTime}}
	bySMS      = Way{Step: StepSMS, Gives: policy.Evidence{Method: policy.SMS}}
	byPassword = Way{Step: StepPassword, Gives: policy.Evidence{Method: policy.Password}}
	byRecovery = Way{Step: StepRecovery, Gives: policy.Evidence{Method: policy.Recovery}}
)

// hasSecond reports whether somebody who has these has a second factor.
func (s *Service) hasSecond(passkeys, totps, phones storage.Words) bool {
	return s.cfg.Passkeys && len(passkeys) > 0 || len(totps) > 0 || s.cfg.Texts && s.cfg.TextsCount && len(phones) > 0
}

// waysOf are the ways of one person.
func (s *Service) waysOf(in *storage.SignIn) []Way {
	var ways []Way
	for _, one := range []Way{byBound, bySynced} {
		one.By = slices.DeleteFunc(slices.Clone([]string(in.Passkeys)), func(id string) bool {
			return slices.Contains(in.BoundPasskeys, id) != one.Gives.DeviceBound
		})
		if s.cfg.Passkeys && len(one.By) > 0 {
			ways = append(ways, one)
		}
	}
	if len(in.TOTPs) > 0 {
		one := byCode
		one.Stopped = !slices.ContainsFunc(in.TOTPs, func(id string) bool { return !slices.Contains(in.StoppedTOTPs, id) })
		ways = append(ways, one)
	}
	if s.cfg.Texts && len(in.Phones) > 0 {
		one := bySMS
		one.Gives.Accepted = s.cfg.TextsCount
		ways = append(ways, one)
	}
	if !in.Password.IsZero() {
		ways = append(ways, byPassword)
	}
	if in.RecoveryCodes > 0 {
		ways = append(ways, byRecovery)
	}
	return ways
}

// standing is what a session stands on: without the evidence of passkeys, authenticators and
// phones that the person has no more.
func (s *Service) standing(in *storage.SignIn) (policy.Standing, error) {
	st, err := session.Standing(&in.Session, s.now())
	st.Evidence = s.counting(in, st.Evidence)
	return st, err
}

func (s *Service) counting(in *storage.SignIn, evs []policy.Evidence) []policy.Evidence {
	evs = slices.Clone(evs)
	for i := range evs { // the operator may have thought better of it since
		evs[i].Accepted = evs[i].Accepted && s.cfg.TextsCount
	}
	return slices.DeleteFunc(evs, func(e policy.Evidence) bool {
		switch {
		case isPasskey(e):
			return !slices.Contains(in.Passkeys, e.Credential)
		case e.Method == policy.OneTime:
			return !slices.Contains(in.TOTPs, e.Credential)
		case e.Method == policy.SMS:
			return !slices.Contains(in.Phones, e.Credential)
		}
		return false
	})
}

// counts are the ways and the evidence that count for a request: all that there are, or
// for one that is about a moment those that the person had before it. Recovery codes are not
// among them: who has the others can have them anew. For whoever recovers a password all count,
// whatever moment that is about: else a mail alone would do away with the second factor that
// its reader lacks.
func (s *Service) counts(ctx context.Context, a Answer, evidence []policy.Evidence) ([]Way, []policy.Evidence, error) {
	if a.resets() {
		return slices.DeleteFunc(s.waysOf(a.SignIn), func(w Way) bool { return w.Step == StepPassword }), evidence, nil
	}
	before := storage.At(a.Request.Before)
	if before.IsZero() || pageRules[a.Request.Page].resets { // that is over: what they chose counts
		return s.waysOf(a.SignIn), evidence, nil
	}
	younger, password, err := s.store.ProofsSince(ctx, a.SignIn.Person.ID, before)
	if err != nil {
		return nil, nil, fmt.Errorf("flow: proofs: %w", err)
	}
	isYounger := func(id string) bool { return slices.Contains(younger, storage.ID(id)) }
	in := *a.SignIn
	for _, ids := range []*storage.Words{&in.Passkeys, &in.BoundPasskeys, &in.TOTPs, &in.Phones} {
		*ids = slices.DeleteFunc(slices.Clone(*ids), isYounger)
	}
	if in.RecoveryCodes = 0; password {
		in.Password = storage.Time{}
	}
	return s.waysOf(&in), slices.DeleteFunc(slices.Clone(evidence), func(e policy.Evidence) bool {
		return e.Method == policy.Recovery || e.Method == policy.Mail || e.Method == policy.Password && password || isYounger(e.Credential)
	}), nil
}

// ReachableACR returns the acr values that somebody can reach, in policy's order,
// for the metadata (OpenID Connect Discovery section 3).
func (s *Service) ReachableACR() []string {
	ways := []Way{byPassword, byCode}
	if s.cfg.Passkeys {
		ways = append(ways, byBound)
	}
	var evs []policy.Evidence
	for _, w := range ways {
		w.Gives.At = s.now()
		evs = append(evs, w.Gives)
	}
	held := policy.Assess(evs, s.now())
	return slices.DeleteFunc(policy.ACRValues(), func(acr string) bool {
		return !slices.ContainsFunc(held, func(a policy.Assurance) bool { return a.ACR == acr })
	})
}

// mailboxes are the addresses that vouch for somebody who has no factor yet, the oldest first, where
// that matters: they make one, or read lately what was sent to one. None where no mails are sent.
func (s *Service) mailboxes(ctx context.Context, a Answer, ways []Way, evidence []policy.Evidence) ([]storage.Identifier, error) {
	held := slices.ContainsFunc(ways, func(w Way) bool { return w.Gives.Held() })
	read := slices.ContainsFunc(evidence, func(e policy.Evidence) bool { return e.Method == policy.Mail && s.now().Sub(e.At) <= freshProof })
	if !s.cfg.Mails || held || !pageRules[a.Request.Page].first && !read {
		return nil, nil
	}
	all, err := s.store.Identifiers(ctx, a.SignIn.Person.ID)
	if err != nil {
		return nil, fmt.Errorf("flow: addresses: %w", err)
	}
	return slices.DeleteFunc(all, func(one storage.Identifier) bool { return !s.vouches(&one, &a.SignIn.Person) }), nil
}

// vouches reports whether whoever reads what is sent to an address of somebody's is them, more than
// whoever has their password: it was verified, and is as old as the account, or was verified so long
// ago that they could have said that it was not them. It is no matter which others there are by now.
func (s *Service) vouches(one *storage.Identifier, person *storage.Person) bool {
	return one.Kind == ident.KindEmail && !one.VerifiedAt.IsZero() &&
		(!one.CreatedAt.After(person.CreatedAt.Time) || !one.VerifiedAt.After(s.now().Add(-ident.Settles)))
}

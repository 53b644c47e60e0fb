package flow

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/storage"
)

// asksSince is when the person signed in with one factor and is to be asked for another,
// after a proof; zero: they are not. Only a sign-in begins it, not a proof that somebody
// gives who is signed in.
func (s *Service) asksSince(a Answer, p proof, known *storage.Arrival, ev policy.Evidence) time.Time {
	switch {
	case answers(ev), a.resets(): // who lost their password gave the other one first, if they have one
		return time.Time{}
	case !s.signsIn(a, p):
		return p.standing.AsksSince
	case s.hasSecond(known.Passkeys, known.TOTPs, known.Phones) && policy.Asking(known.Asking).Asks(s.remembers(known)):
		return ev.At
	}
	return time.Time{}
}

// remembers reports whether the browser spares its person from a second factor: not where it was
// remembered by a phone, and those count no more.
func (s *Service) remembers(known *storage.Arrival) bool {
	by := string(known.Device.RememberedBy)
	return known.Device.Remembers(storage.At(s.now())) && (s.cfg.TextsCount || !slices.Contains(known.Phones, by))
}

// signsIn reports whether a proof is the first of a sign-in: of somebody who was not
// known, or whose proofs had lapsed, or who was to sign in anew (prompt=login).
func (s *Service) signsIn(a Answer, p proof) bool {
	if p.session == nil || !a.Reauth || a.SignIn.Session.ID != p.session.ID || len(policy.Assess(p.standing.Evidence, s.now())) == 0 {
		return true
	}
	v := view{Input: Input{Request: a.Request, Interaction: a.Interaction.ID, Begun: a.Interaction.CreatedAt.Time, Now: s.now(), Evidence: p.standing.Evidence}}
	return v.prompts("login") && !v.provenHere()
}

// recognise returns the browser as it is after a proof.
func (s *Service) recognise(p proof, b Browser, known *storage.Arrival, person storage.ID, ev policy.Evidence) storage.Device {
	now, with := storage.At(s.now()), session.AgentOf(b.UserAgent)
	d := known.Device
	if d.ID == "" {
		d = storage.Device{ID: b.Device, PersonID: person, CreatedAt: now}
	}
	if d.ID == "" {
		d.ID = storage.NewID()
	}
	d.SeenAt, d.ExpiresAt, d.Browser, d.System = now, storage.At(now.Add(s.cfg.Device)), with.Browser, with.System
	switch policy.TierBy(ev, p.standing.Evidence, now.Time) {
	case policy.TierPasskey:
		d.ProvenAt, d.BoundAt = now, now
	case policy.TierSecond:
		d.ProvenAt = now
	case policy.TierNone, policy.TierCookie:
	}
	return d
}

// rise gives the browser a new id, where it is to count for more than it did, or to
// spare its person from a second factor: who copied what it had before, or planted it there,
// has nothing of that.
func (s *Service) rise(p *proof, had storage.ID, before policy.Tier, remembers bool, ev policy.Evidence) {
	if remembers {
		p.device.RememberedUntil, p.device.RememberedBy = storage.At(s.now().Add(s.cfg.Remember)), storage.ID(ev.Credential)
		p.remembers = true
	}
	if had != "" && (remembers || !before.AtLeast(tierOf(&p.device))) {
		p.was, p.device.ID = had, storage.NewID()
	}
}

// seeDevice notes that the person signed in with this browser, in the unit of ctx.
func (s *Service) seeDevice(ctx context.Context, p proof) error {
	see := s.store.SeeDevice
	if p.was != "" {
		see = func(ctx context.Context, d *storage.Device) error {
			here := make([]storage.ID, len(p.others))
			for i := range p.others {
				here[i] = p.others[i].Person.ID
			}
			return s.store.RotateDevice(ctx, d, p.was, here...)
		}
	}
	if err := see(ctx, &p.device); err != nil {
		return fmt.Errorf("device: %w", err)
	}
	if !p.remembers {
		return nil
	}
	return s.events.Record(ctx, events.Event{
		Kind: events.DeviceRemembered, Actor: events.ActorPerson, Person: p.device.PersonID,
		Data: remembered{p.device.ID, p.device.RememberedUntil.UTC()},
	})
}

type remembered struct {
	Device storage.ID `json:"device"`
	Until  time.Time  `json:"until"`
}

// tierOf is what a person's browser reached.
func tierOf(d *storage.Device) policy.Tier {
	switch {
	case d.ID == "":
		return policy.TierNone
	case !d.BoundAt.IsZero():
		return policy.TierPasskey
	case !d.ProvenAt.IsZero():
		return policy.TierSecond
	}
	return policy.TierCookie
}

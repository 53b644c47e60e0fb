package flow

import (
	"context"
	"errors"
	"fmt"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

// BeginSignOut begins an interaction that asks whether to sign somebody out who is
// signed in with this browser, and returns where it is asked: about is one of its
// sessions, "" for the current one. It joins the unit of ctx.
func (s *Service) BeginSignOut(ctx context.Context, r Request, about storage.ID, b Browser) (path string, err error) {
	i, err := newInteraction(kindSignOut, r, Progress{Session: about, Chosen: about != ""}, b, s.now(), s.cfg.Lifetime)
	if err != nil {
		return "", err
	}
	if err := s.store.CreateInteraction(ctx, i); err != nil {
		return "", fmt.Errorf("flow: begin sign-out: %w", err)
	}
	return s.cfg.Paths.SignOut + "?i=" + string(i.ID), nil
}

// ResumeSignOut returns a pending question of [Service.BeginSignOut]: its
// interaction, request, client (nil when no client asks) and who is to be signed
// out (nil when they are, or nobody was signed in). Errors are those of [Service.Resume].
func (s *Service) ResumeSignOut(ctx context.Context, id string, b Browser) (Answer, error) {
	i, err := s.interaction(ctx, id, b, kindSignOut)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Interaction: i, browser: b}
	if a.Request, a.Progress, err = readInteraction(i); err != nil {
		return Answer{}, err
	}
	if a.Request.ClientID != "" {
		if a.Client, err = s.clients.Get(ctx, a.Request.ClientID); err != nil {
			return Answer{}, fmt.Errorf("flow: resume sign-out: %w", err)
		}
	}
	a.SignIn, err = s.goesOnWith(ctx, a)
	return a, err
}

// ConfirmSignOut signs out whom a is about, as [Service.SignOut] does, and
// spends the interaction, if one asked. shown is the session whose person was
// asked: if it is not that of a, nothing happens and done is false. It may be
// true beside an error: the session ended, and what follows failed.
func (s *Service) ConfirmSignOut(ctx context.Context, a Answer, b Browser, shown storage.ID) (left []string, done bool, err error) {
	if a.SignIn == nil || a.SignIn.Session.ID != shown {
		return nil, false, nil
	}
	if left, err = s.SignOut(ctx, shown, b); err != nil || a.Interaction == nil {
		return left, err == nil, err
	}
	// Last, so that a fault before it can be mended by asking again.
	if err := s.store.SpendInteraction(ctx, a.Interaction.ID, storage.At(s.now())); err != nil {
		return left, true, fmt.Errorf("flow: sign out: %w", err)
	}
	return left, true, nil
}

// SignOut ends one of this browser's sessions with the grants that live by it,
// and returns the cookie's values that are left. One that is not this browser's,
// or ended before, changes nothing.
func (s *Service) SignOut(ctx context.Context, id storage.ID, b Browser) (left []string, err error) {
	all, err := s.Accounts(ctx, b)
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		if one.Session.ID != id {
			left = append(left, secretOf(b, &one.Session))
			continue
		}
		err := s.sessions.End(ctx, &one.Session, "signed out", events.ActorPerson)
		if err != nil && !errors.Is(err, storage.ErrStale) {
			return nil, fmt.Errorf("flow: sign out: %w", err)
		}
	}
	return left, nil
}

package provider

import (
	"context"
	"errors"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

// RotateKey publishes a successor of the key of alg, as [keys.Service.Rotate] says,
// with its event. storage.ErrStale: somebody else rotated it at this moment.
func (s *Services) RotateKey(ctx context.Context, alg string, actor events.Actor) (keys.Key, error) {
	return s.rotateKey(ctx, alg, actor, s.Keys.Rotate)
}

func (s *Services) rotateKey(ctx context.Context, alg string, actor events.Actor, rotate func(context.Context, string) (keys.Key, error)) (key keys.Key, err error) {
	err = s.Store.Together(ctx, func(ctx context.Context) error {
		if key, err = rotate(ctx, alg); err != nil || key.KID == "" {
			return err
		}
		return s.Events.Record(ctx, events.Event{Kind: events.KeyRotated, Actor: actor, Data: map[string]string{"kid": key.KID, "alg": key.Alg}})
	})
	return key, err
}

// RotateDueKeys publishes a successor of each key that is due for one, and returns
// the successors. Every replica may call it at any time: one of them rotates a key.
func (s *Services) RotateDueKeys(ctx context.Context) ([]keys.Key, error) {
	algs, err := s.Keys.Due(ctx)
	if err != nil {
		return nil, err
	}
	var fresh []keys.Key
	for _, alg := range algs {
		key, err := s.rotateKey(ctx, alg, events.ActorSystem, s.Keys.RotateDue)
		switch {
		case errors.Is(err, storage.ErrStale): // another replica was first
		case err != nil:
			return fresh, err
		case key.KID != "":
			fresh = append(fresh, key)
		}
	}
	return fresh, nil
}

// RevokeKey ends a key everywhere, as [keys.Service.Revoke] says, with its event.
// Of a key that is revoked already nothing is done. storage.ErrStale: somebody else
// rotated it at this moment.
func (s *Services) RevokeKey(ctx context.Context, kid string, actor events.Actor) (revoked keys.Revoked, err error) {
	err = s.Store.Together(ctx, func(ctx context.Context) error {
		if revoked, err = s.Keys.Revoke(ctx, kid); err != nil || revoked.State == keys.StateRevoked {
			return err
		}
		data := map[string]string{"kid": kid, "alg": revoked.Alg, "state": string(revoked.State)}
		if revoked.Successor.KID != "" {
			data["successor"] = revoked.Successor.KID
		}
		return s.Events.Record(ctx, events.Event{Kind: events.KeyRevoked, Actor: actor, Data: data})
	})
	return revoked, err
}

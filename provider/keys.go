package provider

import (
	"context"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/keys"
)

// RotateKey publishes a successor of the key of alg, as [keys.Service.Rotate] says,
// with its event. storage.ErrStale: somebody else rotated it at this moment.
func (s *Services) RotateKey(ctx context.Context, alg string, actor events.Actor) (key keys.Key, err error) {
	err = s.Store.Together(ctx, func(ctx context.Context) error {
		if key, err = s.Keys.Rotate(ctx, alg); err != nil {
			return err
		}
		return s.Events.Record(ctx, events.Event{Kind: events.KeyRotated, Actor: actor, Data: map[string]string{"kid": key.KID, "alg": key.Alg}})
	})
	return key, err
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

package session

import (
	"context"
	"fmt"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

// Devices returns the browsers that a person signed in with and that are known by it, at
// most that many, those that were used last first.
func (s *Service) Devices(ctx context.Context, person storage.ID, limit int) ([]storage.Device, error) {
	ds, err := s.store.DevicesOf(ctx, person, storage.At(s.now()), limit)
	if err != nil {
		return nil, fmt.Errorf("session: devices: %w", err)
	}
	return ds, nil
}

// Forget has a browser be one that the person never signed in with. Where they are signed
// in with it they stay so. storage.ErrNotFound: it is none of theirs.
func (s *Service) Forget(ctx context.Context, person storage.ID, id string, by events.Actor) error {
	device, err := storage.ParseID(id)
	if err != nil {
		return err
	}
	err = s.store.Together(ctx, func(ctx context.Context) error {
		if err := s.store.ForgetDevice(ctx, person, device); err != nil {
			return err
		}
		return s.events.Record(ctx, events.Event{Kind: events.DeviceForgotten, Actor: by, Person: person, Data: forgotten{device}})
	})
	if err != nil {
		return fmt.Errorf("session: forget: %w", err)
	}
	return nil
}

type forgotten struct {
	Device storage.ID `json:"device"`
}

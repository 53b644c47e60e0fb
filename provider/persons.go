package provider

import (
	"context"

	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

// CreatePerson adds a person with a password, or without one if it is "": both or
// neither, with their events. What is wrong is a fault that names the field.
func (s *Services) CreatePerson(ctx context.Context, in directory.NewPerson, password string, by events.Actor) (*storage.Person, error) {
	if password != "" {
		// Before there is a person: Set finds their address only once it is written.
		if err := s.Passwords.Check(password, in.Email); err != nil {
			return nil, err
		}
	}
	var person *storage.Person
	err := s.Store.Together(ctx, func(ctx context.Context) (err error) {
		if person, err = s.Directory.Create(ctx, in, by); err != nil || password == "" {
			return err
		}
		return s.Passwords.Set(ctx, person, password, by)
	})
	return person, err
}

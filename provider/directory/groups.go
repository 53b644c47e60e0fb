package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/storage"
)

// Operators is the group of those who run this house. It is there from the first
// migration on, stays, and never loses the last member whose account is open.
const Operators = storage.Operators

// ErrNotMember says that a person is not in the group that they were to leave.
var ErrNotMember = errors.New("directory: not a member")

// groupEvent is what an event tells of a group.
type groupEvent struct {
	Group       string `json:"group"`
	Description string `json:"description,omitempty"`
}

// CreateGroup adds a group, with the event, in one unit. Its name is kept in its
// canonical form and never changes: clients are told it. Faults name the field; a
// name that is taken is fault.Conflict.
func (s *Service) CreateGroup(ctx context.Context, name, description string, by events.Actor) (*storage.Group, error) {
	canonical, err := ident.Group(name)
	var faults []*fault.Error
	if err != nil {
		faults = append(faults, fault.Invalid("name", fmt.Sprintf("must have 1 to %d letters a to z, digits or . _ - and begin with a letter or digit", ident.MaxGroup)))
	}
	if err := fault.Join(append(faults, checkDescription(description)...)...); err != nil {
		return nil, err
	}
	now := storage.At(s.now())
	g := &storage.Group{Name: canonical, Version: 1, Description: description, CreatedAt: now, UpdatedAt: now}
	err = s.store.Together(ctx, func(ctx context.Context) error {
		if err := s.store.CreateGroup(ctx, g); err != nil {
			return err
		}
		return s.events.Record(ctx, events.Event{Kind: events.GroupCreated, Actor: by, Data: groupEvent{g.Name, g.Description}})
	})
	switch {
	case errors.Is(err, storage.ErrConflict):
		return nil, fault.Conflict("name", "is taken")
	case err != nil:
		return nil, fmt.Errorf("directory: create group: %w", err)
	}
	return g, nil
}

func checkDescription(text string) []*fault.Error {
	if plain(text) {
		return nil
	}
	return []*fault.Error{fault.Invalid("description", fmt.Sprintf("must be text of at most %d bytes without control characters", maxText))}
}

// Group returns the group of this name, in any spelling that has its canonical
// form, or storage.ErrNotFound.
func (s *Service) Group(ctx context.Context, name string) (*storage.Group, error) {
	canonical, err := ident.Group(name)
	if err != nil {
		return nil, storage.ErrNotFound
	}
	g, err := s.store.Group(ctx, canonical)
	if err != nil {
		return nil, fmt.Errorf("directory: group: %w", err)
	}
	return g, nil
}

// Groups returns a page of all groups, by name. It is one statement.
func (s *Service) Groups(ctx context.Context, p storage.Page) (storage.List[storage.Group], error) {
	list, err := s.store.Groups(ctx, p)
	if err != nil {
		return list, fmt.Errorf("directory: groups: %w", err)
	}
	return list, nil
}

// GroupsOf returns a page of the groups of the person whom key names, as
// [Service.Show] reads it, by name; storage.ErrNotFound: there is no such person.
func (s *Service) GroupsOf(ctx context.Context, key string, p storage.Page) (storage.List[storage.Group], error) {
	person, err := s.Person(ctx, key)
	if err != nil {
		return storage.List[storage.Group]{}, err
	}
	list, err := s.store.GroupsOf(ctx, person.ID, p)
	if err != nil {
		return list, fmt.Errorf("directory: groups of a person: %w", err)
	}
	return list, nil
}

// Members returns a page of the people in a group, the oldest account first;
// storage.ErrNotFound: there is no such group.
func (s *Service) Members(ctx context.Context, group string, p storage.Page) (storage.List[storage.MemberEntry], error) {
	g, err := s.Group(ctx, group)
	if err != nil {
		return storage.List[storage.MemberEntry]{}, err
	}
	list, err := s.store.Members(ctx, g.Name, p)
	if err != nil {
		return list, fmt.Errorf("directory: members: %w", err)
	}
	return list, nil
}

// groupDocument is what can be changed of a group.
type groupDocument struct {
	Description string `json:"description"`
}

// PatchGroup changes a group, as it was read, by a JSON merge patch (RFC 7396), with
// the event, in one unit. A fault of kind Conflict over storage.ErrStale: it was
// changed since.
func (s *Service) PatchGroup(ctx context.Context, g *storage.Group, patch []byte, by events.Actor) error {
	var changed groupDocument
	if _, err := mergeInto(&changed, groupDocument{g.Description}, patch); err != nil {
		return err
	}
	if err := fault.Join(checkDescription(changed.Description)...); err != nil {
		return err
	}
	g.Description, g.UpdatedAt = changed.Description, storage.At(s.now())
	err := s.store.Together(ctx, func(ctx context.Context) error {
		if err := s.store.UpdateGroup(ctx, g); err != nil {
			return err
		}
		return s.events.Record(ctx, events.Event{Kind: events.GroupUpdated, Actor: by, Data: groupEvent{g.Name, g.Description}})
	})
	if err != nil {
		return fmt.Errorf("directory: update group: %w", meanwhile("group", err))
	}
	return nil
}

// meanwhile says of a conflict with what was read that somebody else was first.
func meanwhile(what string, err error) error {
	if !errors.Is(err, storage.ErrStale) {
		return err
	}
	return because(fault.Conflict("", "the "+what+" was changed by somebody else at the same time: try again"), err)
}

// because returns the fault with its cause.
func because(f *fault.Error, err error) error {
	f.Err = err
	return f
}

// DeleteGroup removes a group, with the event, in one unit: nobody is in it any
// more. While it owns clients or resources that is a fault of kind Conflict, which
// names them, and [Operators] stays. storage.ErrNotFound: there is no such group.
func (s *Service) DeleteGroup(ctx context.Context, name string, by events.Actor) error {
	g, err := s.Group(ctx, name)
	if err != nil {
		return err
	}
	return s.RemoveGroup(ctx, g, by)
}

// RemoveGroup is [Service.DeleteGroup] of a group as it was read. A fault of kind
// Conflict over storage.ErrStale: it was changed since, or owns something since.
func (s *Service) RemoveGroup(ctx context.Context, g *storage.Group, by events.Actor) error {
	if g.Name == Operators {
		return fault.Conflict("name", "is that of the group of those who run this house, which stays")
	}
	if err := s.checkOwnsNothing(ctx, g.Name); err != nil {
		return err
	}
	err := s.store.Together(ctx, func(ctx context.Context) error {
		if err := s.store.DeleteGroup(ctx, g); err != nil {
			return err
		}
		return s.events.Record(ctx, events.Event{Kind: events.GroupDeleted, Actor: by, Data: groupEvent{Group: g.Name}})
	})
	if err != nil {
		return fmt.Errorf("directory: delete group: %w", meanwhile("group", err))
	}
	return nil
}

// checkOwnsNothing returns a fault that says what a group owns, and what to do
// about it.
func (s *Service) checkOwnsNothing(ctx context.Context, group string) error {
	const shown = 5
	clients, resources, err := s.store.Owned(ctx, group, shown+1)
	if err != nil {
		return fmt.Errorf("directory: owned by %s: %w", group, err)
	}
	var owned []string
	for _, some := range []struct {
		what  string
		names []string
	}{{"clients", clients}, {"resources", resources}} {
		if len(some.names) == 0 {
			continue
		}
		names := strings.Join(some.names[:min(shown, len(some.names))], ", ")
		if len(some.names) > shown {
			names += " and others"
		}
		owned = append(owned, fmt.Sprintf("%s (%s)", some.what, names))
	}
	if len(owned) == 0 {
		return nil
	}
	return fault.Conflict("name", "is the owner of "+strings.Join(owned, " and of ")+": give them another owner, then delete it")
}

// AddMember puts the person whom key names, as [Service.Show] reads it, into a
// group, with the event, in one unit. Clients that may see a person's groups see it
// at the next token and the next userinfo. A fault of kind Conflict: they are in it,
// which is over storage.ErrConflict, or in [storage.MaxGroups] others. storage.ErrNotFound: there is no such group, or
// no such person, which [Service.Group] tells apart.
func (s *Service) AddMember(ctx context.Context, group, key string, by events.Actor) error {
	g, person, err := s.pair(ctx, group, key)
	if err != nil {
		return err
	}
	err = s.store.Together(ctx, func(ctx context.Context) error {
		if err := s.store.AddMember(ctx, &storage.Member{GroupName: g.Name, PersonID: person.ID, CreatedAt: storage.At(s.now())}); err != nil {
			return err
		}
		return s.events.Record(ctx, events.Event{Kind: events.GroupMemberAdded, Actor: by, Person: person.ID, Data: groupEvent{Group: g.Name}})
	})
	switch {
	case errors.Is(err, storage.ErrConflict):
		return because(fault.Conflict("person", "is in the group already"), err)
	case errors.Is(err, storage.ErrStale):
		return fault.Conflict("person", fmt.Sprintf("is in %d groups, the most that there can be", storage.MaxGroups))
	case err != nil:
		return fmt.Errorf("directory: add to group: %w", err)
	}
	return nil
}

// RemoveMember takes the person whom key names out of a group, with the event, in
// one unit. storage.ErrNotFound: there is no such group or person; a person who is
// not in it is a fault of kind Conflict over [ErrNotMember], and the last one of
// [Operators] is a fault of kind Conflict.
func (s *Service) RemoveMember(ctx context.Context, group, key string, by events.Actor) error {
	g, person, err := s.pair(ctx, group, key)
	if err != nil {
		return err
	}
	err = s.store.Together(ctx, func(ctx context.Context) error {
		if err := s.store.RemoveMember(ctx, g.Name, person.ID); err != nil {
			return err
		}
		return s.events.Record(ctx, events.Event{Kind: events.GroupMemberRemoved, Actor: by, Person: person.ID, Data: groupEvent{Group: g.Name}})
	})
	if g.Name == Operators {
		err = s.unlessLast(ctx, person.ID, err)
	}
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return because(fault.Conflict("person", "is not in the group"), ErrNotMember)
	case err != nil:
		return fmt.Errorf("directory: remove from group: %w", err)
	}
	return nil
}

// unlessLast returns err, with which a person did not cease to be one of [Operators], or
// the fault that says why not: nobody could run this house any more.
func (s *Service) unlessLast(ctx context.Context, person storage.ID, err error) error {
	if !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	switch last, failed := s.store.LastOperator(ctx, person); {
	case failed != nil:
		return failed
	case last:
		return fault.Conflict("person", "is the last one in the group "+Operators+" with an open account: put somebody else into it first")
	}
	return err
}

// IsMember reports whether a person is in the group of this canonical name.
func (s *Service) IsMember(ctx context.Context, group string, person storage.ID) (bool, error) {
	in, err := s.store.IsMember(ctx, group, person)
	if err != nil {
		return false, fmt.Errorf("directory: member of %s: %w", group, err)
	}
	return in, nil
}

func (s *Service) pair(ctx context.Context, group, key string) (*storage.Group, *storage.Person, error) {
	g, err := s.Group(ctx, group)
	if err != nil {
		return nil, nil, err
	}
	person, err := s.Person(ctx, key)
	return g, person, err
}

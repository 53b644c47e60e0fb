// Package directory keeps people: who they are, by which addresses they are
// found, and what may be told about them. A subject identifier is made here once
// and never again: whoever takes over an address is somebody else.
//
// It must never know how somebody proves who they are (proof does), find a
// person by anything but the canonical form of an identifier, or let two people
// have the same one.
package directory

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/storage"
)

// Service is the directory.
type Service struct {
	store  *storage.Store
	events *events.Service
	now    func() time.Time
}

// New returns the directory.
func New(store *storage.Store, ev *events.Service, now func() time.Time) *Service {
	return &Service{store: store, events: ev, now: now}
}

// NewPerson is what is known of somebody who is about to be added.
type NewPerson struct {
	Email    string // as the person writes it
	Verified bool   // the address is known to be theirs
	Name     string // "" while unknown
	Locale   string // BCP 47; "" while unknown
	Claims   Claims
}

// Create adds a person and their address, with the event, in one unit. Faults
// name the field; an address that somebody has is fault.Conflict.
func (s *Service) Create(ctx context.Context, in NewPerson, by events.Actor) (*storage.Person, error) {
	canonical, faults := in.check()
	if len(faults) > 0 {
		return nil, fault.Join(faults...)
	}
	claims, err := in.Claims.encode()
	if err != nil {
		return nil, err
	}
	now := storage.At(s.now())
	p := &storage.Person{
		ID: storage.NewID(), Sub: newSub(), Name: in.Name, Locale: in.Locale,
		Claims: storage.Document(claims), CreatedAt: now, UpdatedAt: now,
	}
	address := &storage.Identifier{
		Kind: ident.KindEmail, Value: canonical, PersonID: p.ID,
		Display: strings.TrimSpace(in.Email), CreatedAt: now,
	}
	if in.Verified {
		address.VerifiedAt = now
	}
	// Who has it already is known before the unit, so that a caller who flushes
	// later still hears it here; the primary key decides a race.
	if _, _, err := s.store.PersonIdentified(ctx, ident.KindEmail, canonical); err == nil {
		return nil, taken()
	} else if !errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("directory: create: %w", err)
	}
	err = s.store.Together(ctx, func(ctx context.Context) error {
		if err := s.store.CreatePerson(ctx, p); err != nil {
			return err
		}
		if err := s.store.CreateIdentifier(ctx, address); err != nil {
			return err
		}
		return s.events.Record(ctx, events.Event{Kind: events.PersonCreated, Actor: by, Person: p.ID})
	})
	switch {
	case errors.Is(err, storage.ErrConflict):
		return nil, taken()
	case err != nil:
		return nil, fmt.Errorf("directory: create: %w", err)
	}
	return p, nil
}

func taken() error {
	return fault.Conflict("email", "is the address of somebody who has an account already")
}

func (in NewPerson) check() (canonical string, faults []*fault.Error) {
	canonical, err := ident.Email(in.Email)
	if err != nil {
		faults = append(faults, fault.Invalid("email", "must be an e-mail address"))
	}
	return canonical, append(faults, profile{in.Name, in.Locale, in.Claims}.check()...)
}

// newSub returns 128 random bits: no two people ever share a subject. Its prefix
// is no client id's, so that a client is never taken for a person (RFC 9700
// section 4.15).
func newSub() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return ident.SubPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// ByEmail returns whom an address belongs to, disabled or not, in any spelling
// that has its canonical form; storage.ErrNotFound if nobody has it, or nobody
// could.
func (s *Service) ByEmail(ctx context.Context, raw string) (*storage.Person, error) {
	canonical, err := ident.Email(raw)
	if err != nil {
		return nil, storage.ErrNotFound
	}
	p, _, err := s.store.PersonIdentified(ctx, ident.KindEmail, canonical)
	if err != nil {
		return nil, fmt.Errorf("directory: by e-mail: %w", err)
	}
	return p, nil
}

// Entry is a person with the addresses that lead to them, oldest first.
type Entry struct {
	storage.Person
	Identifiers []storage.Identifier
}

// Show returns the person whom key names: an address, their public subject or the
// id of their row; storage.ErrNotFound.
func (s *Service) Show(ctx context.Context, key string) (*Entry, error) {
	p, err := s.Person(ctx, key)
	if err != nil {
		return nil, err
	}
	return s.entry(ctx, *p)
}

// Person returns the person whom key names, as [Service.Show] reads it, without their
// addresses; storage.ErrNotFound.
func (s *Service) Person(ctx context.Context, key string) (*storage.Person, error) {
	if strings.Contains(key, "@") {
		return s.ByEmail(ctx, key)
	}
	if strings.HasPrefix(key, ident.SubPrefix) {
		p, err := s.store.PersonBySub(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("directory: by subject: %w", err)
		}
		return p, nil
	}
	id, err := storage.ParseID(key)
	if err != nil {
		return nil, err
	}
	p, err := s.store.Person(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("directory: person: %w", err)
	}
	return p, nil
}

func (s *Service) entry(ctx context.Context, p storage.Person) (*Entry, error) {
	ids, err := s.store.Identifiers(ctx, p.ID)
	if err != nil {
		return nil, fmt.Errorf("directory: addresses: %w", err)
	}
	return &Entry{Person: p, Identifiers: ids}, nil
}

// List returns a page of people: all of them, the oldest account first, or with a
// search those with an address that begins so, by address. It is two statements.
func (s *Service) List(ctx context.Context, search string, p storage.Page) (storage.List[Entry], error) {
	people, err := s.search(ctx, search, p)
	if err != nil {
		return storage.List[Entry]{}, err
	}
	keys := make([]storage.ID, len(people.Items))
	for i := range people.Items {
		keys[i] = people.Items[i].ID
	}
	of, err := s.store.IdentifiersOf(ctx, keys)
	if err != nil {
		return storage.List[Entry]{}, fmt.Errorf("directory: addresses: %w", err)
	}
	out := storage.List[Entry]{Items: make([]Entry, 0, len(keys)), Next: people.Next}
	for _, p := range people.Items {
		out.Items = append(out.Items, Entry{Person: p, Identifiers: of[p.ID]})
	}
	return out, nil
}

func (s *Service) search(ctx context.Context, text string, p storage.Page) (people storage.List[storage.Person], err error) {
	if text == "" {
		people, err = s.store.Persons(ctx, p)
	} else {
		prefix, wrong := ident.EmailPrefix(text)
		if wrong != nil {
			return people, fault.Invalid("search", "must be an address or its beginning")
		}
		people, err = s.store.PersonsIdentified(ctx, ident.KindEmail, prefix, p)
	}
	if err != nil {
		return people, fmt.Errorf("directory: list: %w", err)
	}
	return people, nil
}

// Disable closes the account that key names, as [Service.Show] reads it: its
// sessions end and its grants are revoked, with the event, in one unit. That of the last
// one of [Operators] stays open, which is a fault of kind Conflict.
// storage.ErrNotFound: there is no such person, or they are disabled already.
func (s *Service) Disable(ctx context.Context, key string, by events.Actor) (*storage.Person, error) {
	p, err := s.Person(ctx, key)
	if err != nil {
		return nil, err
	}
	now := storage.At(s.now())
	err = s.store.Together(ctx, func(ctx context.Context) error {
		if err := s.store.DisablePerson(ctx, p.ID, now); err != nil {
			return err
		}
		return s.events.Record(ctx, events.Event{Kind: events.PersonDisabled, Actor: by, Person: p.ID})
	})
	if err = s.unlessLast(ctx, p.ID, err); err != nil {
		return nil, fmt.Errorf("directory: disable: %w", err)
	}
	p.DisabledAt, p.UpdatedAt = now, s.after(p.UpdatedAt)
	return p, nil
}

// Enable opens the account that key names, as [Service.Show] reads it, again, with
// the event, in one unit. They sign in anew: what ended when it was closed stays
// ended. storage.ErrNotFound: there is no such person, or they are not disabled.
func (s *Service) Enable(ctx context.Context, key string, by events.Actor) (*storage.Person, error) {
	p, err := s.Person(ctx, key)
	if err != nil {
		return nil, err
	}
	now := s.after(p.UpdatedAt)
	err = s.store.Together(ctx, func(ctx context.Context) error {
		if err := s.store.EnablePerson(ctx, p.ID, now); err != nil {
			return err
		}
		return s.events.Record(ctx, events.Event{Kind: events.PersonEnabled, Actor: by, Person: p.ID})
	})
	if err != nil {
		return nil, fmt.Errorf("directory: enable: %w", err)
	}
	p.DisabledAt, p.UpdatedAt = storage.Time{}, now
	return p, nil
}

// Delete erases the person whom key names, as [Service.Show] reads it: their account
// is closed as by [Service.Disable], so that clients are told, then all that is
// theirs goes, and what is personal in events, with the event, in one unit. Whoever has their address next is
// somebody else, with another subject. If it fails between the two the account is
// closed, and it can be tried again. The last one of [Operators] stays, which is a fault
// of kind Conflict. storage.ErrNotFound: there is no such person.
func (s *Service) Delete(ctx context.Context, key string, by events.Actor) error {
	p, err := s.Person(ctx, key)
	if err != nil {
		return err
	}
	if p.DisabledAt.IsZero() {
		if _, err := s.Disable(ctx, string(p.ID), by); err != nil && !errors.Is(err, storage.ErrNotFound) { // closed meanwhile
			return err
		}
	}
	err = s.store.Together(ctx, func(ctx context.Context) error {
		if err := s.store.DeletePerson(ctx, p.ID); err != nil {
			return err
		}
		if err := s.events.Erase(ctx, p.ID); err != nil {
			return err
		}
		return s.events.Record(ctx, events.Event{Kind: events.PersonDeleted, Actor: by, Person: p.ID})
	})
	if err = s.unlessLast(ctx, p.ID, err); err != nil {
		return fmt.Errorf("directory: delete: %w", err)
	}
	return nil
}

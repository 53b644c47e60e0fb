package directory

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/text/language"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/storage"
)

// profile is what can be changed of a person: what may be told about them, as JSON with
// the names and types of OIDC Core section 5.1.
type profile struct {
	Name   string `json:"name,omitempty"`
	Locale string `json:"locale,omitempty"`
	Claims
}

// decode reads JSON. A member that is unknown here, there twice or of another type is a
// fault that names it.
func decode(text []byte, into any) error {
	if err := clients.DecodeObject(text, into); err != nil {
		return err
	}
	strict := json.NewDecoder(bytes.NewReader(text)) // for the members of address
	strict.DisallowUnknownFields()
	if err := strict.Decode(into); err != nil {
		return fault.Invalid("address", "has a member that is not known here")
	}
	return nil
}

// Patch changes what may be told about a person, as they were read, by a JSON merge
// patch (RFC 7396), with the event, in one unit: null takes a claim away. Their address
// stays. A fault of kind Conflict over storage.ErrStale: they were changed since.
func (s *Service) Patch(ctx context.Context, p *storage.Person, patch []byte, by events.Actor) error {
	changed, names, err := patched(p, patch)
	if err != nil {
		return err
	}
	claims, err := changed.encode()
	if err != nil {
		return err
	}
	was := p.UpdatedAt
	p.Name, p.Locale, p.Claims, p.UpdatedAt = changed.Name, changed.Locale, storage.Document(claims), s.after(was)
	err = s.store.Together(ctx, func(ctx context.Context) error {
		if err := s.store.UpdatePerson(ctx, p, was); err != nil {
			return err
		}
		return s.events.Record(ctx, events.Event{
			Kind: events.PersonUpdated, Actor: by, Person: p.ID, Data: map[string]any{"changed": names},
		})
	})
	if err != nil {
		return fmt.Errorf("directory: update: %w", meanwhile("person", err))
	}
	return nil
}

// after is now, and later than was: when a person was changed tells one state of
// theirs from the next, on whatever clock.
func (s *Service) after(was storage.Time) storage.Time {
	now := storage.At(s.now())
	if now.After(was.Time) {
		return now
	}
	return storage.At(was.Add(time.Microsecond))
}

// ClaimsOf returns the claims that are kept of a person, but for those that have a
// home of their own.
func ClaimsOf(p *storage.Person) (Claims, error) {
	var c Claims
	if len(p.Claims.V) > 0 {
		if err := json.Unmarshal(p.Claims.V, &c); err != nil {
			return c, fmt.Errorf("directory: claims of %s: %w", p.ID, err)
		}
	}
	return c, nil
}

// patched returns the person's profile with a patch on it, and the names of the
// members that the patch has.
func patched(p *storage.Person, patch []byte) (*profile, []string, error) {
	claims, err := ClaimsOf(p)
	if err != nil {
		return nil, nil, err
	}
	var out profile
	names, err := mergeInto(&out, profile{p.Name, p.Locale, claims}, patch)
	if err == nil {
		err = fault.Join(out.check()...)
	}
	if err != nil {
		return nil, nil, err
	}
	return &out, names, nil
}

// mergeInto writes to into what now is with a patch on it, and returns the names of
// the members that the patch has, sorted. Faults name the member.
func mergeInto(into, now any, patch []byte) ([]string, error) {
	if err := clients.CheckObject(patch); err != nil {
		return nil, err
	}
	base, err := json.Marshal(now)
	if err != nil {
		return nil, fmt.Errorf("directory: before the patch: %w", err)
	}
	var target, changes map[string]any
	if err := errors.Join(json.Unmarshal(base, &target), json.Unmarshal(patch, &changes)); err != nil {
		return nil, fmt.Errorf("directory: patch: %w", err)
	}
	names := slices.Sorted(maps.Keys(changes))
	merged, err := json.Marshal(merge(target, changes))
	if err != nil {
		return nil, fmt.Errorf("directory: patch: %w", err)
	}
	return names, decode(merged, into)
}

// merge is MergePatch of RFC 7396 section 2, on objects.
func merge(target, patch map[string]any) map[string]any {
	if target == nil {
		target = map[string]any{}
	}
	for name, value := range patch {
		switch value := value.(type) {
		case nil:
			delete(target, name)
		case map[string]any:
			inner, _ := target[name].(map[string]any)
			target[name] = merge(inner, value)
		default:
			target[name] = value
		}
	}
	return target
}

// check returns a fault for everything that clients could not use as it is.
func (p profile) check() (faults []*fault.Error) {
	if !plain(p.Name) {
		faults = append(faults, fault.Invalid("name", fmt.Sprintf("must be text of at most %d bytes without control characters", maxText)))
	}
	if p.Locale != "" {
		if _, err := language.Parse(p.Locale); err != nil {
			faults = append(faults, fault.Invalid("locale", "must be a language tag such as sv or es-MX"))
		}
	}
	return append(faults, p.Claims.check()...)
}

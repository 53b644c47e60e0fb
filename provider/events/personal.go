package events

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

// What is personal is sealed as format || id of the salts || box. The event's own
// key is an HMAC of the salts and the event's id; nobody's salts have the id zero.
const (
	purposePersonal = "event-personal"

	personalFormat = 2 // keys.Seal's is 1
	saltSize       = 32
	saltIDSize     = 8
	personalHeader = 1 + saltIDSize
)

// errErased says that the key of somebody concerned is gone.
var errErased = errors.New("events: erased")

// salts are those of all people that are concerned, in the order of concerned.
type salts []byte

// id names the salts without telling them.
func (s salts) id() (id [saltIDSize]byte) {
	if len(s) > 0 {
		sum := sha256.Sum256(s)
		copy(id[:], sum[:])
	}
	return id
}

// key returns the key of one event.
func (s *Service) key(of salts, event storage.ID) [32]byte {
	root := s.keys.Derive(purposePersonal)
	mac := hmac.New(sha256.New, root[:])
	mac.Write(of)
	mac.Write([]byte(event))
	return [32]byte(mac.Sum(nil))
}

func (s *Service) seal(of salts, event storage.ID, plain []byte) ([]byte, error) {
	box, err := keys.SealUnder(s.key(of, event), purposePersonal, string(event), plain)
	if err != nil {
		return nil, err
	}
	id := of.id()
	return append(append([]byte{personalFormat}, id[:]...), box...), nil
}

// open returns what seal was given; errErased if it was with other salts.
func (s *Service) open(of salts, event storage.ID, sealed []byte) ([]byte, error) {
	if len(sealed) < personalHeader || sealed[0] != personalFormat {
		return nil, fmt.Errorf("%w: not in the format that this version writes", keys.ErrSealed)
	}
	if id := of.id(); !bytes.Equal(sealed[1:personalHeader], id[:]) {
		return nil, errErased
	}
	return keys.OpenUnder(s.key(of, event), purposePersonal, string(event), sealed[personalHeader:])
}

// sealRecorded seals what is personal for the provider, until the event is chained.
func (s *Service) sealRecorded(event storage.ID, personal map[string]any) ([]byte, error) {
	if s.keys == nil {
		return nil, errors.New("there are no keys")
	}
	plain, err := json.Marshal(personal)
	if err != nil {
		return nil, err
	}
	return s.seal(nil, event, plain)
}

// openRecorded returns what is personal in an event that is not chained yet.
func (s *Service) openRecorded(e *storage.Event) ([]byte, error) {
	if e.Personal != nil {
		return s.open(nil, e.ID, e.Personal)
	}
	address, err := s.keys.Open(storage.PurposeOrigin, string(e.ID), e.Origin) // the version before wrote that alone
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]string{memberAddress: string(address)})
}

// isPersonal reports whether there is something personal in an event.
func isPersonal(e *storage.Event) bool { return e.Origin != nil || e.Personal != nil }

// concerned returns whose salts seal an event: the person whom it is about, and the
// one who did it, whose address it has.
func concerned(e *storage.Event) (people []storage.ID) {
	if e.PersonID != "" {
		people = append(people, e.PersonID)
	}
	if Actor(e.Actor) != ActorClient { // whose id may look like anything
		if by, err := storage.ParseID(e.ActorID); err == nil && by != e.PersonID {
			people = append(people, by)
		}
	}
	return people
}

// saltsOf returns the salts of an event, false if one of them is not there.
func saltsOf(e *storage.Event, known map[storage.ID][]byte) (all salts, there bool) {
	for _, person := range concerned(e) {
		salt := known[person]
		if len(salt) != saltSize {
			return nil, false
		}
		all = append(all, salt...)
	}
	return all, true
}

// knownSalts returns the salts of all whom those of these events concern that have a
// personal part.
func (s *Service) knownSalts(ctx context.Context, events []storage.Event) (map[storage.ID][]byte, error) {
	var people []storage.ID
	seen := map[storage.ID]bool{}
	for i := range events {
		if !isPersonal(&events[i]) {
			continue
		}
		for _, person := range concerned(&events[i]) {
			if !seen[person] {
				seen[person] = true
				people = append(people, person)
			}
		}
	}
	if len(people) == 0 {
		return nil, nil //nolint:nilnil // nobody has no salts
	}
	known, err := s.store.PersonSalts(ctx, people)
	if err != nil {
		return nil, fmt.Errorf("events: salts: %w", err)
	}
	return known, nil
}

// makeSalts is knownSalts for events that are about to be chained: everybody in the
// directory gets a salt.
func (s *Service) makeSalts(ctx context.Context, events []storage.Event) (map[storage.ID][]byte, error) {
	known, err := s.knownSalts(ctx, events)
	if err != nil {
		return nil, err
	}
	fresh := map[storage.ID][]byte{}
	for i := range events {
		if !isPersonal(&events[i]) {
			continue
		}
		for _, person := range concerned(&events[i]) {
			if _, there := known[person]; !there && fresh[person] == nil {
				fresh[person] = make([]byte, saltSize)
				_, _ = rand.Read(fresh[person]) // never fails
			}
		}
	}
	if len(fresh) == 0 {
		return known, nil
	}
	if err := s.store.CreatePersonSalts(ctx, storage.At(s.now()), fresh); err != nil {
		return nil, fmt.Errorf("events: make salts: %w", err)
	}
	return s.knownSalts(ctx, events) // what counts is what is in the database: somebody else may have been first
}

// sealForPeople gives an event that is about to be chained its lasting personal
// part: sealed for those whom it concerns, none if one of them is erased.
// keys.ErrWrongKEK: it is as it was; another replica, or this one with that key, can do it.
func (p *pass) sealForPeople(e *storage.Event, known map[storage.ID][]byte) error {
	if !isPersonal(e) {
		return nil
	}
	all, there := saltsOf(e, known)
	if !there {
		e.Personal, e.Origin = nil, nil
		return nil
	}
	if why := p.missing[keys.SealedWith(e.Origin)]; e.Personal == nil && why != nil {
		return why
	}
	plain, err := p.openRecorded(e)
	switch {
	case errors.Is(err, keys.ErrWrongKEK):
		return fmt.Errorf("event %s: %w", e.ID, err)
	case err == nil:
		e.Personal, err = p.seal(all, e.ID, plain)
	case e.Personal == nil: // nobody can read it, and no event waits for ever because of that
		e.Personal, err = e.Origin, nil
	default:
		err = nil
	}
	e.Origin = nil
	return err
}

// Erase makes what is personal in a person's events unreadable for good, in the
// events that they did to others too; that they happened stays. To delete the
// person's row does the same.
func (s *Service) Erase(ctx context.Context, person storage.ID) error {
	if err := s.store.ErasePersonSalt(ctx, person); err != nil {
		return fmt.Errorf("events: erase: %w", err)
	}
	return nil
}

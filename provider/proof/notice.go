package proof

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/storage"
)

// Notices tell people that their proofs were changed, at every address of theirs that
// was verified: whoever changes them cannot keep all of these from their owner.
type Notices struct {
	store *storage.Store
	mail  *mail.Service
	now   func() time.Time
	notMe string // the path for whoever did not do it
}

// NewNotices returns the service; notMe is the path, on the issuer, that a notice leads
// to for whoever did not do what it tells of.
func NewNotices(store *storage.Store, m *mail.Service, notMe string, now func() time.Time) *Notices {
	return &Notices{store: store, mail: m, notMe: notMe, now: now}
}

// Added tells of a new proof, in the unit of ctx; name is its owner's name for it, or "".
func (n *Notices) Added(ctx context.Context, person *storage.Person, with mail.Device, factor mail.Factor, name string) error {
	return n.tell(ctx, person, with, func(about mail.Notice) mail.Message {
		return mail.FactorAdded{Notice: about, Factor: factor, Name: name}
	})
}

// Removed tells that a proof is gone, in the unit of ctx. Where too many notices went
// out, it goes untold: who puts things right is not to wait for whoever caused them.
func (n *Notices) Removed(ctx context.Context, person *storage.Person, with mail.Device, factor mail.Factor, name string) error {
	err := n.tell(ctx, person, with, func(about mail.Notice) mail.Message {
		return mail.FactorRemoved{Notice: about, Factor: factor, Name: name}
	})
	var f *fault.Error
	if errors.As(err, &f) && f.Kind == fault.KindTooMany {
		return nil
	}
	return err
}

// PasswordChanged tells that another password was set, in the unit of ctx.
func (n *Notices) PasswordChanged(ctx context.Context, person *storage.Person, with mail.Device) error {
	return n.tell(ctx, person, with, func(about mail.Notice) mail.Message { return mail.PasswordChanged{Notice: about} })
}

func (n *Notices) tell(ctx context.Context, person *storage.Person, with mail.Device, words func(mail.Notice) mail.Message) error {
	ids, err := n.store.Identifiers(ctx, person.ID)
	if err != nil {
		return fmt.Errorf("proof: tell of a change: %w", err)
	}
	message := words(mail.Notice{When: n.now(), Device: with, NotMe: n.notMe})
	for _, id := range ids {
		if id.Kind != "email" || id.VerifiedAt.IsZero() {
			continue
		}
		err := n.mail.Send(ctx, mail.To{Address: id.Value, Person: person.ID, Lang: person.Locale}, message)
		if errors.Is(err, mail.ErrOff) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("proof: tell of a change: %w", err)
		}
	}
	return nil
}

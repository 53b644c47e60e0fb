package proof

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/storage"
)

// Notices tell people that their proofs were changed, at every address of theirs that
// was verified: whoever changes them cannot keep all of these from their owner. And
// they take the answer "this wasn't me": see [Notices.Disown].
type Notices struct {
	store  *storage.Store
	mail   *mail.Service
	events *events.Service
	phones *Phones
	now    func() time.Time
	paths  NoticePaths
}

// NoticePaths are where, on the issuer, a notice leads whoever did not do it.
type NoticePaths struct {
	NotMe    string // with a link's secret as the parameter [ParamLink]
	Activity string // without one
}

// NewNotices returns the service.
func NewNotices(store *storage.Store, m *mail.Service, ev *events.Service, phones *Phones, paths NoticePaths, now func() time.Time) *Notices {
	return &Notices{store: store, mail: m, events: ev, phones: phones, paths: paths, now: now}
}

// Added tells of a new proof, added at that time, in the unit of ctx; name is its owner's name
// for it, or "".
func (n *Notices) Added(ctx context.Context, person *storage.Person, with mail.Device, at time.Time, factor mail.Factor, name string) error {
	return n.tell(ctx, person, with, at, false, func(about mail.Notice) mail.Message {
		return mail.FactorAdded{Notice: about, Factor: factor, Name: name, Unused: factor == mail.FactorPhone && !n.phones.Accepted()}
	})
}

// RecoveryUsed tells that a recovery code was used, in the unit of ctx; untold as Removed is.
func (n *Notices) RecoveryUsed(ctx context.Context, person *storage.Person, with mail.Device) error {
	return n.tell(ctx, person, with, n.now(), true, func(about mail.Notice) mail.Message { return mail.RecoveryUsed{Notice: about} })
}

// Stopped tells that an authenticator was stopped, in the unit of ctx; untold as Removed is.
func (n *Notices) Stopped(ctx context.Context, person *storage.Person, with mail.Device, name string) error {
	return n.tell(ctx, person, with, n.now(), true, func(about mail.Notice) mail.Message {
		return mail.FactorStopped{Notice: about, Factor: mail.FactorTOTP, Name: name}
	})
}

// Removed tells that a proof is gone, in the unit of ctx. Where too many notices went
// out, it goes untold: who puts things right is not to wait for whoever caused them.
func (n *Notices) Removed(ctx context.Context, person *storage.Person, with mail.Device, factor mail.Factor, name string) error {
	return n.tell(ctx, person, with, n.now(), true, func(about mail.Notice) mail.Message {
		return mail.FactorRemoved{Notice: about, Factor: factor, Name: name}
	})
}

// PasswordChanged tells that another password was set at that time, in the unit of ctx.
func (n *Notices) PasswordChanged(ctx context.Context, person *storage.Person, with mail.Device, at time.Time) error {
	return n.tell(ctx, person, with, at, false, func(about mail.Notice) mail.Message { return mail.PasswordChanged{Notice: about} })
}

// PasswordReset tells that who lost their password, or had none, has another one, set at that
// time, in the unit of ctx; untold as Removed is.
func (n *Notices) PasswordReset(ctx context.Context, person *storage.Person, with mail.Device, at time.Time, first bool) error {
	return n.tell(ctx, person, with, at, true, func(about mail.Notice) mail.Message {
		if first {
			return mail.FactorAdded{Notice: about, Factor: mail.FactorPassword}
		}
		return mail.PasswordChanged{Notice: about}
	})
}

// AskingLowered tells that the person is asked for a second factor less often, in the unit
// of ctx.
func (n *Notices) AskingLowered(ctx context.Context, person *storage.Person, with mail.Device, at time.Time) error {
	return n.tell(ctx, person, with, at, false, func(about mail.Notice) mail.Message { return mail.AskingLowered{Notice: about} })
}

// tell sends a notice of what happened at that time. An address that was verified before
// gets a link in it, of its own: one that came with the change, or after it, says nothing
// of who had the account before. With untold an address to which too many notices went is left
// out; else that is an error.
func (n *Notices) tell(ctx context.Context, person *storage.Person, with mail.Device, at time.Time, untold bool, words func(mail.Notice) mail.Message) error {
	if !n.mail.Enabled() {
		return nil
	}
	ids, err := n.store.Identifiers(ctx, person.ID)
	if err != nil {
		return fmt.Errorf("proof: tell of a change: %w", err)
	}
	since := storage.At(at)
	for _, id := range ids {
		if id.Kind != "email" || id.VerifiedAt.IsZero() {
			continue
		}
		about := mail.Notice{When: at, Device: with, NotMe: n.paths.Activity}
		var link *storage.DisownLink
		if id.VerifiedAt.Before(since.Time) {
			var secret string
			link, secret = n.link(person.ID, id.Value, since)
			about.NotMe = n.paths.NotMe + "?" + url.Values{ParamLink: {secret}}.Encode()
		}
		message := words(about)
		err := n.mail.Send(ctx, mail.To{Address: id.Value, Person: person.ID, Lang: person.Locale}, message)
		var f *fault.Error
		if untold && errors.As(err, &f) && f.Kind == fault.KindTooMany {
			continue
		}
		if err != nil {
			return fmt.Errorf("proof: tell of a change: %w", err)
		}
		if link == nil {
			continue
		}
		link.Kind = string(message.Kind())
		if err := n.store.CreateDisownLink(ctx, link); err != nil {
			return fmt.Errorf("proof: tell of a change: %w", err)
		}
	}
	return nil
}

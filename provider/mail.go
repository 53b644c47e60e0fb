package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/outbound"
	"github.com/doorstep-id/doorstep/provider/sms"
	"github.com/doorstep-id/doorstep/templates"
)

// openMail returns the service of mails, on the rooms that it stands on.
func openMail(cfg Config, s *Services, now func() time.Time) (*mail.Service, error) {
	var mails *templates.Mails
	if cfg.Mail.Enabled() { // they take a while to read
		var err error
		if mails, err = templates.NewMails(cfg.Templates); err != nil {
			return nil, err
		}
	}
	cfg.Mail.Brand, cfg.Mail.Issuer = cmp.Or(cfg.Web.Name, "Doorstep"), cfg.Issuer.String()
	return mail.New(cfg.Mail, mail.Deps{Store: s.Store, Keys: s.Keys, Events: s.Events, Throttle: s.Throttle, Mails: mails, Now: now})
}

// openSMS returns the service of text messages. Its client is one of its own: a gateway may
// take longer than others whom we ask.
func openSMS(cfg Config, s *Services, now func() time.Time) (*sms.Service, error) {
	cfg.SMS.Brand, cfg.SMS.Domain, cfg.SMS.Templates = cmp.Or(cfg.Web.Name, "Doorstep"), cfg.Issuer.Hostname(), cfg.Templates
	cfg.Outbound.Timeout = cmp.Or(cfg.SMS.Timeout, sms.DefaultTimeout)
	return sms.New(cfg.SMS, sms.Deps{Store: s.Store, Keys: s.Keys, Events: s.Events, Throttle: s.Throttle, Out: outbound.New(cfg.Outbound), Now: now})
}

// DeliverMails sends the mails and the text messages that are due, and returns when none of
// that goes on any more. Background does it again and again.
func (p *Provider) DeliverMails(ctx context.Context) error {
	var all []error
	for _, d := range p.deliverers {
		all = append(all, d.DeliverDue(ctx))
		d.Wait()
		all = append(all, d.Count(ctx))
	}
	return errors.Join(all...)
}

// sendMails sends messages until ctx ends, and counts those that wait.
func (p *Provider) sendMails(ctx context.Context) {
	var all sync.WaitGroup
	for _, d := range p.deliverers {
		all.Go(func() { d.Run(ctx) })
		all.Go(func() { p.every(ctx, 15*time.Second, "count mails", d.Count) })
	}
	all.Wait()
}

// newDeliverers returns what sends messages beside the requests, one for each channel: where
// one is down the others go on.
func (p *Provider) newDeliverers() (all []*mail.Deliverer, err error) {
	for _, box := range []*mail.Outbox{p.Mail.Outbox, p.SMS.Outbox} {
		d, err := mail.NewDeliverer(box, mail.DelivererDeps{Metrics: p.registry, Log: p.job(box.Channel()), Hold: p.clock.apart.Load})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", box.Channel(), err)
		}
		all = append(all, d)
	}
	return all, nil
}

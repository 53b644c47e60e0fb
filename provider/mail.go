package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/templates"
)

// openMail returns the service of mails, on the rooms that it stands on.
func openMail(cfg Config, s *Services, now func() time.Time) (*mail.Service, error) {
	var mails *templates.Mails
	if cfg.Mail.Enabled() { // they take a while to read
		var err error
		if mails, err = templates.NewMails(cfg.Mail.Templates); err != nil {
			return nil, err
		}
	}
	cfg.Mail.Brand, cfg.Mail.Issuer = cmp.Or(cfg.Web.Name, "Doorstep"), cfg.Issuer.String()
	return mail.New(cfg.Mail, mail.Deps{Store: s.Store, Keys: s.Keys, Events: s.Events, Throttle: s.Throttle, Mails: mails, Now: now})
}

// DeliverMails sends the mails that are due, and returns when none of that goes on any
// more. Background does it again and again.
func (p *Provider) DeliverMails(ctx context.Context) error {
	err := p.deliverer.DeliverDue(ctx)
	p.deliverer.Wait()
	return errors.Join(err, p.deliverer.Count(ctx))
}

// sendMails sends mails until ctx ends, and counts those that wait.
func (p *Provider) sendMails(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { p.deliverer.Run(ctx) })
	both.Go(func() { p.every(ctx, 15*time.Second, "count mails", p.deliverer.Count) })
	both.Wait()
}

// newDeliverer returns what sends mails beside the requests.
func (p *Provider) newDeliverer() (*mail.Deliverer, error) {
	d, err := mail.NewDeliverer(p.Mail, mail.DelivererDeps{Metrics: p.registry, Log: p.job("mail"), Hold: p.clock.apart.Load})
	if err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	return d, nil
}

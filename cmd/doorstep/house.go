package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/risk"
	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/storage"
)

// inHouse is configured for a command that works on the configured database. A
// server may run on it at the same time: what it keeps in memory lapses in seconds,
// and both go by the database's clock.
func (a *app) inHouse(f func(ctx context.Context, s *provider.Services, args []string) error) func(*cobra.Command, []string) error {
	return a.configured(func(ctx context.Context, cfg *config, args []string) error {
		return a.withServices(ctx, cfg, func(s *provider.Services) error { return f(ctx, s, args) })
	})
}

// withServices runs f with the rooms on the open database.
func (a *app) withServices(ctx context.Context, cfg *config, f func(*provider.Services) error) error {
	return a.withRooms(ctx, cfg, func(s *provider.Services, _ provider.Config, _ func() time.Time) error { return f(s) })
}

// withRooms is withServices for who needs what they were made with, too.
func (a *app) withRooms(ctx context.Context, cfg *config, f func(s *provider.Services, pc provider.Config, now func() time.Time) error) error {
	return a.withStore(ctx, cfg, func(store *storage.Store, pc provider.Config) error {
		now, err := provider.MeasuredClock(ctx, store, a.now)
		if err != nil {
			return err
		}
		s, err := provider.Open(ctx, pc, store, now)
		if err != nil {
			return cfg.explain(err)
		}
		return f(s, pc, now)
	})
}

// withStore runs f on the open database with the rooms' configuration.
func (a *app) withStore(ctx context.Context, cfg *config, f func(*storage.Store, provider.Config) error) (err error) {
	store, err := cfg.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	pc, err := cfg.provider(ctx, store)
	if err != nil {
		return err
	}
	return f(store, pc)
}

// provider fills the rooms' configuration.
func (c *config) provider(ctx context.Context, store *storage.Store) (provider.Config, error) {
	var pc provider.Config
	issuer, err := url.Parse(c.Issuer)
	if err != nil {
		return pc, err
	}
	kek, err := c.keyEncryptionKeys(ctx, store)
	if err != nil {
		return pc, err
	}
	pc.Issuer = issuer
	pc.Web.Name, pc.Web.TrustedProxies = c.Brand, c.TrustedProxies
	pc.Outbound.Allow = c.OutboundAllow
	pc.Keys = keys.Config{
		KEK: kek.current, AcceptedKEKs: kek.accepted, RereadKEKs: kek.reread,
		JWKSMaxAge: c.JWKSMaxAge, RotateEvery: c.RotateEvery,
	}
	pc.Engine.Code, pc.Engine.AccessToken, pc.Engine.IDToken = c.Code, c.AccessToken, c.IDToken
	pc.Engine.RefreshIdle, pc.Engine.RefreshAbsolute = c.RefreshIdle, c.RefreshAbsolute
	pc.Flow.Remember = c.Remember
	pc.Session = session.Config{Lifetime: c.Session, Idle: c.SessionIdle}
	pc.Password = proof.PasswordConfig{
		Memory: uint32(c.PasswordMemory), Time: uint32(c.PasswordTime), //nolint:gosec // the table bounds both
		Workers: c.PasswordWorkers, Words: []string{c.Brand}, Breached: c.PasswordBreached,
	}
	own, err := c.readOwnFiles()
	if err != nil {
		return pc, err
	}
	pc.Rules, pc.Templates, pc.Mail = own.rules, own.templates, c.mail()
	if pc.SMS, err = c.sms(); err != nil {
		return pc, err
	}
	pc.Scorers, pc.Places = c.Scorers, risk.PlacesConfig{Files: c.Places, MaxAge: c.PlacesMaxAge}
	pc.Passkey = proof.PasskeyConfig{RPID: c.RPID, Origins: c.PasskeyOrigins, AAGUIDs: c.PasskeyModels}
	pc.Server = provider.ServerConfig{OpsListen: c.OpsListen, Pprof: c.Pprof, Drain: c.Drain, Notice: c.Notice, Sweep: c.Sweep, KeepEvents: c.KeepEvents}
	return pc, nil
}

// mail fills the configuration of mails.
func (c *config) mail() mail.Config {
	if c.SMTP == nil {
		return mail.Config{}
	}
	smtp := *c.SMTP
	smtp.Username, smtp.Password = c.SMTPUsername, c.SMTPPassword
	smtp.Opportunistic = c.SMTPTLS == "opportunistic" || c.SMTPTLS == "" && isLoopback(smtp.Host)
	return mail.Config{SMTP: &smtp, From: c.MailFrom, ReplyTo: c.MailReplyTo}
}

// explain turns what a room refuses into what an operator can do.
func (c *config) explain(err error) error {
	if list, ok := errors.AsType[*proof.BreachedError](err); ok {
		return c.refuse("password.breached_file", "%v", list.Err)
	}
	if place, ok := errors.AsType[*risk.PlacesError](err); ok {
		return c.refuse("risk.places", "%v", place.Err)
	}
	if list, ok := errors.AsType[*risk.ListError](err); ok {
		return c.refuse("risk.rules", "zone %q: list: %v", list.Zone, list.Err)
	}
	if errors.Is(err, keys.ErrWrongKEK) {
		return c.refuse("keys.kek", "is not the key-encryption key that %s was sealed with: set the one it was made with; nothing was changed", redact(c.Database))
	}
	return err
}

// notFoundOf is notFound of what is named by several fields, each of a thing: the
// fault says which of them is not there.
func notFoundOf(err error, named map[string]thing) error {
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.KindNotFound && f.Kind != fault.KindInvalid {
		return err
	}
	if t, known := named[f.Field]; known {
		return fmt.Errorf("there is no %s %q", t.what, t.id)
	}
	return err
}

// thing is what an operator calls something, and its name.
type thing struct{ what, id string }

// notFound says in an operator's words that there is no such thing.
func notFound(err error, what, id string) error {
	var f *fault.Error
	switch said := errors.As(err, &f); {
	case said && f.Field != "": // it says what is not there
	case said && f.Kind == fault.KindNotFound, errors.Is(err, storage.ErrNotFound):
		return fmt.Errorf("there is no %s %q", what, id)
	}
	return err
}

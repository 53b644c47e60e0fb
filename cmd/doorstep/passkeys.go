package main

import (
	"context"
	"net/url"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/storage"
)

// checkPasskeys holds the settings of passkeys against the issuer.
func (c *config) checkPasskeys(fault func(key, format string, args ...any)) {
	issuer, err := url.Parse(c.Issuer)
	if err != nil || c.Issuer == "" {
		return // which is a fault already
	}
	if c.RPID != "" {
		if err := proof.CheckRPID(c.RPID, issuer.Hostname()); err != nil {
			fault("webauthn.rp_id", "%v", err)
		}
	}
	if err := proof.CheckOrigins(issuer.Scheme+"://"+issuer.Host, c.PasskeyOrigins); err != nil {
		fault("webauthn.origins", "%v", err)
	}
	for _, model := range c.PasskeyModels {
		if err := proof.CheckAAGUID(model); err != nil {
			fault("webauthn.aaguids", "%v", err)
		}
	}
}

// keepsPasskeys refuses to serve where people have passkeys that would open nothing any
// more: those that were made for another domain.
func (c *config) keepsPasskeys(ctx context.Context, s *provider.Services) error {
	other, err := s.Store.PasskeysElsewhere(ctx, s.Passkeys.RPID())
	if err != nil || other == "" || c.AbandonPasskeys {
		return err
	}
	return c.refuse("webauthn.rp_id", "is %s, and people have passkeys that were made for %s: no browser would offer those any more, "+
		"and who has nothing else could not sign in; make it %[2]s again, by webauthn.rp_id or the issuer, or let those passkeys go by webauthn.abandon_passkeys: on",
		s.Passkeys.RPID(), other)
}

// passkeys looks for those that open nothing.
func (d *doctor) passkeys(ctx context.Context, store *storage.Store) {
	const check = "passkeys"
	issuer, err := url.Parse(d.cfg.Issuer)
	if err != nil {
		return // the configuration's check says so
	}
	rpID := proof.RPIDOf(d.cfg.RPID, issuer)
	other, err := store.PasskeysElsewhere(ctx, rpID)
	switch {
	case err != nil:
		d.fault(check, "look at the database's own log", "%v", err)
	case other != "" && d.cfg.AbandonPasskeys:
		d.warning(check, "tell their owners to add new ones and remove the old", "there are some that were made for %s and open nothing at %s", other, rpID)
	case other != "":
		d.fault(check, "set webauthn.rp_id or the issuer back, or webauthn.abandon_passkeys to on", "there are some that were made for %s and open nothing at %s: the server does not start", other, rpID)
	case proof.CheckRPID(rpID, rpID) != nil:
		d.warning(check, "give the issuer a domain", "there are none: they need a domain, which %s is not", rpID)
	default:
		d.ok(check, "they are made for %s", rpID)
	}
}

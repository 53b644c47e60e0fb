package providertest

import (
	"context"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// Authenticator is one that the browser believes to have; whoever uses it is there.
type Authenticator struct {
	page *Page
	id   webauthn.AuthenticatorID
}

// AuthenticatorKind says what an authenticator is like.
type AuthenticatorKind struct {
	Roams    bool // it is a key to be plugged in, not part of the device
	Synced   bool // its passkeys may be on other devices too
	Verifies bool // it verifies its user, and finds its passkeys by itself
}

// Authenticator gives the page's browser one more authenticator.
func (p *Page) Authenticator(kind AuthenticatorKind) *Authenticator {
	p.t.Helper()
	a := &Authenticator{page: p}
	transport := webauthn.AuthenticatorTransportInternal
	if kind.Roams {
		transport = webauthn.AuthenticatorTransportUsb
	}
	p.tell(func(ctx context.Context) error {
		if _, err := chromedp.Call(ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
			return err
		}
		made, err := chromedp.Call(ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21, Transport: transport,
			HasResidentKey: kind.Verifies, HasUserVerification: kind.Verifies, IsUserVerified: kind.Verifies, AutomaticPresenceSimulation: true,
			DefaultBackupEligibility: kind.Synced, DefaultBackupState: kind.Synced,
		}})
		a.id = made.AuthenticatorID
		return err
	})
	return a
}

// Away has nobody touch the authenticator; Here ends that.
func (a *Authenticator) Away() { a.page.t.Helper(); a.present(false) }

// Here has somebody touch the authenticator as soon as it is asked.
func (a *Authenticator) Here() { a.page.t.Helper(); a.present(true) }

func (a *Authenticator) present(is bool) {
	a.page.t.Helper()
	a.page.tell(func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, webauthn.SetAutomaticPresenceSimulation, webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: a.id, Enabled: is})
		return err
	})
}

// Refuses has the authenticator not recognise its user from now on, or do so again.
func (a *Authenticator) Refuses(does bool) {
	a.page.t.Helper()
	a.page.tell(func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: a.id, IsUserVerified: !does})
		return err
	})
}

// Passkeys returns how many passkeys it has.
func (a *Authenticator) Passkeys() int {
	a.page.t.Helper()
	n := 0
	a.page.tell(func(ctx context.Context) error {
		has, err := chromedp.Call(ctx, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: a.id})
		n = len(has.Credentials)
		return err
	})
	return n
}

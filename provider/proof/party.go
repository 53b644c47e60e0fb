package proof

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"
	"golang.org/x/net/publicsuffix"
)

// MaxOrigins is how many further origins may ask for passkeys. Browsers go by what is
// between a name and its public suffix, and take five of those.
const MaxOrigins = 50

// RPIDOf is the relying-party id: the one that was set, else the issuer's host.
func RPIDOf(set string, issuer *url.URL) string { return cmp.Or(set, issuer.Hostname()) }

// CheckRPID says what keeps a domain from being the relying-party id of pages on this
// host (WebAuthn Level 3 section 5.1.3): it is the host, or a domain above it below
// which not everybody can have one.
func CheckRPID(rpID, host string) error {
	switch {
	case protocol.ValidateRPID(rpID) != nil || rpID != strings.ToLower(rpID):
		return fmt.Errorf("%q is not a domain in lower case", rpID)
	case rpID == host:
		return nil
	case !strings.HasSuffix(host, "."+rpID):
		return fmt.Errorf("%q is neither the issuer's host %s nor a domain above it", rpID, host)
	}
	if suffix, _ := publicsuffix.PublicSuffix(rpID); suffix == rpID {
		return fmt.Errorf("%q is a public suffix: others have domains below it", rpID)
	}
	return nil
}

// CheckOrigins says what keeps further origins from asking for passkeys (section 5.11):
// each is a scheme and a host, https but on this machine, and they and our own have at
// most so many names as browsers look at.
func CheckOrigins(own string, more []string) error {
	if len(more) > MaxOrigins {
		return fmt.Errorf("are %d, and may be %d", len(more), MaxOrigins)
	}
	for _, origin := range more {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || origin != strings.ToLower(u.Scheme+"://"+u.Host) {
			return fmt.Errorf("%q is not an origin such as https://shop.example", origin)
		}
		if local := u.Hostname() == "localhost" || strings.HasSuffix(u.Hostname(), ".localhost"); u.Scheme != "https" && (u.Scheme != "http" || !local) {
			return fmt.Errorf("%q must be https", origin)
		}
	}
	_, err := related(own, more)
	return err
}

// CheckAAGUID says what keeps text from being the AAGUID of a model.
func CheckAAGUID(text string) error {
	if model, err := uuid.Parse(text); err != nil || model == uuid.Nil || len(text) != len(model.String()) {
		return fmt.Errorf("%q is not the AAGUID of a model, such as cb69481e-8ff7-4039-93ec-0a2729a154a8", text)
	}
	return nil
}

// related is the document of section 5.11.
func related(own string, more []string) (*protocol.RelatedOrigins, error) {
	doc, err := protocol.NewRelatedOriginsWithLabeler(label, append([]string{own}, more...)...)
	if err != nil {
		return nil, errors.New("have, with the issuer's own, more than 5 names (what stands before .com, .co.uk and so on), and browsers look at 5")
	}
	return doc, nil
}

// label is what is before the public suffix of an origin's host, as browsers count.
func label(origin string) (string, error) {
	u, err := url.Parse(origin)
	if err != nil {
		return "", err
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(u.Hostname())
	if err != nil {
		return u.Hostname(), nil //nolint:nilerr // it has none, as localhost: it counts as it is
	}
	name, _, _ := strings.Cut(domain, ".")
	return name, nil
}

// appOrigin is what an app on Android begins the name of its origin with; SHA-256 of the
// certificate that it is signed with follows, in base64url.
const appOrigin = "android:apk-key-hash:"

// partyFor is us, as answers of this origin are checked: an app's is taken if it is one
// of those that are ours, and compared in every byte.
func (p *Passkey) partyFor(ctx context.Context, origin string) (*webauthn.WebAuthn, error) {
	if p.isApp == nil || !strings.HasPrefix(origin, appOrigin) {
		return p.party, nil
	}
	ours, err := p.isApp(ctx, origin)
	if err != nil {
		return nil, fmt.Errorf("proof: passkeys: apps: %w", err)
	}
	if !ours {
		return p.party, nil
	}
	config := *p.party.Config
	config.RPOrigins = []string{origin}
	return &webauthn.WebAuthn{Config: &config}, nil
}

// RelatedOrigins are the origins whose pages may ask for our passkeys, ours among them;
// none if there is no other.
func (p *Passkey) RelatedOrigins() []string { return p.origins }

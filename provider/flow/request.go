package flow

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/grants"
	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/storage"
)

// Request is what is asked. It never changes. Its checks are oidc's: an unproven
// redirect never comes as far as this.
type Request struct {
	Page         Page                `json:"page,omitempty"`    // one of our own pages; else a client asks, and all below is its
	Object       storage.ID          `json:"object,omitempty"`  // which one of its kind that page is about
	Address      string              `json:"address,omitempty"` // which address that page is about
	Before       time.Time           `json:"before,omitzero"`   // of proofs only those count that the person had before
	Link         []byte              `json:"link,omitempty"`    // by which it is asked, as its hash; see proof.Notices
	ClientID     string              `json:"client_id,omitempty"`
	RedirectURI  string              `json:"redirect_uri,omitempty"`  // registered; of a sign-out: where to go after it
	RedirectSent bool                `json:"redirect_sent,omitempty"` // the client sent it itself
	ResponseType string              `json:"response_type,omitempty"`
	ResponseMode string              `json:"response_mode,omitempty"`
	State        string              `json:"state,omitempty"`
	StateSent    bool                `json:"state_sent,omitempty"` // an empty state that was sent is returned
	Scopes       []string            `json:"scopes,omitempty"`
	Resources    []string            `json:"resources,omitempty"`
	Nonce        string              `json:"nonce,omitempty"`
	Challenge    string              `json:"challenge,omitempty"`
	Prompt       []string            `json:"prompt,omitempty"`
	MaxAge       *int64              `json:"max_age,omitempty"`       // seconds; the client's default when it sent none
	ACRValues    []string            `json:"acr_values,omitempty"`    // the client's default when it sent none
	ACREssential []string            `json:"acr_essential,omitempty"` // of the claim acr; see policy.ACRAsked
	ACRPreferred []string            `json:"acr_preferred,omitempty"`
	Claims       storage.ClaimsAsked `json:"claims,omitzero"`    // about the person
	Person       storage.ID          `json:"person,omitempty"`   // whom id_token_hint names
	Among        []storage.ID        `json:"among,omitempty"`    // one of whom the claim sub asks for
	Subject      string              `json:"subject,omitempty"`  // as Person, by the subject that a pairwise client knows
	Subjects     []string            `json:"subjects,omitempty"` // as Among, likewise
	LoginHint    string              `json:"login_hint,omitempty"`
	UILocales    string              `json:"ui_locales,omitempty"`
	Silent       bool                `json:"silent,omitempty"` // nothing may be asked (prompt=none)
}

// asked is what the person has to agree to.
func (r *Request) asked() grants.Asked {
	return grants.Asked{Scopes: r.Scopes, Resources: r.Resources, Claims: r.Claims.Names()}
}

// acr is which acr is asked for.
func (r *Request) acr() policy.ACRAsked {
	return policy.ACRAsked{Values: r.ACRValues, Essential: r.ACREssential, Preferred: r.ACRPreferred}
}

// names reports whether the client named whom it asks about, by a hint or by the
// claim sub with a value; fits, whether the person is such a one, whom the client
// knows by this subject.
func (r *Request) names() bool {
	return r.Person != "" || len(r.Among) > 0 || r.Subject != "" || len(r.Subjects) > 0
}

func (r *Request) fits(person storage.ID, subject string) bool {
	return (r.Person == "" || r.Person == person) && (len(r.Among) == 0 || slices.Contains(r.Among, person)) &&
		(r.Subject == "" || r.Subject == subject) && (len(r.Subjects) == 0 || slices.Contains(r.Subjects, subject))
}

// Progress is what was done about it.
type Progress struct {
	Session     storage.ID `json:"session,omitempty"`     // goes on with this one: proved or chosen here
	Chosen      bool       `json:"chosen,omitempty"`      // an account was chosen; without Session: one that is not signed in yet
	Consent     string     `json:"consent,omitempty"`     // "", ConsentAllow or ConsentDeny, by the person of Session
	Withdrawals int64      `json:"withdrawals,omitempty"` // of the consent, when they said so
	Cancelled   bool       `json:"cancelled,omitempty"`   // "back to the app"
	Done        bool       `json:"done,omitempty"`        // the step that a page of ours is for
	Pending     storage.ID `json:"pending,omitempty"`     // what such a step began
	Passkeys    bool       `json:"passkeys,omitempty"`    // the browser can make passkeys
	Offered     bool       `json:"offered,omitempty"`     // one was offered, and answered
	Breached    string     `json:"breached,omitempty"`    // "", BreachedReplace or BreachedLater: what the person of Session does about their password
	SentTo      string     `json:"sent_to,omitempty"`     // a code was sent to this address
	Texted      storage.ID `json:"texted,omitempty"`      // a code was sent to this phone of the person's
	// Whose password is recovered, and what they proved so far: the first is the code.
	Recovers storage.ID        `json:"recovers,omitempty"`
	Evidence []policy.Evidence `json:"evidence,omitempty"`
}

// What a person says to a client's wishes.
const (
	ConsentAllow = "allow"
	ConsentDeny  = "deny"
)

// What a person does about a password that is in lists of stolen ones.
const (
	BreachedReplace = "replace"
	BreachedLater   = "later" // also who has replaced it: no more is asked
)

// Kinds of interactions.
const (
	kindAuthorize = "authorize"
	kindSignOut   = "signout"
	kindPage      = "page"
)

// Browser is what is known of whoever asks.
type Browser struct {
	Secret    string     // binds interactions; "" while it has none
	Sessions  []string   // what its cookie holds, the current one first
	Device    storage.ID // "" while it has none
	Address   netip.Addr
	UserAgent string

	Brands, Mobile, Platform string // hints of Chromium's beside the user agent: see risk.Hints
}

// Answer is what next, with all that a surface needs to go on.
type Answer struct {
	Next
	Interaction *storage.Interaction // nil when none was begun
	Request     Request
	Progress    Progress
	Mailbox     string // where StepMail sends its code: see vouches
	Client      *storage.Client
	SignIn      *storage.SignIn  // nil when nobody is signed in
	Accounts    []storage.SignIn // at StepAccount: everybody signed in here, the current one first
	Decision    policy.Decision  // about SignIn; zero when nobody is signed in
	Path        string           // where the browser goes next; "" when nothing was begun
	// Remember is for a surface to say, before [Service.SignedIn], at a step that Remembers:
	// the person does not want to be asked for this again in this browser.
	Remember bool

	browser Browser // whom it is for
}

func newInteraction(kind string, r Request, p Progress, b Browser, now time.Time, lifetime time.Duration) (*storage.Interaction, error) {
	if b.Secret == "" {
		return nil, fmt.Errorf("flow: an interaction of kind %s needs a browser", kind)
	}
	request, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("flow: request: %w", err)
	}
	progress, err := p.document()
	return &storage.Interaction{
		ID: storage.NewID(), Kind: kind, BrowserHash: session.Hash(b.Secret), ClientID: r.ClientID, Progress: progress,
		Request: storage.Document[storage.Raw](request), CreatedAt: storage.At(now), ExpiresAt: storage.At(now.Add(lifetime)),
	}, err
}

func (p Progress) document() (storage.JSON[storage.Raw], error) {
	doc, err := json.Marshal(p)
	if err != nil {
		return storage.JSON[storage.Raw]{}, fmt.Errorf("flow: progress: %w", err)
	}
	return storage.Document[storage.Raw](doc), nil
}

func readInteraction(i *storage.Interaction) (r Request, p Progress, err error) {
	if err := json.Unmarshal(i.Request.V, &r); err != nil {
		return r, p, fmt.Errorf("flow: interaction %s: %w", i.ID, err)
	}
	if err := json.Unmarshal(i.Progress.V, &p); err != nil {
		return r, p, fmt.Errorf("flow: interaction %s: %w", i.ID, err)
	}
	return r, p, nil
}

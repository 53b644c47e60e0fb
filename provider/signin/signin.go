// Package signin is where people sign in: one file per step, each a page and
// the form it posts.
//
//	password.go   who are you, and your password
//	passkey.go    a passkey: in place of the password, or to prove more
//	addpasskey.go a new one
//	offerpasskey.go a first one, offered while all is calm
//	code.go       a code: of an authenticator, or one for recovery
//	addtotp.go    a new authenticator
//	recoverycodes.go new codes for recovery
//	newpassword.go a new password, and what every page for one has
//	disown.go     this wasn't me
//	lost.go       how to go on without what was lost
//	sms.go        a code that is sent to a phone of theirs, to prove more
//	sent.go       a code that is sent to an address: whose that is, or whose password is lost
//	reset.go      another password in the place of a lost one
//	account.go    which of the accounts that are signed in here
//	consent.go    may this client have that
//	signout.go    really sign out?
//	home.go       the issuer's front page
//	related.go    whose pages and apps may ask for our passkeys
//	setup.go      the first operator comes in, by the link that the server printed
//
// A step asks flow for the interaction named by ?i=, shows itself if it is the
// one that is due, makes one call when its form comes back, and goes with a 303 to where
// flow points. Steps never redirect to each other and never decide what is next.
//
// It must never answer differently for somebody and nobody (same page, status,
// headers, number of hashes and statements), let a password reach a hash before
// its throttles, log what was typed, or name an address of a request that flow
// has not proven.
package signin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// Config is what an operator decides about signing in.
type Config struct {
	Demo *templates.DemoAccount // shown on the sign-in page; nil outside of the demo
}

// Deps is what the steps work with.
type Deps struct {
	Web       *web.Web
	Store     *storage.Store
	Flow      *flow.Service
	Directory *directory.Service
	Passwords *proof.Password
	Passkeys  *proof.Passkey
	TOTP      *proof.TOTP
	Recovery  *proof.Recovery
	Sent      *proof.Sent // by mail
	Texted    *proof.Sent // by SMS
	Phones    *proof.Phones
	Notices   *proof.Notices
	Events    *events.Service
	Throttle  *throttle.Service
	Clients   *clients.Service
	Now       func() time.Time
	// Tell has the clients of a session that just ended told of it, and returns soon.
	Tell    func(ctx context.Context, session storage.ID)
	Metrics prometheus.Registerer
}

// Handler serves the steps.
type Handler struct {
	Deps
	cfg   Config
	tried *prometheus.CounterVec
}

// New returns the steps.
func New(cfg Config, d Deps) (*Handler, error) {
	h := &Handler{Deps: d, cfg: cfg, tried: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "doorstep_sign_ins_total", Help: "Tries to sign in, by outcome: success, wrong, throttled, busy (sent away, too many wait) and failed (a fault of ours).",
	}, []string{"outcome"})}
	for _, outcome := range []string{triedSuccess, triedWrong, triedThrottled, triedBusy, triedFailed} {
		h.tried.WithLabelValues(outcome)
	}
	return h, d.Metrics.Register(h.tried)
}

// What comes of a try to sign in; the page has words for those that are a problem.
const (
	triedSuccess   = "success"
	triedWrong     = "wrong"
	triedThrottled = "throttled"
	triedBusy      = "busy"
	triedFailed    = "failed"
)

const paramInteraction = "i"

// at runs one of these steps on the interaction that the request names. When another
// one is due, and these lead nowhere either, the person goes there.
func (h *Handler) at(run func(http.ResponseWriter, *http.Request, flow.Answer) error, steps ...flow.Step) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		id := r.URL.Query().Get(paramInteraction)
		if id == "" { // a bookmark of the page: there is nothing to go on to
			return web.SeeOther(w, h.Web.Path(web.PathHome))
		}
		a, err := h.Flow.Resume(r.Context(), id, h.browser(r))
		if err != nil {
			return h.gone(r, err)
		}
		web.Log(r.Context()).Set("client_id", a.Request.ClientID)
		if !slices.ContainsFunc(steps, func(s flow.Step) bool { return s == a.Step || slices.Contains(a.Others, s) }) {
			return web.SeeOther(w, a.Path)
		}
		return run(w, r, a)
	}
}

// notOffered is of what there is not in this place.
func notOffered(why string) error {
	return &fault.Error{Kind: fault.KindNotFound, Message: "is not offered here", Err: errors.New(why)}
}

// gone explains an interaction that is not there for this browser.
func (h *Handler) gone(r *http.Request, err error) error {
	switch {
	case !errors.Is(err, storage.ErrNotFound):
		return err
	case h.Web.KnownBrowser(r) == "":
		return &fault.Error{Kind: fault.KindForbidden, Code: "other_browser", Message: "began in another browser", Err: err}
	}
	return &fault.Error{Kind: fault.KindNotFound, Code: "expired", Message: "has expired", Err: err}
}

// with is with what somebody does something, in words.
func (h *Handler) with(r *http.Request) mail.Device {
	return mail.Device(session.AgentOf(h.Web.Visitor(r).UserAgent))
}

// browser is the one place that makes flow's view of a browser.
func (h *Handler) browser(r *http.Request) flow.Browser { return flow.Browser(h.Web.Visitor(r)) }

// base is what the page of a step knows.
func (h *Handler) base(r *http.Request, a flow.Answer) templates.Base {
	locale := ""
	if a.SignIn != nil {
		locale = a.SignIn.Person.Locale
	}
	return h.Web.Base(r, a.Request.UILocales, locale)
}

// form posts to the path of a step and may end at the client.
func (h *Handler) form(w http.ResponseWriter, r *http.Request, path string, a flow.Answer) templates.Form {
	web.AllowForm(r.Context(), a.Request.RedirectURI)
	return h.Web.Form(w, r, h.stepPath(path, a))
}

func (h *Handler) stepPath(path string, a flow.Answer) string {
	return h.Web.Path(path) + "?" + url.Values{paramInteraction: {string(a.Interaction.ID)}}.Encode()
}

func clientName(c *storage.Client) string {
	switch {
	case c == nil:
		return ""
	case c.Name != "":
		return c.Name
	}
	return c.ID
}

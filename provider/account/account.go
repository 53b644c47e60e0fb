// Package account is where people look after themselves: one file per page.
//
//	activity.go   what happened to the account lately
//	apps.go       what may use the account, and where to go on to
//	language.go   in which language pages and mails speak to them
//	notme.go      where a notice leads whoever did not do it
//	security.go   how the person proves who they are
//	asking.go     how often they are asked for a second factor
//	addresses.go  by which addresses they are found
//	sessions.go   where they are signed in, and with which browsers they were
//
// A page asks flow whether whoever is at the browser may see it. Who is not signed
// in goes to the steps of signing in, and flow sends them back to the page: to a
// path of ours, whatever the request said.
//
// It must never check or enrol a proof (that is an interaction, whose steps signin
// shows), act for another person than the one whose page was shown, or send anybody
// to an address that no client registered.
package account

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/grants"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// Deps is what the pages work with.
type Deps struct {
	Web      *web.Web
	Store    *storage.Store
	Flow     *flow.Service
	Clients  *clients.Service
	Grants   *grants.Service
	Sessions *session.Service
	Passkeys *proof.Passkey
	TOTP     *proof.TOTP
	Recovery *proof.Recovery
	Sent     *proof.Sent // by mail
	Texted   *proof.Sent // by SMS
	Phones   *proof.Phones
	Notices  *proof.Notices

	Directory *directory.Service
	Events    *events.Service
	Throttle  *throttle.Service
	Now       func() time.Time
	// Tell has the clients of a session that just ended told of it, and returns soon.
	Tell func(ctx context.Context, session storage.ID)
}

// Handler serves the pages.
type Handler struct{ Deps }

// New returns the pages.
func New(d Deps) *Handler { return &Handler{Deps: d} }

// fieldSession is the session of the person whom the page shows: what is sent from
// it is theirs, also when somebody else signed in in another tab since.
const fieldSession = "session"

// at runs a page for who may see it; everybody else goes where flow sends them.
func (h *Handler) at(page flow.Page, run func(http.ResponseWriter, *http.Request, *storage.SignIn) error) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx := storage.WithUnit(r.Context())
		visitor := h.Web.Visitor(r)
		if visitor.Secret == "" {
			visitor.Secret = h.Web.Browser(w, r) // an interaction is bound to it
		}
		var object storage.ID
		if text := r.URL.Query().Get(flow.ParamObject); text != "" {
			var err error
			if object, err = storage.ParseID(text); err != nil {
				return err
			}
		}
		a, err := h.Flow.Visit(ctx, page, object, flow.Browser(visitor))
		if err != nil {
			return err
		}
		web.Log(ctx).Set("step", string(a.Step))
		switch a.Step {
		case flow.StepDone:
			if err := h.Sessions.Touch(ctx, &a.SignIn.Session); err != nil {
				return err
			}
			if err := h.Store.Flush(ctx); err != nil {
				return err
			}
			web.Log(ctx).Set("person", string(a.SignIn.Person.ID))
			return run(w, r, a.SignIn)
		case flow.StepRefuse:
			if err := h.Store.Flush(ctx); err != nil {
				return err
			}
			return &fault.Error{Kind: fault.KindForbidden, Message: "is not open to this person", Err: errors.New(a.Refusal)}
		default:
			if err := h.Store.Flush(ctx); err != nil {
				return err
			}
			return web.SeeOther(w, a.Path)
		}
	}
}

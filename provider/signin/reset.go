package signin

import (
	"context"
	"errors"
	"net/http"

	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// forgot begins the recovery of a password that somebody cannot give: for who comes by a bookmark as
// well, from nowhere, and is at the front page when they are done.
func (h *Handler) forgot(w http.ResponseWriter, r *http.Request) error {
	if r.URL.Query().Get(paramInteraction) != "" {
		return h.at(h.lostPassword, flow.StepPassword)(w, r)
	}
	if !h.Sent.Enabled() {
		return notOffered("there are no mails")
	}
	h.Web.Browser(w, r) // an interaction is bound to it
	begun, err := h.Flow.Begin(r.Context(), flow.Request{Page: flow.PageRecover}, h.browser(r))
	if err != nil {
		return err
	}
	return web.SeeOther(w, begun.Path)
}

func (h *Handler) lostPassword(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	if !h.Sent.Enabled() {
		return notOffered("there are no mails")
	}
	begun, err := h.Flow.Lost(r.Context(), a, h.browser(r))
	if err != nil {
		return err
	}
	return web.SeeOther(w, begun.Path)
}

// showReset asks whoever proved an address, and what else they have, for another password, or says
// why there can be none.
func (h *Handler) showReset(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	if a.Step == flow.StepRefuse {
		return h.Web.Page(w, r, http.StatusForbidden, templates.Reset{
			Base: h.base(r, a), Form: h.form(w, r, web.PathReset, a), Who: web.Account(a.SignIn), Refused: true, CancelAction: h.stepPath(pathCancel, a),
		})
	}
	return h.resetPage(w, r, a, http.StatusOK, nil)
}

// takeReset sets it, ends all that was begun with the one before, and signs them in.
func (h *Handler) takeReset(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	person, first := &a.SignIn.Person, a.SignIn.Password.IsZero()
	var ended []storage.ID
	next, changed, err := h.Flow.Reset(r.Context(), a, h.browser(r), string(shown(r)), func(ctx context.Context) (err error) {
		began := h.Now()
		if ended, err = h.resetPassword(ctx, r, a); err != nil {
			return err
		}
		return h.Notices.PasswordReset(ctx, person, h.with(r), began, first)
	})
	if len(changed.Sessions) > 0 { // also when what comes after it failed
		web.Log(r.Context()).Set("person", string(person.ID))
		h.Web.SetSessions(w, changed.Sessions)
		h.Web.SetDevice(w, changed.Device)
	}
	h.tell(r.Context(), append(ended, changed.Ended...))
	switch {
	case a.Request.Link != nil && errors.Is(err, storage.ErrNotFound):
		return h.deadLink(w, r, a)
	case h.newPassword(0, err).Problem != "":
		return h.resetPage(w, r, a, asksAgain(w, err), err)
	case err != nil:
		return err
	}
	return web.SeeOther(w, next.Path)
}

// resetPassword sets it and ends all that was begun with the one before; by a notice's link
// all is taken as well from whoever did what the notice told of. It returns which sessions ended
// whose clients are not told of it yet.
func (h *Handler) resetPassword(ctx context.Context, r *http.Request, a flow.Answer) ([]storage.ID, error) {
	person, password := &a.SignIn.Person, r.PostForm.Get(fieldPassword)
	if a.Request.Link == nil {
		return nil, h.Passwords.Reset(ctx, person, password, false)
	}
	d, err := h.disowning(ctx, a)
	if err != nil {
		return nil, err
	}
	d.Device = h.Web.Device(r)
	ended, err := h.Notices.Disown(ctx, d)
	if err != nil {
		return nil, err
	}
	return ended, h.Passwords.Reset(ctx, person, password, true)
}

func (h *Handler) resetPage(w http.ResponseWriter, r *http.Request, a flow.Answer, status int, wrong error) error {
	least, err := h.Passwords.Least(r.Context(), &a.SignIn.Person)
	if err != nil {
		return err
	}
	page := templates.Reset{
		Base: h.base(r, a), Form: h.form(w, r, web.PathReset, a), Who: web.Account(a.SignIn), Owner: a.Owner(),
		Password: h.newPassword(least, wrong), CancelAction: h.stepPath(pathCancel, a),
	}
	if a.Request.Link == nil {
		return h.Web.Page(w, r, status, page)
	}
	return h.disown(w, r, a, func(d proof.Disowning) error {
		page.Disowns = d.Since
		if page.Doubts, err = h.doubts(r, d); err != nil {
			return err
		}
		return h.Web.Page(w, r, status, page)
	})
}

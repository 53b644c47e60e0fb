package signin

import (
	"context"
	"errors"
	"net/http"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// showAddTOTP shows a seed that waits for its first code: the same one, however often
// the page is looked at.
func (h *Handler) showAddTOTP(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	return h.addTOTPPage(w, r, a, http.StatusOK, templates.AddTOTP{})
}

func (h *Handler) takeAddTOTP(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	if shown(r) != a.SignIn.Session.ID {
		return web.SeeOther(w, a.Path) // their own page
	}
	person, code := &a.SignIn.Person, r.PostForm.Get(fieldCode)
	var next flow.Answer
	err := h.guess(r, "", person, a.SignIn.Identifier, person.ID, func(ctx context.Context) (err error) {
		next, err = h.Flow.DidGuarded(ctx, a, a.SignIn.Session.ID, func(ctx context.Context) error {
			added, err := h.TOTP.Confirm(ctx, person, a.Progress.Pending, code[:min(len(code), maxCode)], events.ActorPerson)
			if err != nil {
				return err
			}
			return h.Notices.Added(ctx, person, h.with(r), added.At, mail.FactorTOTP, "")
		})
		return err
	})
	if err == nil {
		return web.SeeOther(w, next.Path)
	}
	status := http.StatusUnprocessableEntity
	page := templates.AddTOTP{}
	switch page.Problem, page.RetryAfter = problem(w, err); {
	case errors.Is(err, storage.ErrNotFound): // it waited too long: there is another one now
		page.Problem = "late"
	case page.Problem == "":
		return err
	case page.Problem != triedWrong:
		status, _ = web.Status(err)
	}
	web.Log(r.Context()).Set("totp", page.Problem)
	return h.addTOTPPage(w, r, a, status, page)
}

func (h *Handler) addTOTPPage(w http.ResponseWriter, r *http.Request, a flow.Answer, status int, page templates.AddTOTP) error {
	page.Base, page.Form, page.Who, page.CancelAction = h.base(r, a), h.form(w, r, web.PathAddTOTP, a), web.Account(a.SignIn), h.stepPath(pathCancel, a)
	waits, err := h.waitingTOTP(r, a)
	var f *fault.Error
	switch {
	case errors.As(err, &f) && f.Kind == fault.KindConflict:
		page.Problem = "many"
	case err != nil:
		return err
	default:
		page.Secret, page.URL, page.QRSize, page.QRPath = waits.Secret, waits.URL, waits.QR.Size, waits.QR.Path
	}
	return h.Web.Page(w, r, status, page)
}

// waitingTOTP is the authenticator that this interaction began, or a new one.
func (h *Handler) waitingTOTP(r *http.Request, a flow.Answer) (*proof.Enrolment, error) {
	person := &a.SignIn.Person
	if a.Progress.Pending != "" {
		waits, err := h.TOTP.Pending(r.Context(), person, a.Progress.Pending)
		if !errors.Is(err, storage.ErrNotFound) {
			return waits, err
		}
	}
	name := h.Web.Text(r, a.Request.UILocales, person.Locale, "addtotp.name")
	waits, err := h.TOTP.Begin(r.Context(), person, name)
	if err != nil {
		return nil, err
	}
	stands, err := h.Flow.Pend(r.Context(), a, waits.ID)
	if err != nil || stands == waits.ID {
		return waits, err
	}
	return h.TOTP.Pending(r.Context(), person, stands) // of another tab that was quicker
}

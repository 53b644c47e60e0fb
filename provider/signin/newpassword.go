package signin

import (
	"context"
	"net/http"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/templates"
)

const (
	fieldElsewhere = "elsewhere" // "end": sign out everywhere else
	fieldReplace   = "replace"   // "now", or later
)

// showNewPassword asks for a new password, or a first one.
func (h *Handler) showNewPassword(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	return h.newPasswordPage(w, r, a, http.StatusOK, true, nil)
}

// takeNewPassword sets it, in one unit with the mail that tells of it. The browser's
// cookie is another one from then on.
func (h *Handler) takeNewPassword(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	person, first, elsewhere := &a.SignIn.Person, a.SignIn.Password.IsZero(), r.PostForm.Get(fieldElsewhere) != ""
	next, secrets, err := h.Flow.NewPassword(r.Context(), a, shown(r), func(ctx context.Context) error {
		began := h.Now()
		if err := h.Passwords.Change(ctx, person, r.PostForm.Get(fieldPassword), a.SignIn.Session.ID, elsewhere); err != nil {
			return err
		}
		if first {
			return h.Notices.Added(ctx, person, h.with(r), began, mail.FactorPassword, "")
		}
		return h.Notices.PasswordChanged(ctx, person, h.with(r), began)
	})
	if len(secrets) > 0 { // also when what comes after it failed
		h.Web.SetSessions(w, secrets)
	}
	switch {
	case h.newPassword(0, err).Problem != "":
		return h.newPasswordPage(w, r, a, asksAgain(w, err), elsewhere, err)
	case err != nil:
		return err
	}
	return web.SeeOther(w, next.Path)
}

// newPasswordPage asks, again where err says what is wrong.
func (h *Handler) newPasswordPage(w http.ResponseWriter, r *http.Request, a flow.Answer, status int, elsewhere bool, err error) error {
	least, failed := h.Passwords.Least(r.Context(), &a.SignIn.Person)
	if failed != nil {
		return failed
	}
	return h.Web.Page(w, r, status, templates.ChangePassword{
		Base: h.base(r, a), Form: h.form(w, r, web.PathNewPassword, a), Who: web.Account(a.SignIn), Password: h.newPassword(least, err),
		First: a.SignIn.Password.IsZero(), Elsewhere: elsewhere, CancelAction: h.stepPath(pathCancel, a),
	})
}

// showBreached says that others know the password that was just given: it opened the
// door all the same, and may go on doing so.
func (h *Handler) showBreached(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	return h.Web.Page(w, r, http.StatusOK, templates.Breached{
		Base: h.base(r, a), Form: h.form(w, r, web.PathBreached, a), Who: web.Account(a.SignIn), CanReplace: a.CanReplace(),
	})
}

func (h *Handler) takeBreached(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	next, err := h.Flow.Breached(r.Context(), a, shown(r), r.PostForm.Get(fieldReplace) == "now")
	if err != nil {
		return err
	}
	return web.SeeOther(w, next.Path)
}

// newPassword is the part of a page that asks for a new password of at least so many
// characters, with what err says of the one that was typed.
func (h *Handler) newPassword(least int, err error) templates.NewPassword {
	part := templates.NewPassword{Least: least, Meter: h.Web.Path(web.PathStolen)}
	for _, f := range fault.All(err) {
		switch {
		case f.Kind == fault.KindTooMany:
			part.Problem, part.RetryAfter = triedThrottled, web.Seconds(f.RetryAfter)
		case f.Kind == fault.KindUnavailable:
			part.Problem, part.RetryAfter = triedBusy, web.Seconds(f.RetryAfter)
		case f.Field != fieldPassword:
		case f.Kind == fault.KindTooLarge:
			part.Problem = "password_long"
		default:
			part.Problem = f.Code
		}
	}
	return part
}

// asksAgain is the status of a page that asks again for a new password, and says when where
// nothing was wrong with the one that was typed.
func asksAgain(w http.ResponseWriter, err error) int {
	if name, _ := problem(w, err); name == "" {
		return http.StatusUnprocessableEntity
	}
	status, _ := web.Status(err)
	return status
}

const fieldPrefix = "prefix"

// stolen answers the script of such a page: which stolen passwords there are whose hash
// begins as that of the one being typed, which it does not tell.
func (h *Handler) stolen(w http.ResponseWriter, r *http.Request) error {
	if err := h.Throttle.Take(r.Context(), throttle.Stolen, throttle.Block(web.Address(r.Context()))); err != nil {
		return err
	}
	all, err := h.Passwords.Breached(r.PostForm.Get(fieldPrefix))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, all)
}

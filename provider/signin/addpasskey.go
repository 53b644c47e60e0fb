package signin

import (
	"context"
	"errors"
	"net/http"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// showAddPasskey has somebody who just proved who they are make a passkey.
func (h *Handler) showAddPasskey(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	return h.addPasskeyPage(w, r, a, http.StatusOK, templates.AddPasskey{})
}

func (h *Handler) takeAddPasskey(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	next, err := h.addPasskey(r, a, h.Flow.DidGuarded)
	if err == nil {
		return web.SeeOther(w, next.Path)
	}
	page := templates.AddPasskey{Name: r.PostForm.Get(fieldName)}
	var status int
	if page.Problem, page.RetryAfter, status = noPasskey(w, err); page.Problem == "" {
		return err
	}
	web.Log(r.Context()).Set("passkey", err.Error())
	return h.addPasskeyPage(w, r, a, status, page)
}

// addPasskey makes what an authenticator answered a passkey of the person's, who is told,
// in one unit with what comes of that in the step.
func (h *Handler) addPasskey(r *http.Request, a flow.Answer, did func(context.Context, flow.Answer, storage.ID, func(context.Context) error) (flow.Answer, error)) (flow.Answer, error) {
	if err := h.Throttle.Take(r.Context(), throttle.Passkeys, throttle.Block(web.Address(r.Context()))); err != nil {
		return flow.Answer{}, err
	}
	return did(r.Context(), a, shown(r), func(ctx context.Context) error {
		added, err := h.Passkeys.Add(ctx, a.Interaction.ID, &a.SignIn.Person, r.PostForm.Get(fieldName), []byte(r.PostForm.Get(fieldPasskey)))
		if err != nil {
			return err
		}
		return h.Notices.Added(ctx, &a.SignIn.Person, h.with(r), added.CreatedAt.Time, mail.FactorPasskey, added.Name)
	})
}

// noPasskey is what a page says of a passkey that was not added, "" if it is no matter of
// that page, and in how many seconds to try again.
func noPasskey(w http.ResponseWriter, err error) (name string, seconds, status int) {
	var f *fault.Error
	switch {
	case errors.Is(err, proof.ErrWrong):
		return triedWrong, 0, http.StatusUnprocessableEntity
	case errors.Is(err, storage.ErrConflict):
		return "taken", 0, http.StatusConflict
	case errors.Is(err, storage.ErrStale):
		return "passkeys_many", 0, http.StatusConflict
	case errors.As(err, &f) && f.Field == fieldName:
		return "passkey_name", 0, http.StatusUnprocessableEntity
	case errors.As(err, &f) && (f.Code == "passkey_model" || f.Code == "passkeys_many"):
		return f.Code, 0, http.StatusUnprocessableEntity
	}
	name, seconds = problem(w, err)
	status, _ = web.Status(err)
	return name, seconds, status
}

func (h *Handler) addPasskeyPage(w http.ResponseWriter, r *http.Request, a flow.Answer, status int, page templates.AddPasskey) error {
	page.Base, page.Who, page.CancelAction = h.base(r, a), web.Account(a.SignIn), h.stepPath(pathCancel, a)
	page.Prompt.Form = h.form(w, r, web.PathAddPasskey, a)
	var f *fault.Error
	options, err := h.Passkeys.Creation(r.Context(), a.Interaction.ID, &a.SignIn.Person, a.SignIn.Identifier)
	switch {
	case errors.As(err, &f) && f.Code == "passkeys_many":
		page.Problem = f.Code
	case err != nil:
		return err
	}
	page.Prompt.Options = string(options)
	if len(page.Name) > maxIdentifier {
		page.Name = ""
	}
	return h.Web.Page(w, r, status, page)
}

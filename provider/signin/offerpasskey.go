package signin

import (
	"context"
	"net/http"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/templates"
)

// showOffer offers a passkey to somebody who just signed in by a password: now, later or
// never.
func (h *Handler) showOffer(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	return h.offerPage(w, r, a, http.StatusOK, "")
}

// takeOffer adds it, or remembers that they do not want one.
func (h *Handler) takeOffer(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	switch decision := r.PostForm.Get(fieldDecision); {
	case decision == "later", decision == "never":
		next, err := h.Flow.Skip(r.Context(), a, shown(r), decision == "never")
		if err != nil {
			return err
		}
		return web.SeeOther(w, next.Path)
	case decision != "", r.PostForm.Get(fieldPasskey) == "":
		return fault.Invalid(fieldDecision, "must be later or never, where there is no passkey")
	}
	if err := h.Throttle.Take(r.Context(), throttle.Passkeys, throttle.Block(web.Address(r.Context()))); err != nil {
		return err
	}
	next, err := h.Flow.Took(r.Context(), a, shown(r), func(ctx context.Context) error { return h.addPasskey(ctx, r, a) })
	if err == nil {
		return web.SeeOther(w, next.Path)
	}
	problem, status := noPasskey(err)
	if problem == "" {
		return err
	}
	web.Log(r.Context()).Set("passkey", err.Error())
	return h.offerPage(w, r, a, status, problem)
}

func (h *Handler) offerPage(w http.ResponseWriter, r *http.Request, a flow.Answer, status int, problem string) error {
	options, err := h.Passkeys.Creation(r.Context(), a.Interaction.ID, &a.SignIn.Person, a.SignIn.Identifier)
	if err != nil {
		return err
	}
	form := h.form(w, r, web.PathOfferPasskey, a)
	return h.Web.Page(w, r, status, templates.OfferPasskey{
		Base: h.base(r, a), Prompt: templates.PasskeyPrompt{Form: form, Options: string(options), Creates: true},
		Form: form, Who: web.Account(a.SignIn), ClientName: clientName(a.Client), Problem: problem,
	})
}

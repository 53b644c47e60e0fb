package signin

import (
	"net/http"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/templates"
)

// showOffer offers a passkey to somebody who just signed in by a password: now, later or
// never.
func (h *Handler) showOffer(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	return h.offerPage(w, r, a, http.StatusOK, templates.OfferPasskey{})
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
	next, err := h.addPasskey(r, a, h.Flow.Took)
	if err == nil {
		return web.SeeOther(w, next.Path)
	}
	page := templates.OfferPasskey{}
	var status int
	if page.Problem, page.RetryAfter, status = noPasskey(w, err); page.Problem == "" {
		return err
	}
	web.Log(r.Context()).Set("passkey", err.Error())
	return h.offerPage(w, r, a, status, page)
}

func (h *Handler) offerPage(w http.ResponseWriter, r *http.Request, a flow.Answer, status int, page templates.OfferPasskey) error {
	options, err := h.Passkeys.Creation(r.Context(), a.Interaction.ID, &a.SignIn.Person, a.SignIn.Identifier)
	if err != nil {
		return err
	}
	page.Base, page.Form, page.Who, page.ClientName = h.base(r, a), h.form(w, r, web.PathOfferPasskey, a), web.Account(a.SignIn), clientName(a.Client)
	page.Prompt = templates.PasskeyPrompt{Form: page.Form, Options: string(options), Creates: true}
	return h.Web.Page(w, r, status, page)
}

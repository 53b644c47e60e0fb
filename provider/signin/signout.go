package signin

import (
	"net/http"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/templates"
)

// showSignOut asks before it signs out: with ?i= because a client wants it
// (OIDC RP-Initiated Logout section 2), without because the person does. A link
// alone signs nobody out.
func (h *Handler) showSignOut(w http.ResponseWriter, r *http.Request) error {
	a, err := h.leaving(r)
	if err != nil {
		return err
	}
	if a.SignIn == nil {
		return web.SeeOther(w, h.afterSignOut(a))
	}
	web.AllowForm(r.Context(), a.Request.RedirectURI)
	return h.Web.Page(w, r, http.StatusOK, templates.SignOut{
		Base: h.base(r, a), Form: h.Web.Form(w, r, h.signOutPath(a)),
		Who: web.Account(a.SignIn), ClientName: clientName(a.Client),
	})
}

func (h *Handler) takeSignOut(w http.ResponseWriter, r *http.Request) error {
	a, err := h.leaving(r)
	if err != nil {
		return err
	}
	switch r.PostForm.Get(fieldDecision) {
	case "stay":
		return web.SeeOther(w, h.Web.Path(web.PathHome))
	case "signout":
	default:
		return fault.Invalid(fieldDecision, "must be signout or stay")
	}
	if a.SignIn == nil { // the other tab was quicker
		return web.SeeOther(w, h.afterSignOut(a))
	}
	left, done, err := h.Flow.ConfirmSignOut(r.Context(), a, h.browser(r), shown(r))
	if done {
		h.Web.SetSessions(w, left)
		h.Tell(r.Context(), a.SignIn.Session.ID)
	}
	switch {
	case err != nil:
		return err
	case !done: // somebody else is the current one by now: they are asked
		return web.SeeOther(w, h.signOutPath(a))
	}
	return web.SeeOther(w, h.afterSignOut(a))
}

func (h *Handler) signOutPath(a flow.Answer) string {
	if a.Interaction == nil {
		return h.Web.Path(web.PathSignOut)
	}
	return h.stepPath(web.PathSignOut, a)
}

// leaving is who would be signed out, and for which request.
func (h *Handler) leaving(r *http.Request) (flow.Answer, error) {
	id := r.URL.Query().Get(paramInteraction)
	if id == "" {
		current, err := h.Flow.Current(r.Context(), h.browser(r))
		return flow.Answer{SignIn: current}, err
	}
	a, err := h.Flow.ResumeSignOut(r.Context(), id, h.browser(r))
	if err != nil {
		return a, h.gone(r, err)
	}
	web.Log(r.Context()).Set("client_id", a.Request.ClientID)
	return a, nil
}

// afterSignOut is the client's proven address, else our own page.
func (h *Handler) afterSignOut(a flow.Answer) string {
	if a.Request.RedirectURI != "" {
		return a.Request.RedirectURI
	}
	return h.Web.SignedOut(a.Request.UILocales)
}

func (h *Handler) signedOut(w http.ResponseWriter, r *http.Request) error {
	return h.Web.Page(w, r, http.StatusOK, templates.SignedOut{Base: h.Web.Base(r, r.URL.Query().Get(web.ParamUILocales), "")})
}

package signin

import (
	"context"
	"net/http"
	"net/url"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/grants"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// fieldDecision is the button that was pressed, here and on the sign-out page.
const fieldDecision = "decision"

// fieldSession is the session of the person whom the page shows: an answer is
// theirs, also when somebody else signed in in another tab since.
const fieldSession = "session"

func shown(r *http.Request) storage.ID { return storage.ID(r.PostForm.Get(fieldSession)) }

// showConsent asks whether the client may have what it wants.
func (h *Handler) showConsent(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	scopes, err := h.scopeLines(r.Context(), a)
	if err != nil {
		return err
	}
	return h.Web.Page(w, r, http.StatusOK, templates.Consent{
		Base: h.base(r, a), Form: h.form(w, r, web.PathConsent, a),
		Who: web.Account(a.SignIn), ClientName: clientName(a.Client), ClientHost: hostOf(a.Request.RedirectURI),
		FirstParty: a.Client.Metadata.V.FirstParty, Scopes: scopes,
		Claims: grants.Beyond(a.Request.Claims.Names(), a.Request.Scopes),
	})
}

func (h *Handler) takeConsent(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	decision := r.PostForm.Get(fieldDecision)
	if decision != "allow" && decision != "deny" {
		return fault.Invalid(fieldDecision, "must be allow or deny")
	}
	next, err := h.Flow.Consent(r.Context(), a, shown(r), decision == "allow")
	if err != nil {
		return err
	}
	if next.Progress.Consent != "" { // else another person is asked now
		web.Log(r.Context()).Set("consent", decision)
	}
	return web.SeeOther(w, next.Path)
}

// cancel goes back to the app without an answer, from whichever step is due.
func (h *Handler) cancel(w http.ResponseWriter, r *http.Request) error {
	a, err := h.Flow.Resume(r.Context(), r.URL.Query().Get(paramInteraction), h.browser(r))
	if err != nil {
		return h.gone(r, err)
	}
	next, err := h.Flow.Cancel(r.Context(), a)
	if err != nil {
		return err
	}
	return web.SeeOther(w, next.Path)
}

// scopeLines are the scopes asked for; one of a resource says whose it is.
func (h *Handler) scopeLines(ctx context.Context, a flow.Answer) ([]templates.ScopeLine, error) {
	resources, err := h.Clients.ResourceNames(ctx, a.Client)
	if err != nil {
		return nil, err
	}
	lines := make([]templates.ScopeLine, 0, len(a.Request.Scopes))
	for _, scope := range a.Request.Scopes {
		lines = append(lines, templates.ScopeLine{Name: scope, Detail: resources[scope]})
	}
	return lines, nil
}

// hostOf is where the answer goes, in the form that a person can compare.
func hostOf(redirect string) string {
	u, err := url.Parse(redirect)
	switch {
	case err != nil:
		return ""
	case u.Host != "" && (u.Scheme == "https" || u.Scheme == "http"):
		return u.Host
	}
	return u.Scheme
}

package signin

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// showRecoveryCodes says what they are for, and that new ones end the old ones.
func (h *Handler) showRecoveryCodes(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	return h.Web.Page(w, r, http.StatusOK, templates.RecoveryCodes{
		Base: h.base(r, a), Form: h.form(w, r, web.PathRecoveryCodes, a), Who: web.Account(a.SignIn),
		Left: int(a.SignIn.RecoveryCodes), CancelAction: h.stepPath(pathCancel, a),
	})
}

// codesShown is how long who sends the form again is shown the same codes, as who pressed the
// button twice or lost the answer. There is no page to come back to.
const codesShown = 10 * time.Minute

// takeRecoveryCodes makes new codes and shows them.
func (h *Handler) takeRecoveryCodes(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	var codes []string
	next, err := h.Flow.Did(r.Context(), a, shown(r), func(ctx context.Context) error {
		began := h.Now()
		made, err := h.Recovery.Generate(ctx, a.SignIn.Person.ID, a.Own(), events.ActorPerson)
		if err != nil {
			return err
		}
		storage.Then(ctx, func() { codes = made }) // of two sends one makes codes that live
		return h.Notices.Added(ctx, &a.SignIn.Person, h.with(r), began, mail.FactorRecovery, "")
	})
	if codes == nil && err == nil && next.DidFor(flow.PageRecovery, shown(r)) {
		codes, err = h.Recovery.Again(r.Context(), next.SignIn.Person.ID, next.Own(), codesShown)
	}
	switch {
	case codes != nil: // they live: whatever failed since, they are shown
		return h.Web.Page(w, r, http.StatusOK, templates.RecoveryCodes{
			Base: h.base(r, a), Who: web.Account(a.SignIn), Codes: codes, Done: cmp.Or(next.Path, h.Web.Path(web.PathSecurity)),
		})
	case err != nil:
		return err
	}
	return web.SeeOther(w, next.Path) // another step is due, others took their place, or it is another person's page
}

package signin

import (
	"net/http"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// fieldAccount holds the id of a session in this browser, or "other".
const (
	fieldAccount = "account"
	otherAccount = "other"
)

// showAccounts asks which of the accounts signed in here to go on with
// (prompt=select_account, OIDC Core section 3.1.2.1).
func (h *Handler) showAccounts(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	page := templates.ChooseAccount{
		Base: h.base(r, a), Form: h.form(w, r, web.PathAccount, a),
		ClientName: clientName(a.Client), CancelAction: h.stepPath(pathCancel, a),
	}
	for i := range a.Accounts {
		page.Accounts = append(page.Accounts, web.Account(&a.Accounts[i]))
	}
	return h.Web.Page(w, r, http.StatusOK, page)
}

func (h *Handler) takeAccount(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	chosen := storage.ID(r.PostForm.Get(fieldAccount))
	switch chosen {
	case "":
		return fault.Invalid(fieldAccount, "is missing")
	case otherAccount:
		chosen = "" // flow's word for somebody who is not signed in yet
	}
	next, sessions, err := h.Flow.Choose(r.Context(), a, h.browser(r), chosen)
	if err != nil {
		return err
	}
	h.Web.SetSessions(w, sessions)
	return web.SeeOther(w, next.Path)
}

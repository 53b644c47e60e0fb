package account

import (
	"encoding/json"
	"net/http"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// fieldLanguage is a language that pages are written in, or "" for what the browser says.
const fieldLanguage = "language"

// showLanguage asks in which language pages and mails are to speak to the person.
func (h *Handler) showLanguage(w http.ResponseWriter, r *http.Request, s *storage.SignIn) error {
	page := templates.Language{
		Base: h.Web.Base(r, "", s.Person.Locale), Form: h.Web.Form(w, r, h.Web.Path(web.PathLanguage)), Who: web.Account(s),
		All: h.Web.Languages(), Done: r.URL.Query().Has(flow.ParamDone), Back: h.Web.Path(web.PathHome),
	}
	if s.Person.Locale != "" { // of a language that we have not, the one that is shown in its place
		page.Chosen = h.Web.Speaks(s.Person.Locale)
	}
	return h.Web.Page(w, r, http.StatusOK, page)
}

// setLanguage keeps the answer, with the event.
func (h *Handler) setLanguage(w http.ResponseWriter, r *http.Request, s *storage.SignIn) error {
	to, chosen := h.Web.Path(web.PathLanguage), r.PostForm.Get(fieldLanguage)
	if storage.ID(r.PostForm.Get(fieldSession)) != s.Session.ID {
		return web.SeeOther(w, to) // their own page
	}
	patch := map[string]any{"locale": nil}
	if chosen != "" {
		if h.Web.Speaks(chosen) != chosen {
			return fault.Invalid(fieldLanguage, "must be one of those that are offered")
		}
		patch["locale"] = chosen
	}
	text, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	if err := h.Directory.Patch(r.Context(), &s.Person, text, events.ActorPerson); err != nil {
		return err
	}
	h.Web.SetLanguage(w, chosen)
	return web.SeeOther(w, to+"?"+flow.ParamDone)
}

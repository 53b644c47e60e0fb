package account

import (
	"net/http"
	"net/url"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// showSecurity lists how the person proves who they are.
func (h *Handler) showSecurity(w http.ResponseWriter, r *http.Request, s *storage.SignIn) error {
	keys, err := h.Store.PasskeysOf(r.Context(), s.Person.ID)
	if err != nil {
		return err
	}
	page := templates.Security{
		Base: h.Web.Base(r, "", s.Person.Locale), Who: web.Account(s), Back: h.Web.Path(web.PathHome), Done: r.URL.Query().Has(flow.ParamDone),
	}
	if h.Passkeys.Enabled() {
		page.AddPasskeyHref = h.Web.Path(web.PathSecurityAddPasskey)
	}
	for i := range keys {
		page.Passkeys = append(page.Passkeys, h.passkeyLine(&keys[i]))
	}
	return h.Web.Page(w, r, http.StatusOK, page)
}

func (h *Handler) passkeyLine(k *storage.Passkey) templates.PasskeyLine {
	return templates.PasskeyLine{
		ID: string(k.ID), Name: k.Name, Model: h.Passkeys.Model(k), Synced: k.BackupEligible, Added: k.CreatedAt.Time, Used: k.UsedAt.Time,
		Href: h.Web.Path(web.PathSecurityPasskey) + "?" + url.Values{flow.ParamObject: {string(k.ID)}}.Encode(),
	}
}

// showPasskey is the page of one passkey.
func (h *Handler) showPasskey(w http.ResponseWriter, r *http.Request, s *storage.SignIn) error {
	return h.passkeyPage(w, r, s, http.StatusOK, "")
}

// takePasskey gives it another name, or takes it away.
func (h *Handler) takePasskey(w http.ResponseWriter, r *http.Request, s *storage.SignIn) error {
	to := h.Web.Path(web.PathSecurity)
	if storage.ID(r.PostForm.Get(fieldSession)) != s.Session.ID {
		return web.SeeOther(w, to) // their own page
	}
	id, err := storage.ParseID(r.URL.Query().Get(flow.ParamObject))
	if err != nil {
		return err
	}
	switch r.PostForm.Get(fieldDo) {
	case "rename":
		err = h.Passkeys.Rename(r.Context(), s.Person.ID, id, r.PostForm.Get(fieldName), events.ActorPerson)
		if len(fault.All(err)) > 0 {
			return h.passkeyPage(w, r, s, http.StatusUnprocessableEntity, "name")
		}
	case "remove":
		err = h.Passkeys.Remove(r.Context(), s.Person.ID, id, events.ActorPerson)
	default:
		err = fault.Invalid(fieldDo, "must be rename or remove")
	}
	if err != nil {
		return err
	}
	return web.SeeOther(w, to+"?"+flow.ParamDone)
}

// The fields of the page of a passkey: what to do, and its name.
const (
	fieldDo   = "do"
	fieldName = "name"
)

func (h *Handler) passkeyPage(w http.ResponseWriter, r *http.Request, s *storage.SignIn, status int, problem string) error {
	id := r.URL.Query().Get(flow.ParamObject)
	keys, err := h.Store.PasskeysOf(r.Context(), s.Person.ID)
	if err != nil {
		return err
	}
	for i := range keys {
		if string(keys[i].ID) != id {
			continue
		}
		line := h.passkeyLine(&keys[i])
		return h.Web.Page(w, r, status, templates.PasskeyDetails{
			Base: h.Web.Base(r, "", s.Person.Locale), Form: h.Web.Form(w, r, line.Href), Who: web.Account(s),
			PasskeyLine: line, Problem: problem, Back: h.Web.Path(web.PathSecurity),
		})
	}
	return storage.ErrNotFound
}

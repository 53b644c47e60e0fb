package account

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

const fieldEmail = "email"

// showAddresses lists the addresses by which the person is found.
func (h *Handler) showAddresses(w http.ResponseWriter, r *http.Request, s *storage.SignIn) error {
	return h.addressesPage(w, r, s, http.StatusOK, "", "")
}

// takeAddresses begins to verify an address, theirs or another one, or takes one away.
func (h *Handler) takeAddresses(w http.ResponseWriter, r *http.Request, s *storage.SignIn) error {
	to := h.Web.Path(web.PathAddresses)
	if storage.ID(r.PostForm.Get(fieldSession)) != s.Session.ID {
		return web.SeeOther(w, to) // their own page
	}
	typed := strings.TrimSpace(r.PostForm.Get(fieldEmail))
	canonical, err := ident.Email(typed)
	if err != nil {
		return h.addressesPage(w, r, s, http.StatusUnprocessableEntity, "email", typed)
	}
	all, err := h.Directory.Addresses(r.Context(), s.Person.ID)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(a storage.Identifier) bool { return a.Kind == ident.KindEmail && a.Value == canonical })
	switch r.PostForm.Get(fieldDo) {
	case "verify":
		if i >= 0 && !all[i].VerifiedAt.IsZero() {
			return web.SeeOther(w, to) // it is theirs already
		}
		return h.beginVerify(w, r, typed)
	case "remove":
		if i < 0 {
			return web.SeeOther(w, to) // it is gone already
		}
		err = h.removeAddress(r, s, &all[i])
	default:
		return fault.Invalid(fieldDo, "must be verify or remove")
	}
	var f *fault.Error
	switch {
	case errors.Is(err, storage.ErrStale), errors.As(err, &f) && f.Kind == fault.KindConflict:
		return h.addressesPage(w, r, s, http.StatusConflict, "last", "")
	case err != nil:
		return err
	}
	return web.SeeOther(w, to+"?"+flow.ParamDone)
}

// beginVerify leads to the step that shows an address to be theirs.
func (h *Handler) beginVerify(w http.ResponseWriter, r *http.Request, address string) error {
	if !h.Sent.Enabled() {
		return notOffered("there are no mails")
	}
	ctx := storage.WithUnit(r.Context())
	a, err := h.Flow.Begin(ctx, flow.Request{Page: flow.PageVerify, Address: address}, flow.Browser(h.Web.Visitor(r)))
	if err != nil {
		return err
	}
	if err := h.Store.Flush(ctx); err != nil {
		return err
	}
	return web.SeeOther(w, a.Path)
}

// notOffered is of what there is not in this place.
func notOffered(why string) error {
	return &fault.Error{Kind: fault.KindNotFound, Message: "is not offered here", Err: errors.New(why)}
}

// removeAddress takes an address away, and tells of it at those that were verified, that
// one too.
func (h *Handler) removeAddress(r *http.Request, s *storage.SignIn, address *storage.Identifier) error {
	return h.Store.Together(r.Context(), func(ctx context.Context) error {
		with := mail.Device(session.AgentOf(h.Web.Visitor(r).UserAgent))
		if err := h.Notices.Removed(ctx, &s.Person, with, mail.FactorAddress, address.Display); err != nil {
			return err
		}
		return h.Directory.RemoveAddress(ctx, s.Person.ID, address)
	})
}

func (h *Handler) addressesPage(w http.ResponseWriter, r *http.Request, s *storage.SignIn, status int, problem, typed string) error {
	all, err := h.Directory.Addresses(r.Context(), s.Person.ID)
	if err != nil {
		return err
	}
	page := templates.Addresses{
		Base: h.Web.Base(r, "", s.Person.Locale), Form: h.Web.Form(w, r, h.Web.Path(web.PathAddresses)), Who: web.Account(s),
		Done: r.URL.Query().Has(flow.ParamDone), Problem: problem, Email: typed, Mails: h.Sent.Enabled(), Back: h.Web.Path(web.PathSecurity),
	}
	if len(page.Email) > maxTyped {
		page.Email = ""
	}
	for i := range all {
		if a := &all[i]; a.Kind == ident.KindEmail {
			page.Addresses = append(page.Addresses, templates.AddressLine{Email: a.Display, Verified: !a.VerifiedAt.IsZero(), Stays: h.Directory.Stays(a, all)})
		}
	}
	return h.Web.Page(w, r, status, page)
}

// maxTyped is beyond every address there is (RFC 5321 section 4.5.3.1.3).
const maxTyped = 320

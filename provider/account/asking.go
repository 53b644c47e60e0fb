package account

import (
	"context"
	"net/http"
	"slices"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

const fieldAsking = "asking"

// askingOf is how often a person is asked.
func askingOf(s *storage.SignIn) string {
	if s.Person.Asking == "" {
		return string(policy.AskUnusual)
	}
	return s.Person.Asking
}

// showAsking asks how often the person wants to be asked for a second factor.
func (h *Handler) showAsking(w http.ResponseWriter, r *http.Request, s *storage.SignIn) error {
	page := templates.Asking{
		Base: h.Web.Base(r, "", s.Person.Locale), Form: h.Web.Form(w, r, h.Web.Path(web.PathSecurityAsking)), Who: web.Account(s),
		Now: askingOf(s), Back: h.Web.Path(web.PathSecurity),
	}
	for _, a := range policy.Askings() {
		page.Choices = append(page.Choices, string(a))
	}
	return h.Web.Page(w, r, http.StatusOK, page)
}

// takeAsking notes what they said, and tells them where they are asked less often by it.
func (h *Handler) takeAsking(w http.ResponseWriter, r *http.Request, s *storage.SignIn) error {
	to := h.Web.Path(web.PathSecurity)
	if storage.ID(r.PostForm.Get(fieldSession)) != s.Session.ID {
		return web.SeeOther(w, to) // their own page
	}
	asking := r.PostForm.Get(fieldAsking)
	if !slices.Contains(policy.Askings(), policy.Asking(asking)) {
		return fault.Invalid(fieldAsking, "must be always, unusual or sensitive")
	}
	if asking != askingOf(s) {
		began, lowered := h.Now(), slices.Index(policy.Askings(), policy.Asking(asking)) > slices.Index(policy.Askings(), policy.Asking(askingOf(s)))
		err := h.Store.Together(r.Context(), func(ctx context.Context) error {
			if err := h.Store.SetAsking(ctx, s.Person.ID, asking); err != nil {
				return err
			}
			if lowered {
				with := mail.Device(session.AgentOf(h.Web.Visitor(r).UserAgent))
				if err := h.Notices.AskingLowered(ctx, &s.Person, with, began); err != nil {
					return err
				}
			}
			return h.Events.Record(ctx, events.Event{
				Kind: events.AskingChanged, Actor: events.ActorPerson, Person: s.Person.ID, Data: askingChanged{From: askingOf(s), To: asking},
			})
		})
		if err != nil {
			return err
		}
	}
	return web.SeeOther(w, to+"?"+flow.ParamDone)
}

type askingChanged struct {
	From string `json:"from"`
	To   string `json:"to"`
}

package account

import (
	"errors"
	"net/http"
	"slices"
	"sync"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

const (
	fieldEnd  = "end"    // the id of a session, or endOthers
	endOthers = "others" // all but the one that asks
	// mostSessions is how many are shown: nobody has more in use.
	mostSessions = 100
)

// showSessions lists where the person is signed in, the browser that asks first.
func (h *Handler) showSessions(w http.ResponseWriter, r *http.Request, s *storage.SignIn) error {
	ctx := r.Context()
	living, err := h.Sessions.List(ctx, s.Person.ID, storage.Page{Limit: mostSessions})
	if err != nil {
		return err
	}
	page := templates.Sessions{
		Base: h.Web.Base(r, "", s.Person.Locale), Form: h.Web.Form(w, r, h.Web.Path(web.PathSessions)), Who: web.Account(s),
		Done: r.URL.Query().Has(flow.ParamDone), Back: h.Web.Path(web.PathHome),
	}
	for _, l := range slices.Backward(living.Items) { // the newest first
		line := templates.SessionLine{
			ID: string(l.ID), Device: templates.MailDevice{Browser: l.Browser, System: l.System}, Here: l.ID == s.Session.ID,
			Since: l.CreatedAt.Time, Seen: l.SeenAt.Time,
		}
		for _, id := range l.Clients {
			c, err := h.client(ctx, id)
			switch {
			case errors.Is(err, storage.ErrNotFound): // deleted meanwhile
			case err != nil:
				return err
			default:
				line.Apps = append(line.Apps, nameOf(c))
			}
		}
		slices.SortFunc(line.Apps, compareNames)
		if line.Here {
			page.Sessions = slices.Insert(page.Sessions, 0, line)
		} else {
			page.Sessions = append(page.Sessions, line)
		}
	}
	return h.Web.Page(w, r, http.StatusOK, page)
}

// endSessions signs the person out elsewhere: from one browser, or from all but this one.
func (h *Handler) endSessions(w http.ResponseWriter, r *http.Request, s *storage.SignIn) error {
	ctx, to := r.Context(), h.Web.Path(web.PathSessions)
	if storage.ID(r.PostForm.Get(fieldSession)) != s.Session.ID {
		return web.SeeOther(w, to) // their own page
	}
	const why = "signed out elsewhere"
	var (
		ended []storage.ID
		err   error
	)
	if which := r.PostForm.Get(fieldEnd); which == endOthers {
		ended, err = h.Sessions.EndOthers(ctx, &s.Session, why, events.ActorPerson)
	} else if err = h.Sessions.EndOf(ctx, s.Person.ID, which, why, events.ActorPerson); err == nil {
		ended = []storage.ID{storage.ID(which)}
	}
	var told sync.WaitGroup
	for _, id := range ended { // also of those that ended before something failed
		told.Go(func() { h.Tell(ctx, id) })
	}
	told.Wait()
	if err != nil && !errors.Is(err, storage.ErrNotFound) { // else it had ended already
		return err
	}
	return web.SeeOther(w, to+"?"+flow.ParamDone)
}

package account

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

const (
	fieldEnd    = "end"    // the id of a session, or endOthers
	endOthers   = "others" // all but the one that asks
	fieldForget = "forget" // the id of a browser
	// mostSessions and mostDevices are how many are shown: nobody has more in use.
	mostSessions = 100
	mostDevices  = 100
)

// showSessions lists where the person is signed in, the browser that asks first, and
// which others they signed in with.
func (h *Handler) showSessions(w http.ResponseWriter, r *http.Request, s *storage.SignIn) error {
	ctx := r.Context()
	living, err := h.living(ctx, s)
	if err != nil {
		return err
	}
	var used []string
	for _, l := range living {
		used = append(used, l.Clients...)
	}
	slices.Sort(used)
	names, err := h.Store.ClientNames(ctx, slices.Compact(used))
	if err != nil {
		return err
	}
	devices, err := h.Sessions.Devices(ctx, s.Person.ID, mostDevices)
	if err != nil {
		return err
	}
	page := templates.Sessions{
		Base: h.Web.Base(r, "", s.Person.Locale), Form: h.Web.Form(w, r, h.Web.Path(web.PathSessions)), Who: web.Account(s),
		Done: r.URL.Query().Has(flow.ParamDone), Back: h.Web.Path(web.PathHome),
	}
	signedIn := map[storage.ID]bool{}
	for _, l := range living {
		signedIn[l.Device] = true
		line := templates.SessionLine{
			ID: string(l.ID), Device: templates.MailDevice{Browser: l.Browser, System: l.System}, Here: l.ID == s.Session.ID,
			Since: l.CreatedAt.Time, Seen: l.SeenAt.Time,
		}
		if i := slices.IndexFunc(devices, func(d storage.Device) bool { return d.ID == l.Device }); i >= 0 {
			line.Known = h.deviceLine(&devices[i])
		}
		for _, id := range l.Clients {
			if name, is := names[id]; is { // else it was deleted meanwhile
				line.Apps = append(line.Apps, cmp.Or(name, id))
			}
		}
		slices.SortFunc(line.Apps, compareNames)
		page.Sessions = append(page.Sessions, line)
	}
	for i := range devices {
		if d := &devices[i]; !signedIn[d.ID] {
			page.Devices = append(page.Devices, *h.deviceLine(d))
		}
	}
	return h.Web.Page(w, r, http.StatusOK, page)
}

// living are the person's newest sessions, and before them the one that asks.
func (h *Handler) living(ctx context.Context, s *storage.SignIn) ([]session.Living, error) {
	living, err := h.Sessions.Newest(ctx, s.Person.ID, mostSessions)
	if err != nil {
		return nil, err
	}
	here := session.Living{Session: s.Session} // older than all that are shown
	if i := slices.IndexFunc(living, func(l session.Living) bool { return l.ID == s.Session.ID }); i >= 0 {
		here = living[i]
		living = slices.Delete(living, i, i+1)
	}
	return slices.Insert(living, 0, here), nil
}

func (h *Handler) deviceLine(d *storage.Device) *templates.DeviceLine {
	line := &templates.DeviceLine{
		ID: string(d.ID), Device: templates.MailDevice{Browser: d.Browser, System: d.System}, Since: d.CreatedAt.Time, Seen: d.SeenAt.Time,
	}
	if d.Remembers(storage.At(h.Now())) {
		line.Remembered = d.RememberedUntil.Time
	}
	return line
}

// forget has one of the person's browsers be unknown again.
func (h *Handler) forget(r *http.Request, s *storage.SignIn) error {
	err := h.Sessions.Forget(r.Context(), s.Person.ID, r.PostForm.Get(fieldForget), events.ActorPerson)
	if errors.Is(err, storage.ErrNotFound) { // it was forgotten already
		return nil
	}
	return err
}

// endSessions signs the person out elsewhere, from one browser or from all but this one;
// or has a browser be forgotten.
func (h *Handler) endSessions(w http.ResponseWriter, r *http.Request, s *storage.SignIn) error {
	ctx, to := r.Context(), h.Web.Path(web.PathSessions)
	if storage.ID(r.PostForm.Get(fieldSession)) != s.Session.ID {
		return web.SeeOther(w, to) // their own page
	}
	if r.PostForm.Has(fieldForget) {
		if err := h.forget(r, s); err != nil {
			return err
		}
		return web.SeeOther(w, to+"?"+flow.ParamDone)
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

package signin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"

	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// disowning is what the interaction is about: what the notice told of whose link began
// it, or the event that it names. storage.ErrNotFound: the link was used, or there is no such
// event of this person.
func (h *Handler) disowning(ctx context.Context, a flow.Answer) (proof.Disowning, error) {
	d := proof.Disowning{Person: a.SignIn.Person.ID, Keep: a.SignIn.Session.ID}
	if a.Request.Link != nil {
		link, err := h.Notices.LinkOf(ctx, a.Request.Link)
		if err != nil {
			return d, err
		}
		if link.PersonID != d.Person {
			return d, storage.ErrNotFound
		}
		d.What, d.Since, d.Link = link.Kind, link.Since.Time, link.SecretHash
		return d, nil
	}
	e, err := h.Events.Of(ctx, d.Person, a.Request.Object)
	if err != nil {
		return d, err
	}
	var data struct {
		Credential storage.ID `json:"credential"`
	}
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return d, err
	}
	d.What, d.Since, d.Also = string(e.Kind), e.At, data.Credential
	return d, nil
}

// showDisown says what will happen to whoever did what the person did not.
func (h *Handler) showDisown(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	return h.disown(w, r, a, func(d proof.Disowning) error {
		doubts, err := h.doubts(r, d)
		if err != nil {
			return err
		}
		return h.Web.Page(w, r, http.StatusOK, templates.Disown{
			Base: h.base(r, a), Form: h.form(w, r, web.PathDisown, a), Who: web.Account(a.SignIn), When: d.Since,
			ByLink: d.Link != nil, Doubts: doubts, CancelAction: h.stepPath(pathCancel, a),
		})
	})
}

// doubts are the names of the factors that will have to be reviewed.
func (h *Handler) doubts(r *http.Request, d proof.Disowning) (names []string, err error) {
	factors, err := h.Notices.Doubts(r.Context(), d.Person, d.Since, d.Also)
	for _, f := range factors {
		names = append(names, f.Name)
	}
	return names, err
}

// takeDisown makes it so. It is shown this once, so there is no page to come back to.
func (h *Handler) takeDisown(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	ctx := r.Context()
	return h.disown(w, r, a, func(d proof.Disowning) error {
		d.Device = h.Web.Device(r)
		var ended []storage.ID
		next, secrets, err := h.Flow.Disowned(ctx, a, shown(r), func(ctx context.Context) (err error) {
			ended, err = h.Notices.Disown(ctx, d)
			return err
		})
		if len(secrets) == 0 { // nothing was done: another tab, or another link, was quicker
			if err != nil {
				return err
			}
			return web.SeeOther(w, next.Path)
		}
		h.Web.SetSessions(w, secrets) // also when what comes after it failed
		h.tell(ctx, ended)
		if err != nil {
			return err
		}
		return h.Web.Page(w, r, http.StatusOK, templates.Disown{
			Base: h.base(r, a), Who: web.Account(a.SignIn), Done: next.Path,
			PasswordHref: h.Web.Path(web.PathSecurityPassword), AddressesHref: h.Web.Path(web.PathAddresses),
		})
	})
}

// tell has the clients of sessions told that ended.
func (h *Handler) tell(ctx context.Context, ended []storage.ID) {
	var told sync.WaitGroup
	for _, id := range ended {
		told.Go(func() { h.Tell(ctx, id) })
	}
	told.Wait()
}

func (h *Handler) disown(w http.ResponseWriter, r *http.Request, a flow.Answer, run func(proof.Disowning) error) error {
	d, err := h.disowning(r.Context(), a)
	switch {
	case errors.Is(err, storage.ErrNotFound) && a.Request.Link != nil:
		return h.deadLink(w, r, a)
	case err != nil:
		return err
	}
	return run(d)
}

func (h *Handler) deadLink(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	return h.Web.Page(w, r, http.StatusNotFound, templates.NotMe{Base: h.base(r, a), Problem: "dead", ActivityHref: h.Web.Path(web.PathActivity)})
}

package account

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/grants"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

const (
	fieldClient  = "client"
	paramRemoved = "removed" // something was just removed; what, no address says: anybody could have written it
)

// showApps lists what may use the account: what was agreed to, and what grants
// still let an app do. An app with an initiate_login_uri can be opened from here
// (OIDC Core section 4); those of the operator's own are listed to be opened also
// before they were ever used, since nothing says yet who may not use one.
func (h *Handler) showApps(w http.ResponseWriter, r *http.Request, s *storage.SignIn) error {
	ctx := r.Context()
	access, err := h.Grants.AccessTo(ctx, s.Person.ID)
	if err != nil {
		return err
	}
	page := templates.Apps{
		Base: h.Web.Base(r, "", s.Person.Locale), Form: h.Web.Form(w, r, h.Web.Path(web.PathApps)), Who: web.Account(s), Back: h.Web.Path(web.PathHome),
		Removed: r.URL.Query().Has(paramRemoved),
	}
	has := map[string]bool{}
	for _, a := range access {
		app, err := h.app(ctx, a)
		if errors.Is(err, storage.ErrNotFound) {
			continue // deleted meanwhile, and its access with it
		}
		if err != nil {
			return err
		}
		has[a.ClientID] = true
		page.Apps = append(page.Apps, app)
	}
	slices.SortStableFunc(page.Apps, func(a, b templates.AppAccess) int { return compareNames(a.Name, b.Name) })
	openable, err := h.Clients.Openable(ctx)
	if err != nil {
		return err
	}
	for i := range openable {
		if c := &openable[i]; !has[c.ID] {
			page.Open = append(page.Open, templates.App{Name: nameOf(c), Href: h.Clients.LoginURL(c)})
		}
	}
	slices.SortStableFunc(page.Open, func(a, b templates.App) int { return compareNames(a.Name, b.Name) })
	return h.Web.Page(w, r, http.StatusOK, page)
}

func compareNames(a, b string) int {
	return cmp.Or(strings.Compare(strings.ToLower(a), strings.ToLower(b)), strings.Compare(a, b))
}

func nameOf(c *storage.Client) string { return cmp.Or(c.Name, c.ID) }

// client returns a client, disabled or not: what it has is to be taken away also
// while it cannot use it.
func (h *Handler) client(ctx context.Context, id string) (*storage.Client, error) {
	c, err := h.Clients.Get(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return h.Clients.Show(ctx, id)
	}
	return c, err
}

// app says in words what a client may do.
func (h *Handler) app(ctx context.Context, a grants.Access) (templates.AppAccess, error) {
	c, err := h.client(ctx, a.ClientID)
	if err != nil {
		return templates.AppAccess{}, err
	}
	resources, err := h.Clients.ResourceNames(ctx, c)
	if err != nil {
		return templates.AppAccess{}, err
	}
	app := templates.AppAccess{ID: c.ID, Name: nameOf(c), FirstParty: c.Metadata.V.FirstParty, Claims: a.Claims, Since: a.Since.Time}
	if u, err := url.Parse(c.Metadata.V.ClientURI); err == nil {
		app.Host = u.Host
	}
	if c.DisabledAt.IsZero() {
		app.OpenHref = h.Clients.LoginURL(c)
	}
	for _, scope := range inOrder(a.Scopes) {
		app.Scopes = append(app.Scopes, templates.ScopeLine{Name: scope, Detail: resources[scope]})
	}
	return app, nil
}

// inOrder puts openid first: everything else builds on who somebody is.
func inOrder(scopes []string) []string {
	return slices.SortedStableFunc(slices.Values(scopes), func(a, b string) int {
		first := func(s string) int {
			if s == "openid" {
				return 0
			}
			return 1
		}
		return first(a) - first(b)
	})
}

// removeApp takes an app's access away, at once and for all of its grants. Sent
// twice, or from the page of somebody who is not the current one any more, it
// changes nothing.
func (h *Handler) removeApp(w http.ResponseWriter, r *http.Request, s *storage.SignIn) error {
	id := r.PostForm.Get(fieldClient)
	if id == "" {
		return fault.Invalid(fieldClient, "is missing")
	}
	to := h.Web.Path(web.PathApps)
	if storage.ID(r.PostForm.Get(fieldSession)) != s.Session.ID {
		return web.SeeOther(w, to) // their own page
	}
	web.Log(r.Context()).Set("client_id", id)
	err := h.Grants.Withdraw(r.Context(), s.Person.ID, id, events.ActorPerson)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	return web.SeeOther(w, to+"?"+paramRemoved)
}

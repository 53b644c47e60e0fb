package signin

import (
	"net/http"

	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/templates"
)

// home is the issuer's front page: who is signed in here, and the way to their
// apps. Who is not comes there by signing in.
func (h *Handler) home(w http.ResponseWriter, r *http.Request) error {
	current, err := h.Flow.Current(r.Context(), h.browser(r))
	if err != nil {
		return err
	}
	if current == nil {
		return h.Web.Page(w, r, http.StatusOK, templates.Welcome{
			Base: h.Web.Base(r, "", ""), SignInHref: h.Web.Path(web.PathApps),
		})
	}
	who := web.Account(current)
	return h.Web.Page(w, r, http.StatusOK, templates.Welcome{
		Base: h.Web.Base(r, "", current.Person.Locale), Who: &who, AppsHref: h.Web.Path(web.PathApps), SecurityHref: h.Web.Path(web.PathSecurity), AddressesHref: h.Web.Path(web.PathAddresses),
		SessionsHref: h.Web.Path(web.PathSessions), ActivityHref: h.Web.Path(web.PathActivity), LanguageHref: h.Web.Path(web.PathLanguage), SignOutHref: h.Web.Path(web.PathSignOut),
	})
}

package signin

import (
	"net/http"

	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/web"
)

// pathCancel is where the quiet button of a step goes back to the app.
const pathCancel = "/signin/cancel"

// Routes is the table of the steps.
func (h *Handler) Routes() []web.Route {
	page := func(path string, handler web.HandlerFunc) web.Route {
		return web.Route{Method: http.MethodGet, Path: path, Handler: handler, Dialect: web.HTML}
	}
	form := func(path string, handler web.HandlerFunc) web.Route {
		return web.Route{Method: http.MethodPost, Path: path, Handler: handler, Dialect: web.HTML, CSRF: true}
	}
	return []web.Route{
		page(web.PathHome, h.home),
		page(web.PathSignIn, h.at(flow.StepPassword, h.showPassword)),
		form(web.PathSignIn, h.at(flow.StepPassword, h.takePassword)),
		page(web.PathAccount, h.at(flow.StepAccount, h.showAccounts)),
		form(web.PathAccount, h.at(flow.StepAccount, h.takeAccount)),
		page(web.PathConsent, h.at(flow.StepConsent, h.showConsent)),
		form(web.PathConsent, h.at(flow.StepConsent, h.takeConsent)),
		form(pathCancel, h.cancel),
		page(web.PathSignOut, h.showSignOut),
		form(web.PathSignOut, h.takeSignOut),
		page(web.PathSignedOut, h.signedOut),
		page(web.PathSetup, h.showSetup),
		form(web.PathSetup, h.takeSetup),
		page(web.PathSetupDone, h.setupDone),
	}
}

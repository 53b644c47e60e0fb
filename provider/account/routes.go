package account

import (
	"net/http"

	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/web"
)

// Routes is the table of the pages.
func (h *Handler) Routes() []web.Route {
	page := func(path string, handler web.HandlerFunc) web.Route {
		return web.Route{Method: http.MethodGet, Path: path, Handler: handler, Dialect: web.HTML, Face: true}
	}
	form := func(path string, handler web.HandlerFunc, fields ...string) web.Route {
		return web.Route{Method: http.MethodPost, Path: path, Handler: handler, Dialect: web.HTML, CSRF: true, Face: true, Fields: fields}
	}
	return []web.Route{
		page(web.PathApps, h.at(flow.PageApps, h.showApps)),
		form(web.PathApps, h.at(flow.PageApps, h.removeApp), fieldClient, fieldSession),
		page(web.PathSessions, h.at(flow.PageSessions, h.showSessions)),
		form(web.PathSessions, h.at(flow.PageSessions, h.endSessions), fieldEnd, fieldForget, fieldSession),
		page(web.PathActivity, h.at(flow.PageActivity, h.showActivity)),
		page(web.PathLanguage, h.at(flow.PageLanguage, h.showLanguage)),
		form(web.PathLanguage, h.at(flow.PageLanguage, h.setLanguage), fieldLanguage, fieldSession),
		page(web.PathNotMe, h.showNotMe),
		form(web.PathNotMe, h.takeNotMe, proof.ParamLink, fieldDo),
		page(web.PathNotMeEvent, h.at(flow.PageDisown, h.showSecurity)),
		page(web.PathAddresses, h.at(flow.PageAddresses, h.showAddresses)),
		form(web.PathAddresses, h.at(flow.PageAddresses, h.takeAddresses), fieldDo, fieldEmail, fieldSession),
		page(web.PathSecurity, h.at(flow.PageSecurity, h.showSecurity)),
		page(web.PathSecurityAddPasskey, h.at(flow.PageAddPasskey, h.showSecurity)),
		page(web.PathSecurityAddTOTP, h.at(flow.PageAddTOTP, h.showSecurity)),
		page(web.PathSecurityAddPhone, h.addPhone()),
		page(web.PathSecurityRecovery, h.at(flow.PageRecovery, h.showSecurity)),
		page(web.PathSecurityPassword, h.at(flow.PagePassword, h.showSecurity)),
		page(web.PathSecurityFactor, h.at(flow.PageFactor, h.showFactor)),
		form(web.PathSecurityFactor, h.at(flow.PageFactor, h.takeFactor), fieldDo, fieldName, fieldSession),
		page(web.PathSecurityAsking, h.at(flow.PageAsking, h.showAsking)),
		form(web.PathSecurityAsking, h.at(flow.PageAsking, h.takeAsking), fieldAsking, fieldSession),
		page(web.PathSecurityReview, h.at(flow.PageReview, h.showReview)),
		form(web.PathSecurityReview, h.at(flow.PageReview, h.takeReview), fieldSession),
	}
}

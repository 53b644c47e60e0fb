package account

import (
	"net/http"

	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/web"
)

// Routes is the table of the pages.
func (h *Handler) Routes() []web.Route {
	return []web.Route{
		{Method: http.MethodGet, Path: web.PathApps, Handler: h.at(flow.PageApps, h.showApps), Dialect: web.HTML},
		{Method: http.MethodPost, Path: web.PathApps, Handler: h.at(flow.PageApps, h.removeApp), Dialect: web.HTML, CSRF: true},
		{Method: http.MethodGet, Path: web.PathSessions, Handler: h.at(flow.PageSessions, h.showSessions), Dialect: web.HTML},
		{Method: http.MethodPost, Path: web.PathSessions, Handler: h.at(flow.PageSessions, h.endSessions), Dialect: web.HTML, CSRF: true},
		{Method: http.MethodGet, Path: web.PathSecurity, Handler: h.at(flow.PageSecurity, h.showSecurity), Dialect: web.HTML},
		{Method: http.MethodGet, Path: web.PathSecurityAddPasskey, Handler: h.at(flow.PageAddPasskey, h.showSecurity), Dialect: web.HTML},
		{Method: http.MethodGet, Path: web.PathSecurityAddTOTP, Handler: h.at(flow.PageAddTOTP, h.showSecurity), Dialect: web.HTML},
		{Method: http.MethodGet, Path: web.PathSecurityRecovery, Handler: h.at(flow.PageRecovery, h.showSecurity), Dialect: web.HTML},
		{Method: http.MethodGet, Path: web.PathSecurityFactor, Handler: h.at(flow.PageFactor, h.showFactor), Dialect: web.HTML},
		{Method: http.MethodPost, Path: web.PathSecurityFactor, Handler: h.at(flow.PageFactor, h.takeFactor), Dialect: web.HTML, CSRF: true},
	}
}

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
	}
}

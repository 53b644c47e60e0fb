package provider

import (
	"net/http"

	"github.com/gorilla/mux"

	"github.com/doorstep-id/doorstep/provider/web"
)

// join makes one router of every surface's table. Paths are matched as they were
// sent: what is encoded differently, or has a slash twice, is another path.
func join(w *web.Web, tables ...[]web.Route) http.Handler {
	router := mux.NewRouter().UseEncodedPath().SkipClean(true)
	for _, table := range tables {
		for _, route := range table {
			r := router.Handle(w.Path(route.Path), w.Handle(route))
			if methods := route.Methods(); len(methods) > 0 {
				r.Methods(methods...)
			}
		}
	}
	router.NotFoundHandler = w.NotFound()
	router.MethodNotAllowedHandler = w.MethodNotAllowed()
	return router
}

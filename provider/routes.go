package provider

import (
	"maps"
	"net/http"
	"slices"

	"github.com/gorilla/mux"

	"github.com/doorstep-id/doorstep/provider/web"
)

// join makes one router of every surface's routes. Paths are matched as they were
// sent: what is encoded differently, or has a slash twice, is another path.
func join(w *web.Web, routes []web.Route) http.Handler {
	router := mux.NewRouter().UseEncodedPath().SkipClean(true)
	of := map[string][]web.Route{}
	for _, route := range routes {
		of[route.Path] = append(of[route.Path], route)
		r := router.Handle(w.Path(route.Path), w.Handle(route))
		if methods := route.Methods(); len(methods) > 0 {
			r.Methods(methods...)
		}
	}
	// Behind them all: mux goes on when only the method is another.
	for _, path := range slices.Sorted(maps.Keys(of)) {
		router.Handle(w.Path(path), w.MethodNotAllowed(of[path]...))
	}
	router.NotFoundHandler = w.NotFound()
	return router
}

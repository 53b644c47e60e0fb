package provider

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"

	"github.com/doorstep-id/doorstep/provider/web"
)

// router is one of every surface's routes. Paths are matched as they were sent:
// what is encoded differently, or has a slash twice, is another path.
type router struct {
	routes    *mux.Router
	documents map[string]http.Handler // of those routes, by a path that needs no matching
}

// join makes one router of every surface's routes.
func join(w *web.Web, routes []web.Route) *router {
	all := &router{mux.NewRouter().UseEncodedPath().SkipClean(true), map[string]http.Handler{}}
	of := map[string][]web.Route{}
	var rest []web.Route
	for _, route := range routes {
		methods := route.Methods()
		if len(methods) == 0 {
			rest = append(rest, route)
			continue
		}
		path, handler := w.Path(route.Path), w.Handle(route)
		of[route.Path] = append(of[route.Path], route)
		all.routes.Handle(path, handler).Methods(methods...)
		if route.Document && route.Method == http.MethodGet && !strings.Contains(path, "{") {
			all.documents[path] = handler
		}
	}
	// Behind them all: mux goes on when only the method is another.
	for _, path := range slices.Sorted(maps.Keys(of)) {
		all.routes.Handle(w.Path(path), w.MethodNotAllowed(of[path]...))
	}
	// And behind those what answers any method: for whole trees of paths that nobody has.
	for _, route := range rest {
		all.routes.Handle(w.Path(route.Path), w.Handle(route))
	}
	all.routes.NotFoundHandler = w.NotFound()
	return all
}

// ServeHTTP finds the handler and no more: mux itself would copy the request twice,
// to tell of a route and of variables that few handlers of ours ask for.
func (all *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		if document, ok := all.documents[r.URL.EscapedPath()]; ok {
			document.ServeHTTP(w, r)
			return
		}
	}
	var match mux.RouteMatch
	all.routes.Match(r, &match)
	if len(match.Vars) > 0 {
		r = mux.SetURLVars(r, match.Vars)
	}
	match.Handler.ServeHTTP(w, r)
}

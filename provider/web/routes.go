package web

import "net/http"

// A Route is one entry of a surface's table; provider joins the tables.
type Route struct {
	Method string // GET answers HEAD too; "" is any method
	Path   string // as gorilla/mux reads it, without the issuer's path; also the label in logs and metrics

	Handler HandlerFunc
	Dialect Dialect
	CORS    CORS // anything but None: provider routes OPTIONS to the same handler
	CSRF    bool // the form token and a same-origin request are required
	Face    bool // of a page: scripts of ours may have it as JSON; see face.go

	// Fields are the names in the page's form, beside the token.
	Fields []string

	// Document is what anybody may read and keep, written from memory: its handler gets
	// no deadline. That it was read is counted, and an event at the level debug alone,
	// unless there is more to tell ([Record]).
	Document bool

	// Error answers a failed request in place of the dialect's writer, which
	// is how OAuth errors get their own form. The error is logged before.
	Error func(w http.ResponseWriter, r *http.Request, err error)
}

// A HandlerFunc parses, makes one service call and answers; or returns an error
// and writes nothing.
type HandlerFunc func(w http.ResponseWriter, r *http.Request) error

// A Dialect is how a route's errors are written, and whether its body is a form.
type Dialect string

// The dialects.
const (
	HTML  Dialect = "html"  // the error page
	OAuth Dialect = "oauth" // RFC 6749 section 5.2
	JSON  Dialect = "json"  // the body belongs to the handler
)

// CORS says which other origins may read a route's answers. Credentials of the
// browser are never allowed.
type CORS string

// The CORS policies.
const (
	None    CORS = ""        // pages, and the authorization endpoint
	Clients CORS = "clients" // Config.AllowOrigin decides
)

// Methods returns the methods that must be routed to the handler; none is any.
func (r Route) Methods() []string {
	var methods []string
	switch r.Method {
	case "":
		return nil
	case http.MethodGet:
		methods = []string{http.MethodGet, http.MethodHead}
	default:
		methods = []string{r.Method}
	}
	if r.CORS != None {
		methods = append(methods, http.MethodOptions)
	}
	return methods
}

// answers reports whether the handler itself answers this method: preflights
// end before it.
func (r Route) answers(method string) bool {
	return r.Method == "" || r.Method == method || r.Method == http.MethodGet && method == http.MethodHead
}

package web

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	draws "math/rand/v2"
	"net/http"
	"net/netip"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/cors"
	"go.opentelemetry.io/otel/trace"

	"github.com/doorstep-id/doorstep/provider/fault"
)

// state is what one request is known by from end to end, and the context that
// knows it: what a request needs is made in one piece.
type state struct {
	context.Context
	id      [1]string // a header's value as it is
	nonce   string    // "" until a page asks
	address netip.Addr
	agent   string   // its User-Agent, as [Visitor] has it
	browser string   // the secret that was given out in this request
	targets []string // where the page's form may lead, besides ourselves
	record  Record
	out     response
	span    trace.Span // nil: nobody traces
}

type stateKey struct{}

// Value knows the state itself beside what the server's own context knows.
func (s *state) Value(key any) any {
	if _, ours := key.(stateKey); ours {
		return s
	}
	return s.Context.Value(key)
}

// stateOf panics outside of a request: whoever asks would otherwise throttle
// or log a person who does not exist.
func stateOf(ctx context.Context) *state {
	s, ok := ctx.Value(stateKey{}).(*state)
	if !ok {
		panic("web: no request in this context: the handler was not wrapped by Web.Handle")
	}
	return s
}

// RequestID returns the id that the log, the error page and the answer's
// X-Request-ID share.
func RequestID(ctx context.Context) string { return stateOf(ctx).id[0] }

// Origin returns the request's id and where it came from, for who records what
// happened; nothing outside of a request.
func Origin(ctx context.Context) (requestID, address string) {
	if s, ok := ctx.Value(stateKey{}).(*state); ok {
		if !s.address.IsValid() { // a Unix socket, or no network at all
			return s.id[0], ""
		}
		return s.id[0], s.address.String()
	}
	return "", ""
}

// UserAgent returns the header of this name, as [Visitor] has it; "" outside of a request.
func UserAgent(ctx context.Context) string {
	if s, ok := ctx.Value(stateKey{}).(*state); ok {
		return s.agent
	}
	return ""
}

// Nonce returns the nonce of this request's Content-Security-Policy.
func Nonce(ctx context.Context) string {
	s := stateOf(ctx)
	if s.nonce == "" {
		s.nonce = rand.Text()
	}
	return s.nonce
}

// Handle returns the handler of one route.
func (w *Web) Handle(route Route) http.Handler {
	var h http.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.answer(route, rw, r) })
	if route.CORS != None {
		h = w.crossOrigin(h)
	}
	if route.Fields != nil {
		w.forms.Store(w.Path(route.Path), route.Fields)
	}
	seconds := &observers{vec: w.seconds, route: route.Path}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.serve(route, h, seconds, rw, r) })
}

// observers are those of one route, looked up once for each method and status.
type observers struct {
	vec   *prometheus.HistogramVec
	route string
	known atomic.Pointer[map[outcome]prometheus.Observer]
}

type outcome struct {
	method string
	status int
}

func (o *observers) of(method string, status int) prometheus.Observer {
	key := outcome{methodLabel(method), status}
	known := o.known.Load()
	if known != nil {
		if observer, ok := (*known)[key]; ok {
			return observer
		}
	}
	grown := map[outcome]prometheus.Observer{key: o.vec.WithLabelValues(o.route, key.method, strconv.Itoa(status))}
	if known != nil {
		maps.Copy(grown, *known)
	}
	o.known.Store(&grown) // what another goroutine added meanwhile is added again when it is needed
	return grown[key]
}

// NotFound answers requests that no route wants.
func (w *Web) NotFound() http.Handler {
	return w.Handle(Route{Path: "none", Dialect: HTML, Face: true, Handler: func(http.ResponseWriter, *http.Request) error {
		return fault.NotFound("page")
	}})
}

// MethodNotAllowed answers requests with a method that none of these routes
// knows, all of one path, as the first of them would; the answer names theirs
// (RFC 9110 section 15.5.6).
func (w *Web) MethodNotAllowed(routes ...Route) http.Handler {
	var allowed []string
	for _, route := range routes {
		allowed = append(allowed, route.Methods()...)
	}
	slices.Sort(allowed)
	allow := strings.Join(slices.Compact(allowed), ", ")
	refuse := Route{Path: routes[0].Path, Dialect: routes[0].Dialect, Face: routes[0].Face, Error: routes[0].Error}
	refuse.Handler = func(rw http.ResponseWriter, _ *http.Request) error {
		rw.Header().Set("Allow", allow)
		return errMethod
	}
	return w.Handle(refuse)
}

// serve gives the request its state and its standing headers, and tells of it
// once when it is over.
func (w *Web) serve(route Route, h http.Handler, seconds *observers, rw http.ResponseWriter, r *http.Request) {
	began := w.now()
	s := &state{Context: r.Context(), id: [1]string{w.requestID(r)}, address: clientAddress(r, w.cfg.TrustedProxies), agent: userAgent(r)}
	if how := forwarded(r, w.cfg.TrustedProxies); how != "" {
		w.forwarded.WithLabelValues(how).Inc()
	}
	if w.tracer != nil {
		w.beginSpan(s, route, r)
	}
	r = r.WithContext(s) //nolint:contextcheck // s is the request's own context and what we know of it
	// The server's own writer: it closes the connection after a body that is too large.
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = http.MaxBytesReader(rw, r.Body, w.cfg.MaxBody)
	}
	s.out.ResponseWriter = rw
	out := &s.out
	w.standingHeaders(out.Header(), s.id[:])
	if route.Face {
		out.Header()["Vary"], out.json = varyAccept, wantsJSON(r)
	}
	defer func() { //nolint:contextcheck // logRequest has s
		if p := recover(); p != nil {
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p) // the server's own way to cut a connection
			}
			w.fail(route, out, r, panicError(p))
		}
		took := w.now().Sub(began)
		seconds.of(r.Method, out.status()).Observe(took.Seconds())
		w.logRequest(r, s, route, began, took)
		if s.span != nil {
			s.endSpan(out.status())
		}
	}()
	h.ServeHTTP(out, r)
}

// answer checks the request, runs the handler and writes its error. The time that
// a handler has begins when the request is read: a slow client costs only itself.
// A document waits for nobody.
func (w *Web) answer(route Route, rw http.ResponseWriter, r *http.Request) {
	err := w.check(route, r, asJSON(rw))
	if err == nil {
		if route.Dialect == HTML && r.Method == http.MethodGet {
			w.keepLanguage(rw, r)
		}
		limited := r
		if !route.Document {
			ctx, cancel := context.WithTimeout(r.Context(), w.cfg.Timeout)
			defer cancel()
			limited = r.WithContext(ctx)
		}
		err = route.Handler(rw, limited)
	}
	if err != nil {
		w.fail(route, rw, r, err)
	}
}

func (w *Web) check(route Route, r *http.Request, json bool) error {
	if !route.answers(r.Method) {
		return errMethod
	}
	if json {
		if err := w.checkFace(r); err != nil {
			return err
		}
		if err := readObject(route, r); err != nil {
			return err
		}
	}
	if err := checkParameters(route.Dialect, r); err != nil {
		return err
	}
	if route.CSRF {
		return w.checkForm(r)
	}
	return nil
}

// crossOrigin lets pages of other origins read the answers, as the route's policy
// says. A request without Origin is no page's.
func (w *Web) crossOrigin(h http.Handler) http.Handler {
	shared := w.cors().Handler(h)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") == "" {
			rw.Header()["Vary"] = varyOrigin // the first to say what it varies by
			h.ServeHTTP(rw, r)
			return
		}
		shared.ServeHTTP(rw, r)
	})
}

var varyOrigin = []string{"Origin"}

func (w *Web) cors() *cors.Cors {
	return cors.New(cors.Options{
		AllowOriginVaryRequestFunc: func(r *http.Request, origin string) (bool, []string) {
			ok := w.cfg.AllowOrigin != nil && w.cfg.AllowOrigin(r, origin)
			if !ok {
				Log(r.Context()).Set("cors_refused", origin)
			}
			return ok, nil
		},
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost},
		AllowedHeaders: []string{"Authorization", "Content-Type", "DPoP"},
		ExposedHeaders: []string{"WWW-Authenticate", "DPoP-Nonce", "Retry-After", "X-Request-ID"},
		MaxAge:         600,
	})
}

// requestID takes the id of a trusted proxy, so that its log and ours agree.
func (w *Web) requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); isRequestID(id) && isTrusted(parseAddress(r.RemoteAddr), w.cfg.TrustedProxies) {
		return id
	}
	return draw()
}

// draw returns a request's id: 80 bits of chance. It tells requests apart and opens
// nothing, so that it need not come from the system's own source, one call each.
func draw() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	var id [16]byte
	for half := range 2 {
		bits := draws.Uint64() //nolint:gosec // it is no secret
		for i := range 8 {
			id[half*8+i] = letters[bits&31]
			bits >>= 5
		}
	}
	return string(id[:])
}

func isRequestID(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// methodLabel keeps the metric's labels few: a method is any word of the client's.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// panicError tells where it happened. The value itself may hold a secret, so
// that only the runtime's own words are repeated.
func panicError(p any) error {
	if err, ok := p.(runtime.Error); ok {
		return fmt.Errorf("panic: %w\n%s", err, debug.Stack())
	}
	return fmt.Errorf("panic with a %T\n%s", p, debug.Stack())
}

// response remembers the status.
type response struct {
	http.ResponseWriter
	code int
	json bool // of a page: see face.go
}

func (r *response) WriteHeader(code int) {
	if r.code == 0 && code >= http.StatusOK {
		r.code = code
	}
	r.ResponseWriter.WriteHeader(code)
}

func (r *response) Write(b []byte) (int, error) {
	if r.code == 0 {
		r.code = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap serves http.ResponseController.
func (r *response) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// status is what the client got; an answer without a word is a 200.
func (r *response) status() int {
	if r.code == 0 {
		return http.StatusOK
	}
	return r.code
}

package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/grants"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// Config is what an operator decides about the API.
type Config struct {
	// Rate is how many requests one client, or one operator's token, may send: default
	// 300 at once, and then 20 a second.
	Rate throttle.Limit
	// KeepEvents is how long events are kept, as whoever verifies them is told; 0: for ever.
	KeepEvents time.Duration
}

// Deps is what the API works with.
type Deps struct {
	Web       *web.Web
	Store     *storage.Store
	Keys      *keys.Service
	Clients   *clients.Service
	Directory *directory.Service
	Sessions  *session.Service
	Grants    *grants.Service
	Events    *events.Service
	Throttle  *throttle.Service
	Mail      *mail.Service
	Passkeys  *proof.Passkey
	TOTP      *proof.TOTP
	Phones    *proof.Phones
	Notices   *proof.Notices
	Now       func() time.Time

	// Verify returns whose a token is: an *Refusal, or a fault of the store.
	Verify func(ctx context.Context, token string) (*Caller, error)
	// RotateKey and RevokeKey change the signing keys, with their events.
	RotateKey func(ctx context.Context, alg string, actor events.Actor) (keys.Key, error)
	RevokeKey func(ctx context.Context, kid string, actor events.Actor) (keys.Revoked, error)
	// CreatePerson adds a person, with a password or with "" for none.
	CreatePerson func(ctx context.Context, in directory.NewPerson, password string, actor events.Actor) (*storage.Person, error)
	// SetPassword gives a person a password, and signs them out where it replaces one.
	SetPassword func(ctx context.Context, person *storage.Person, password string, actor events.Actor) error

	// As, if set, makes every request this caller's, and none needs a token: for the
	// command line, which works on the database itself. What is reached over a network
	// must leave it nil.
	As *Caller
}

// Handler serves the API.
type Handler struct {
	Deps
	cfg       Config
	issuer    string
	cursorKey [32]byte
	onceKey   [32]byte
	huma      huma.API
	routes    []web.Route
	document  document
}

// New returns the API of the issuer that d.Web was made for.
func New(cfg Config, d Deps) (*Handler, error) {
	if cfg.Rate == (throttle.Limit{}) {
		cfg.Rate = throttle.Limit{Name: "api", Every: 50 * time.Millisecond, Burst: 300}
	}
	h := &Handler{Deps: d, cfg: cfg, issuer: d.Web.Issuer(), cursorKey: d.Keys.Derive("api-cursor"), onceKey: d.Keys.Derive("api-once")}
	h.huma = huma.NewAPI(h.describe(), h)
	h.registerClients()
	h.registerResources()
	h.registerUsers()
	h.registerGroups()
	h.registerFactors()
	h.registerDevices()
	h.registerSessions()
	h.registerGrants()
	h.registerConsents()
	h.registerKeys()
	h.registerEvents()
	h.registerChain()
	h.registerMails()
	return h, h.publish()
}

// Routes is the table of the API: one entry for each operation that was declared,
// the document, and what answers below its path for all that is not there.
func (h *Handler) Routes() []web.Route { return h.routes }

// Handle implements huma.Adapter: it mounts an operation.
func (h *Handler) Handle(op *huma.Operation, answer func(huma.Context)) {
	h.routes = append(h.routes, web.Route{
		Method: op.Method, Path: web.PathAPI + op.Path, Dialect: web.JSON, Error: writeProblem,
		Handler: h.serve(op, func(w http.ResponseWriter, r *http.Request) { answer(&params{humamux.NewContext(op, r, w)}) }),
	})
}

// ServeHTTP implements huma.Adapter, and is never called: provider routes.
func (h *Handler) ServeHTTP(http.ResponseWriter, *http.Request) { panic("api: not a router") }

// params reads the parameters of a path as they were meant: the router matches them
// as they were sent.
type params struct{ request }

// request is huma's, by a name that is no method of it.
type request huma.Context

// Param implements huma.Context. What cannot be decoded names nothing.
func (p *params) Param(name string) string {
	raw := p.request.Param(name)
	value, err := url.PathUnescape(raw)
	if err != nil {
		return raw
	}
	return value
}

// Unwrap serves humamux.
func (p *params) Unwrap() huma.Context { return p.request }

// serve is the way of every operation: whose request it is, whether it may, what it
// says, and at last the handler.
func (h *Handler) serve(op *huma.Operation, run func(http.ResponseWriter, *http.Request)) web.HandlerFunc {
	declared := declarationOf(op)
	return func(w http.ResponseWriter, r *http.Request) error {
		web.Log(r.Context()).Set("operation", op.OperationID)
		caller, err := h.admit(w, r, declared.scope)
		if err != nil {
			return err
		}
		ctx := events.WithActor(withCaller(r.Context(), caller), caller.actor(), caller.ClientID)
		if caller.TokenID != "" {
			ctx = events.WithToken(ctx, caller.TokenID)
		}
		if ctx, err = withVersion(ctx, r, declared.match); err != nil {
			return err
		}
		if err := checkQuery(r.URL.Query()); err != nil {
			return err
		}
		body, err := readBody(op, r)
		if err != nil {
			return err
		}
		r = r.WithContext(ctx)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if key := r.Header.Values(headerIdempotencyKey); declared.once && len(key) > 0 {
			return h.once(w, r, key, body, run)
		}
		run(w, r)
		return nil
	}
}

// checkQuery refuses a parameter that is there twice: of two readers each would take
// another one.
func checkQuery(query url.Values) error {
	for name, values := range query {
		if len(values) > 1 {
			return fault.Invalid(name, "is there more than once")
		}
	}
	return nil
}

// readBody returns the body of an operation that takes one, a JSON object which can
// be read in one way only.
func readBody(op *huma.Operation, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body) // web has set its limit
	if err != nil {
		return nil, err
	}
	if op.RequestBody == nil {
		if len(body) > 0 {
			return nil, fault.Invalid("", "the request has a body, which this operation does not take")
		}
		return nil, nil
	}
	if len(body) == 0 {
		return nil, nil
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if _, known := op.RequestBody.Content[kind]; err != nil || !known {
		return nil, unsupportedMedia(op)
	}
	return body, clients.CheckObject(body)
}

// Header implements huma.Context. There is one format: nothing is negotiated.
func (p *params) Header(name string) string {
	if name == "Accept" {
		return ""
	}
	return p.request.Header(name)
}

var (
	inJSON = huma.Format{
		Marshal: func(w io.Writer, v any) error {
			enc := json.NewEncoder(w)
			enc.SetEscapeHTML(false)
			return enc.Encode(v)
		},
		Unmarshal: json.Unmarshal,
	}
	formats = map[string]huma.Format{jsonType: inJSON, web.ProblemType: inJSON}
)

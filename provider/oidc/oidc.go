// Package oidc is where clients speak: the authorization, token, introspection,
// revocation, userinfo and logout endpoints, and the documents that describe them. One file per endpoint
// or spec; the checks of the authorization endpoint are one visible list
// (checks.go), and each answer has one writer (respond.go, token.go).
//
// The edge comes first: parameters are single-valued, bounded and canonical
// before anything reads them, and prompt, max_age, acr_values end in flow.
// Grants are driven by oidc/engine, the only room that knows fosite.
//
// It must never send an answer to an address that is not registered for the
// client, let an error code out that is not registered, decide what a person has
// to prove (flow does), or take the issuer from anywhere but the configuration.
package oidc

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/grants"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/oidc/engine"
	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// Deps is what the endpoints work with.
type Deps struct {
	Web      *web.Web
	Pages    *templates.Pages
	Store    *storage.Store
	Keys     *keys.Service
	Clients  *clients.Service
	Grants   *grants.Service
	Sessions *session.Service
	Flow     *flow.Service
	Engine   *engine.Engine
	Logouts  *Logouts
	Metrics  prometheus.Registerer
	Now      func() time.Time
}

// Handler serves the protocol endpoints.
type Handler struct {
	Deps
	issuer   string
	sidKey   [32]byte
	host     string // of the issuer
	metadata *document
	keySet   atomic.Pointer[document] // the newest that was asked for
	issued   *prometheus.CounterVec
	refused  *prometheus.CounterVec
}

// New returns the protocol endpoints of the issuer that d.Web was made for.
func New(d Deps) (*Handler, error) {
	h := &Handler{
		Deps:   d,
		issuer: d.Web.Issuer(),
		sidKey: d.Keys.Derive("sid"),
		issued: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doorstep_tokens_issued_total", Help: "Tokens that the token endpoint gave out, by grant type and kind of token.",
		}, []string{"grant_type", "kind"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doorstep_oauth_errors_total", Help: "Refused protocol requests, by endpoint and error code.",
		}, []string{"endpoint", "error"}),
	}
	if err := d.Metrics.Register(h.issued); err != nil {
		return nil, err
	}
	if err := d.Metrics.Register(h.refused); err != nil {
		return nil, err
	}
	return h, h.describe()
}

// Routes is the table of the protocol endpoints.
func (h *Handler) Routes() []web.Route {
	token := web.Route{Method: http.MethodPost, Dialect: web.OAuth, CORS: web.Clients}
	ask := web.Route{Method: http.MethodPost, Dialect: web.OAuth} // by servers only: no page introspects
	page := web.Route{Method: http.MethodGet, Dialect: web.HTML}
	document := web.Route{Method: http.MethodGet, Dialect: web.JSON, CORS: web.Clients, Document: true}
	elsewhere := web.Route{Method: http.MethodGet, Dialect: web.JSON, CORS: web.Clients}
	return []web.Route{
		at(document, web.PathOpenIDConfiguration, h.configuration, nil),
		at(document, web.PathOAuthServer, h.configuration, nil),
		at(elsewhere, "/{elsewhere:.+}"+web.PathOpenIDConfiguration, h.misplaced, nil),
		at(elsewhere, web.PathOAuthServer+"/{elsewhere:.+}", h.misplaced, nil),
		at(document, web.PathJWKS, h.jwks, nil),
		at(page, web.PathAuthorize, h.authorize, nil),
		post(at(page, web.PathAuthorize, h.toGet(web.PathAuthorize), nil)),
		at(token, web.PathToken, h.token, h.refusedAt("token")),
		at(ask, web.PathIntrospect, h.introspect, h.refusedAt("introspection")),
		at(token, web.PathRevoke, h.revoke, h.refusedAt("revocation")),
		get(at(token, web.PathUserinfo, h.userinfo, h.userinfoError)),
		at(token, web.PathUserinfo, h.userinfo, h.userinfoError),
		at(page, web.PathEndSession, h.endSession, nil),
		post(at(page, web.PathEndSession, h.toGet(web.PathEndSession), nil)),
	}
}

func at(r web.Route, path string, handler web.HandlerFunc, onError func(http.ResponseWriter, *http.Request, error)) web.Route {
	r.Path, r.Handler, r.Error = path, handler, onError
	return r
}

func get(r web.Route) web.Route  { r.Method = http.MethodGet; return r }
func post(r web.Route) web.Route { r.Method = http.MethodPost; return r }

// toGet turns a POST from another origin into a GET of the same parameters, in
// which the browser sends its cookies (they are SameSite=Lax). OIDC Core 3.1.2.1
// asks for both methods.
func (h *Handler) toGet(path string) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		q := r.PostForm
		if r.URL.RawQuery != "" {
			q = url.Values{}
			for _, from := range []url.Values{r.URL.Query(), r.PostForm} {
				for k, vs := range from {
					q[k] = append(q[k], vs...)
				}
			}
		}
		return web.SeeOther(w, h.Web.Path(path)+"?"+q.Encode())
	}
}

// sid names a session to one client (OIDC Front-Channel and Back-Channel Logout):
// two clients cannot tell that theirs are the same one.
func (h *Handler) sid(session storage.ID, client string) string {
	mac := hmac.New(sha256.New, h.sidKey[:])
	mac.Write([]byte(string(session) + "|" + client))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

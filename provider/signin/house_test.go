package signin_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/doorstep-id/doorstep/policy/rules"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/risk"
	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/provider/signin"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// The client of these tests, and where its answers go.
const (
	clientID = "shop"
	redirect = "https://shop.example/callback"
	leftTo   = "https://shop.example/bye"

	ada           = "ada@example.org"
	bob           = "bob@example.org"
	rightPassword = "four horses on a hill"
)

// house is the steps on real services, below an issuer with a path.
type house struct {
	t         *testing.T
	base      string // the issuer
	clock     *providertest.Clock
	store     *storage.Store
	web       *web.Web
	flow      *flow.Service
	directory *directory.Service
	passwords *proof.Password
	log       *bytes.Buffer
}

func open(t *testing.T, databaseURL string, opts ...storage.Option) *house {
	t.Helper()
	ctx := t.Context()
	store, err := storage.Open(ctx, databaseURL, opts...)
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	h := &house{t: t, clock: providertest.NewClock(), store: store, log: &bytes.Buffer{}}
	now := h.clock.Now
	k, err := keys.New(ctx, keys.Config{KEK: bytes.Repeat([]byte{7}, 32), Algorithms: []string{keys.ES256}}, store, now)
	must(t, err)

	server := httptest.NewUnstartedServer(nil)
	h.base = "http://" + server.Listener.Addr().String() + "/auth"
	issuer, err := url.Parse(h.base)
	must(t, err)
	pages, err := templates.New()
	must(t, err)
	h.web, err = web.New(web.Config{Issuer: issuer, Context: func(ctx context.Context) context.Context {
		return events.WithOrigin(ctx, web.RequestID(ctx), web.Address(ctx).String())
	}}, web.Deps{
		Pages: pages, Key: k.Derive("web"), Log: slog.New(slog.NewJSONHandler(h.log, nil)), Now: now, Registry: prometheus.NewRegistry(),
	})
	must(t, err)

	ev := events.New(store, k, now)
	cs := clients.New(clients.Config{Issuer: h.base}, store, ev, now)
	ss := session.New(session.Config{}, store, ev, now)
	h.directory = directory.New(store, ev, now)
	h.passwords, err = proof.NewPassword(proof.PasswordConfig{Memory: 64, Time: 1}, store, ev, now)
	must(t, err)
	rs := risk.New(risk.Config{Key: k.Derive("risk"), Rules: rules.Allow()}, store, now)
	at := h.web.Path
	h.flow = flow.New(flow.Config{Paths: flow.Paths{
		Password: at(web.PathSignIn), Account: at(web.PathAccount), Consent: at(web.PathConsent), SignOut: at(web.PathSignOut), Finish: at(web.PathAuthorize),
	}}, store, cs, ss, rs, ev, now)
	steps := signin.New(signin.Config{}, signin.Deps{
		Web: h.web, Store: store, Flow: h.flow, Directory: h.directory, Passwords: h.passwords,
		Throttle: throttle.New(store, k.Derive("throttle"), now), Clients: cs, Now: now,
	})
	router := mux.NewRouter()
	for _, route := range append(steps.Routes(), h.begin(), h.beginSignOut()) {
		router.Handle(at(route.Path), h.web.Handle(route)).Methods(route.Methods()...)
	}
	server.Config.Handler = router
	server.Start()
	t.Cleanup(server.Close)

	must(t, store.CreateClient(ctx, &storage.Client{
		ID: clientID, Name: "The <b>Shop</b>", RegisteredBy: storage.RegisteredByOperator,
		Metadata: storage.Document(storage.ClientMetadata{
			RedirectURIs: []string{redirect}, TokenEndpointAuthMethod: "client_secret_basic", Scope: "openid email",
		}),
		CreatedAt: storage.At(now()), UpdatedAt: storage.At(now()),
	}))
	h.person(ada, rightPassword)
	return h
}

// begin stands in for the authorization endpoint: prompt, ui_locales and
// login_hint are the client's.
func (h *house) begin() web.Route {
	return web.Route{Method: "GET", Path: "/begin", Dialect: web.HTML, Handler: func(w http.ResponseWriter, r *http.Request) error {
		req := flow.Request{ClientID: clientID, RedirectURI: redirect, ResponseType: "code", Scopes: []string{"openid", "email"},
			UILocales: r.URL.Query().Get("ui_locales"), LoginHint: r.URL.Query().Get("login_hint")}
		req.Prompt = strings.Fields(r.URL.Query().Get("prompt"))
		visitor := h.web.Visitor(r)
		visitor.Secret = h.web.Browser(w, r)
		a, err := h.flow.Begin(r.Context(), req, flow.Browser(visitor))
		if err != nil {
			return err
		}
		w.Header().Set("Location", a.Path)
		w.WriteHeader(http.StatusSeeOther)
		return nil
	}}
}

func (h *house) beginSignOut() web.Route {
	return web.Route{Method: "GET", Path: "/begin-signout", Dialect: web.HTML, Handler: func(w http.ResponseWriter, r *http.Request) error {
		to, err := h.flow.BeginSignOut(r.Context(), flow.Request{ClientID: clientID, RedirectURI: leftTo}, flow.Browser(h.web.Visitor(r)))
		if err != nil {
			return err
		}
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusSeeOther)
		return nil
	}}
}

func (h *house) person(email, password string) *storage.Person {
	h.t.Helper()
	p, err := h.directory.Create(h.t.Context(), directory.NewPerson{Email: email, Name: strings.ToUpper(email[:1]) + "da Lovelace", Verified: true}, events.ActorOperator)
	must(h.t, err)
	must(h.t, h.passwords.Set(h.t.Context(), p, password, events.ActorOperator))
	return p
}

// A browser keeps cookies and follows nothing by itself.
type browser struct {
	*house
	client *http.Client
}

func (h *house) browser() *browser {
	jar, err := cookiejar.New(nil)
	must(h.t, err)
	return &browser{h, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// A reply is an answer that was read.
type reply struct {
	*http.Response
	body string
}

// to is where a 303 leads, without the issuer's path; "" for anything else.
func (r *reply) to() string {
	if r.StatusCode != http.StatusSeeOther {
		return ""
	}
	return strings.TrimPrefix(r.Header.Get("Location"), "/auth")
}

func (b *browser) do(req *http.Request) *reply {
	b.t.Helper()
	res, err := b.client.Do(req)
	must(b.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(b.t, err)
	return &reply{res, string(body)}
}

func (b *browser) get(path string) *reply {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.base+path, nil)
	must(b.t, err)
	return b.do(req)
}

// post sends a form as it stands.
func (b *browser) post(path string, form url.Values, headers ...string) *reply {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.base+path, strings.NewReader(form.Encode()))
	must(b.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return b.do(req)
}

var tokenField = regexp.MustCompile(`name="form_token" value="([^"]+)"`)

// send fills in the form of the page at path and sends it.
func (b *browser) send(path string, fields ...string) *reply {
	b.t.Helper()
	page := b.get(path)
	found := tokenField.FindStringSubmatch(page.body)
	if found == nil {
		b.t.Fatalf("%s has no form: %d %s", path, page.StatusCode, page.body)
	}
	form := url.Values{"form_token": {found[1]}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return b.post(path, form)
}

// start begins a request of the client and returns where it leads.
func (b *browser) start(query string) string {
	b.t.Helper()
	return b.get("/begin?" + query).to()
}

func (b *browser) signIn(path, email, password string) *reply {
	b.t.Helper()
	return b.send(path, "identifier", email, "password", password)
}

// signedIn has ada sign in, up to consent.
func (b *browser) signedIn() *browser {
	b.t.Helper()
	b.wantStep(b.signIn(b.start(""), ada, rightPassword), "/signin/consent")
	return b
}

func (b *browser) wantStep(r *reply, path string) {
	b.t.Helper()
	if got, _, _ := strings.Cut(r.to(), "?"); got != path {
		b.t.Fatalf("%s %s: %d to %q, want %s\n%s", r.Request.Method, r.Request.URL.Path, r.StatusCode, r.to(), path, r.body)
	}
}

// cookie returns the value of one of our cookies.
func (b *browser) cookie(name string) string {
	u, err := url.Parse(b.base)
	must(b.t, err)
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == "doorstep_"+name {
			return c.Value
		}
	}
	return ""
}

// forget removes a cookie.
func (b *browser) setCookie(name, value string) {
	u, err := url.Parse(b.base)
	must(b.t, err)
	age := 0
	if value == "" {
		age = -1
	}
	b.client.Jar.SetCookies(u, []*http.Cookie{{Name: "doorstep_" + name, Value: value, Path: "/", MaxAge: age}})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

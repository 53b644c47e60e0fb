package signin_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
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

// house is a provider below an issuer with a path, with one client and ada.
type house struct {
	*providertest.P
	t    *testing.T
	base string // the issuer
}

func open(t *testing.T, databaseURL string) *house {
	t.Helper()
	p := providertest.Start(t, providertest.On(databaseURL), providertest.Configure(func(c *provider.Config) { c.Issuer.Path = "/auth" }))
	h := &house{p, t, p.Issuer + "/auth"}
	now := storage.At(p.Clock.Now())
	must(t, h.Store.CreateClient(t.Context(), &storage.Client{
		ID: clientID, Name: "The <b>Shop</b>", RegisteredBy: storage.RegisteredByOperator,
		Metadata: storage.Document(storage.ClientMetadata{
			RedirectURIs: []string{redirect}, PostLogoutRedirectURIs: []string{leftTo}, TokenEndpointAuthMethod: "client_secret_basic",
			GrantTypes: []string{"authorization_code"}, ResponseTypes: []string{"code"}, Scope: "openid email",
		}),
		CreatedAt: now, UpdatedAt: now,
	}))
	h.person(ada, rightPassword)
	return h
}

func (h *house) person(email, password string) *storage.Person {
	h.t.Helper()
	p, err := h.Directory.Create(h.t.Context(), directory.NewPerson{Email: email, Name: strings.ToUpper(email[:1]) + "da Lovelace", Verified: true}, events.ActorOperator)
	must(h.t, err)
	must(h.t, h.Passwords.Set(h.t.Context(), p, password, events.ActorOperator))
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
	return b.post(path, b.filled(path, fields...))
}

// filled is the form of the page at path, to send it later.
func (b *browser) filled(path string, fields ...string) url.Values {
	b.t.Helper()
	page := b.get(path)
	form := providertest.ReadForm([]byte(page.body))
	if form == nil {
		b.t.Fatalf("%s has no form: %d %s", path, page.StatusCode, page.body)
	}
	for i := 0; i < len(fields); i += 2 {
		form.Fields.Set(fields[i], fields[i+1])
	}
	return form.Fields
}

// start begins a request of the client, with more parameters than it needs, and
// returns where it leads.
func (b *browser) start(more string) string {
	b.t.Helper()
	q := url.Values{
		"client_id": {clientID}, "redirect_uri": {redirect}, "response_type": {"code"}, "scope": {"openid email"}, "state": {"s"},
		"code_challenge": {strings.Repeat("A", 43)}, "code_challenge_method": {"S256"},
	}
	res := b.get("/oauth2/authorize?" + q.Encode() + "&" + more)
	if res.to() == "" {
		b.t.Fatalf("authorize: %d %s", res.StatusCode, res.body)
	}
	return res.to()
}

// finish goes where the last step pointed, and returns what the client gets.
func (b *browser) finish(r *reply) url.Values {
	b.t.Helper()
	b.wantStep(r, "/oauth2/authorize")
	back := b.get(r.to())
	to, err := url.Parse(back.Header.Get("Location"))
	must(b.t, err)
	if !strings.HasPrefix(to.String(), redirect+"?") {
		b.t.Fatalf("%d to %s, want the client\n%s", back.StatusCode, to, back.body)
	}
	return to.Query()
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

// setCookie plants one of our cookies; "" removes it.
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

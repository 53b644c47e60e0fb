package providertest

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/doorstep-id/doorstep/provider/web"
)

var rawURL = base64.RawURLEncoding

// Browser is a person's browser without a screen: it keeps cookies, follows
// redirects, and fills in the provider's forms as the person would. It works as
// fast as HTTP; for what a person sees there is [Chromium].
type Browser struct {
	p    *P
	t    testing.TB
	http *http.Client
	who  *Person
	has  *Device
	deny bool
	stop string // the path that Walk stops at

	agent string // its User-Agent header; "" for that of a program
}

// As makes the browser say that it is another one, by its User-Agent header.
func (b *Browser) As(agent string) *Browser {
	b.agent = agent
	return b
}

// Browser returns a browser that has no cookies and in front of which nobody
// sits.
func (p *P) Browser() *Browser {
	p.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	c := *p.http
	c.Jar = jar
	return &Browser{p: p, t: p.t, http: &c}
}

// SignIn puts a person in front of the browser, who signs in when the provider
// asks; somebody of this name is created if there is nobody yet.
func (b *Browser) SignIn(name string) *Browser {
	b.t.Helper()
	b.who = b.p.Person(name)
	return b
}

// SignedOut makes the person leave the browser, with the cookies it has.
func (b *Browser) SignedOut() *Browser {
	b.who = nil
	return b
}

// Holding gives the person a device, whose passkeys they take wherever they can.
func (b *Browser) Holding(d *Device) *Browser {
	b.has = d
	return b
}

// Deny makes the person refuse to consent.
func (b *Browser) Deny() *Browser {
	b.deny = true
	return b
}

// StopAt makes the browser stop where it would be sent to this path, to go
// there in another way: see [Browser.Request].
func (b *Browser) StopAt(path string) *Browser {
	b.stop = path
	return b
}

// Cookies returns the cookies that the browser sends to the provider.
func (b *Browser) Cookies() []*http.Cookie {
	b.t.Helper()
	return b.http.Jar.Cookies(b.parse(b.p.Issuer))
}

// Param changes a request's parameters.
type Param func(url.Values)

// With sets a parameter.
func With(name, value string) Param { return func(q url.Values) { q.Set(name, value) } }

// And adds a value to a parameter, also a second one.
func And(name, value string) Param { return func(q url.Values) { q.Add(name, value) } }

// Without leaves a parameter out.
func Without(name string) Param { return func(q url.Values) { q.Del(name) } }

// AuthorizationURL returns where the client sends a browser for code and PKCE
// (S256), with a fresh state and nonce.
func (rp *RP) AuthorizationURL(scope string, params ...Param) string {
	verifier, state := rand.Text()+rand.Text(), rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {rp.ID}, "redirect_uri": {rp.RedirectURI}, "scope": {scope},
		"state": {state}, "nonce": {rand.Text()},
		"code_challenge": {rawURL.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for _, change := range params {
		change(q)
	}
	rp.began(q.Get("state"), verifier)
	return rp.p.URL(web.PathAuthorize) + "?" + q.Encode()
}

// Authorize has the person let the client in and returns the code.
func (b *Browser) Authorize(rp *RP, scope string, params ...Param) string {
	b.t.Helper()
	return b.Ask(rp, scope, params...).Code()
}

// Ask sends the browser to the authorization endpoint and on until it stands at
// the client's redirect or on a page that the person cannot go on from.
func (b *Browser) Ask(rp *RP, scope string, params ...Param) *Arrival {
	b.t.Helper()
	return b.Walk(rp, rp.AuthorizationURL(scope, params...))
}

// Arrival is where a browser ended up.
type Arrival struct {
	*Answer
	URL    *url.URL   // the page, or the client's redirect
	Params url.Values // what the redirect carries; nil on a page of the provider
	rp     *RP
	issuer string
}

// Walk goes to the URL and on from there, as [Browser.Ask] does.
func (b *Browser) Walk(rp *RP, to string) *Arrival {
	b.t.Helper()
	r := b.get(to)
	for range 20 {
		answer := send(b.t, b.http, r)
		if location := answer.Header.Get("Location"); location != "" && answer.Status/100 == 3 {
			next := r.URL.ResolveReference(b.parse(location))
			if rp != nil && strings.HasPrefix(next.String(), rp.RedirectURI) {
				return &Arrival{Answer: answer, URL: next, Params: carried(next), rp: rp, issuer: b.p.Issuer}
			}
			if b.stop != "" && next.Path == b.stop {
				return &Arrival{Answer: answer, URL: next, rp: rp, issuer: b.p.Issuer}
			}
			r = b.get(next.String())
			continue
		}
		next := b.fill(r.URL, answer)
		if next == nil {
			return &Arrival{Answer: answer, URL: r.URL, rp: rp, issuer: b.p.Issuer}
		}
		r = next
	}
	b.t.Fatalf("going in circles, now at %s", r.URL)
	return nil
}

// carried is what a redirect carries: in its fragment, if it has one, else in its
// query.
func carried(u *url.URL) url.Values {
	if u.Fragment == "" {
		return u.Query()
	}
	values, err := url.ParseQuery(u.EscapedFragment())
	if err != nil {
		return url.Values{}
	}
	return values
}

// Get goes to one page without going on.
func (b *Browser) Get(to string) *Answer {
	b.t.Helper()
	return send(b.t, b.http, b.get(to))
}

// Request is a request for a page with the browser's cookies, for [P.AtOnce].
func (b *Browser) Request(to string) *http.Request {
	b.t.Helper()
	r := b.get(to)
	for _, c := range b.http.Jar.Cookies(r.URL) {
		r.AddCookie(c)
	}
	return r
}

// Post sends a form without going on, from no page at all: it has the cookies
// and nothing else that the provider's own forms carry.
func (b *Browser) Post(to string, fields url.Values) *Answer {
	b.t.Helper()
	return send(b.t, b.http, b.post(to, fields))
}

func (b *Browser) get(to string) *http.Request {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, to, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.sets(r)
	return r
}

func (b *Browser) post(to string, fields url.Values) *http.Request {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, to, strings.NewReader(fields.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	b.sets(r)
	return r
}

func (b *Browser) sets(r *http.Request) {
	r.Header.Set("Accept", "text/html")
	if b.agent != "" {
		r.Header.Set("User-Agent", b.agent)
	}
}

func (b *Browser) parse(to string) *url.URL {
	b.t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		b.t.Fatal(err)
	}
	return u
}

// fill returns the request that the page's form makes when the person has filled
// it in, or nil if the person can do nothing here.
func (b *Browser) fill(at *url.URL, page *Answer) *http.Request {
	b.t.Helper()
	form := ReadForm(page.Body)
	if prompt := ReadPrompt(page.Body); b.has != nil && prompt != nil && (prompt.Creates || b.has.Has(prompt.Options)) {
		prompt.Fields.Set("passkey", b.has.Answer(prompt))
		form = &prompt.Form
	}
	switch {
	case form == nil || page.Status/100 != 2 || !strings.HasPrefix(at.String(), b.p.Issuer):
		return nil
	case form.Fields.Get("passkey") != "":
	case form.has("password"):
		if b.who == nil {
			return nil
		}
		if form.Fields.Get("identifier") == "" {
			form.Fields.Set("identifier", b.who.Email)
		}
		form.Fields.Set("password", b.who.Password)
	case form.has("account"):
		form.Fields.Set("account", form.choose("account", func(label string) bool {
			return b.who != nil && strings.Contains(label, b.who.Email)
		}))
	case form.has("decision"):
		if b.deny {
			form.Fields.Set("decision", "deny")
		} else {
			form.Fields.Set("decision", form.buttons[0].value) // what the page proposes
		}
	default:
		return nil
	}
	return b.Submit(at, form)
}

// Submit is the request that a form of the page at this URL makes as it stands.
func (b *Browser) Submit(at *url.URL, form *Form) *http.Request {
	b.t.Helper()
	r := b.post(at.ResolveReference(b.parse(form.Action)).String(), form.Fields)
	r.Header.Set("Origin", at.Scheme+"://"+at.Host)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return r
}

// Form is the first form that a page would post.
type Form struct {
	Action  string
	Fields  url.Values // as they stand, hidden ones included
	buttons []button
}

type button struct{ name, value, label string }

// ReadForm returns the first form of a page that is posted, or nil.
func ReadForm(page []byte) *Form {
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		return nil
	}
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "form" && strings.EqualFold(attribute(n, "method"), "post") {
			return readForm(n)
		}
	}
	return nil
}

func readForm(n *html.Node) *Form {
	f := &Form{Action: attribute(n, "action"), Fields: url.Values{}}
	for field := range n.Descendants() {
		name := attribute(field, "name")
		switch {
		case field.Type != html.ElementNode || name == "":
		case isUnticked(field): // is not sent
		case field.Data == "input":
			f.Fields.Add(name, attribute(field, "value"))
		case field.Data == "button":
			f.buttons = append(f.buttons, button{name, attribute(field, "value"), text(field)})
		}
	}
	return f
}

func isUnticked(field *html.Node) bool {
	kind := attribute(field, "type")
	return (kind == "checkbox" || kind == "radio") && !slices.ContainsFunc(field.Attr, func(a html.Attribute) bool { return a.Key == "checked" })
}

func (f *Form) has(name string) bool {
	return f.Fields.Has(name) || slices.ContainsFunc(f.buttons, func(b button) bool { return b.name == name })
}

// choose returns the value of the button that fits, else of the last one of that
// name: on the chooser it is "somebody else".
func (f *Form) choose(name string, fits func(label string) bool) string {
	value := ""
	for _, b := range f.buttons {
		if b.name == name {
			if value = b.value; fits(b.label) {
				return value
			}
		}
	}
	return value
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func text(n *html.Node) string {
	var words strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			words.WriteString(d.Data + " ")
		}
	}
	return words.String()
}

// Code returns the code that the client got; state and iss (RFC 9207) must be
// right.
func (a *Arrival) Code() string {
	a.t.Helper()
	if a.Params == nil || !a.Params.Has("code") {
		a.t.Fatalf("no code: at %s %s: %s", a.URL, a.Params, a.Answer)
	}
	a.wantOurs()
	code := a.Params.Get("code")
	a.rp.got(a.Params.Get("state"), code)
	return code
}

// WantError fails the test unless the client got this error at its redirect.
func (a *Arrival) WantError(code string) {
	a.t.Helper()
	if a.Params == nil || a.Params.Get("error") != code || a.Params.Has("code") {
		a.t.Fatalf("want the error %s at the client's redirect: at %s %s: %s", code, a.URL, a.Params, a.Answer)
	}
	a.wantOurs()
}

// WantPage fails the test unless the person stands on a page of the provider
// with this status, and the client got nothing.
func (a *Arrival) WantPage(status int) {
	a.t.Helper()
	if a.Params != nil || a.Status != status {
		a.t.Fatalf("want a page with status %d: at %s %s: %s", status, a.URL, a.Params, a.Answer)
	}
}

func (a *Arrival) wantOurs() {
	a.t.Helper()
	if got := a.Params.Get("iss"); got != a.issuer {
		a.t.Errorf("iss is %q, want %q", got, a.issuer)
	}
	if !a.rp.knows(a.Params.Get("state")) {
		a.t.Errorf("state %q is not the client's", a.Params.Get("state"))
	}
}

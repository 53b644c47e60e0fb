package providertest

import (
	"net/http"
	"net/url"
	"slices"
)

// Send sends a request as it stands: no cookies but its own, no redirect followed.
func (p *P) Send(r *http.Request) *Answer {
	p.t.Helper()
	return p.do(r)
}

// Send sends a request with the browser's cookies, without going on.
func (b *Browser) Send(r *http.Request) *Answer {
	b.t.Helper()
	return send(b.t, b.http, r)
}

// Filled is the request that the form of the page at this URL makes, with its
// fields changed, as the browser itself would make it: to be changed and sent.
func (b *Browser) Filled(at string, change ...Param) *http.Request {
	b.t.Helper()
	shown := b.Get(at)
	form := ReadForm(shown.Body)
	if form == nil {
		b.t.Fatalf("no form: %s", shown)
	}
	for _, c := range change {
		c(form.Fields)
	}
	return b.Submit(b.parse(at), form)
}

// Carry adds the browser's cookies to a request that goes another way, as
// through [P.AtOnce].
func (b *Browser) Carry(r *http.Request) *http.Request {
	b.t.Helper()
	for _, c := range b.http.Jar.Cookies(r.URL) {
		r.AddCookie(c)
	}
	return r
}

// Cookie returns the value of one of the provider's cookies, "" for none; its
// name is that of an http issuer.
func (b *Browser) Cookie(name string) string {
	b.t.Helper()
	cookies := b.Cookies()
	if i := slices.IndexFunc(cookies, func(c *http.Cookie) bool { return c.Name == name }); i >= 0 {
		return cookies[i].Value
	}
	return ""
}

// Plant gives the browser a cookie of the provider's that somebody else chose.
func (b *Browser) Plant(name, value string) *Browser {
	b.t.Helper()
	at := b.parse(b.p.Issuer)
	b.http.Jar.SetCookies(&url.URL{Scheme: at.Scheme, Host: at.Host}, []*http.Cookie{{Name: name, Value: value, Path: "/", HttpOnly: true}})
	return b
}

package provider_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/templates"
)

// A walk is Ada's through pages of her account, of each of which it keeps a picture; she
// is told of changes by mail, and has had her address and her password for a day.
type walk struct {
	*tour
	h *toldHouse

	words *templates.Pages
	lang  string
	like  func(*providertest.Page) *providertest.Page // what the browser is like
}

// eachWalk runs a walk in two kinds of browser: on a desk by day; and on a small phone at
// night, in Swedish, without script.
func eachWalk(t *testing.T, run func(t *testing.T, w *walk), more ...providertest.Option) {
	t.Helper()
	words, err := templates.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range []struct {
		name, lang string
		like       func(*providertest.Page) *providertest.Page
	}{
		{"light in English", "en", func(p *providertest.Page) *providertest.Page { return p.Language("en") }},
		{"dark, narrow, in Swedish, without script", "sv", func(p *providertest.Page) *providertest.Page {
			return p.Dark().Narrow(320).Language("sv").WithoutScript()
		}},
	} {
		t.Run(in.name, func(t *testing.T) {
			box := providertest.NewMailbox(t)
			v, ada := passkeyTour(t, append(more, providertest.WithMailbox(box))...)
			in.like(v.Page)
			v.p.Clock.Advance(24 * time.Hour)
			run(t, &walk{v, &toldHouse{P: v.p, t: t, box: box, ada: ada}, words, in.lang, in.like})
		})
	}
}

// another is a second browser of the same kind, of the same person's, who signs in with it.
func (w *walk) another() *walk {
	w.h.t.Helper()
	second := *w.tour
	second.Page = w.like(providertest.Chromium(w.h.t))
	other := *w
	other.tour = &second
	other.signIn()
	return &other
}

// signIn signs Ada in by her password, and leads to where it is said how she does.
func (w *walk) signIn() {
	w.h.t.Helper()
	w.Open(w.p.URL(web.PathSecurity))
	w.prove(w.h.ada.Email, w.h.ada.Password)
}

// at fails the test unless the browser shows a page of that status and heading, which is
// one of our messages; it keeps a picture, and everything is in its place.
func (w *walk) at(picture string, status, want int, heading string) {
	w.h.t.Helper()
	if got := w.Text("h1"); status != want || got != w.words.Text(w.lang, heading) {
		w.h.t.Fatalf("%s: status %d, %q at %s: %s", picture, status, got, w.URL(), w.Text("body"))
	}
	w.Screenshot(picture)
	w.Fits()
}

// says fails the test unless the page has that message of ours.
func (w *walk) says(selector, message string) {
	w.h.t.Helper()
	if got, want := w.Text(selector), w.words.Text(w.lang, message); got != want {
		w.h.t.Errorf("%q at %s, want %q", got, w.URL(), want)
	}
}

// types fills in the code that an app shows now.
func (w *walk) types(seed string) {
	w.h.t.Helper()
	w.p.Clock.Advance(time.Minute)
	w.Fill("#code", code(w.h.t, seed, w.p.Clock.Now()))
}

// wantOut fails the test unless nobody is signed in there.
func (w *walk) wantOut(who string, b *providertest.Browser) {
	w.h.t.Helper()
	if a := b.SignedOut().Walk(nil, w.p.URL(web.PathApps)); a.Status != http.StatusOK || a.URL.Path != web.PathSignIn {
		w.h.t.Errorf("%s is signed in still: status %d at %s", who, a.Status, a.URL)
	}
}

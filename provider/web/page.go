package web

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// Page writes a page: one of the views of templates. Nothing is written unless
// the whole page could be rendered.
func (w *Web) Page(rw http.ResponseWriter, r *http.Request, status int, page any) error {
	if asJSON(rw) {
		return w.face(rw, status, page)
	}
	var body bytes.Buffer
	if err := w.pages.Render(&body, page); err != nil {
		return err
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.Header().Set("Content-Security-Policy", openPolicy(r.Context()))
	rw.WriteHeader(status)
	_, err := body.WriteTo(rw)
	return err
}

// SeeOther sends the browser on, as every form of ours ends: never 307 or 308,
// which would send the password on (RFC 9700 section 4.12). A script is told where that is.
func SeeOther(rw http.ResponseWriter, to string) error {
	if asJSON(rw) {
		return WriteJSON(rw, http.StatusOK, map[string]string{"next": to})
	}
	rw.Header().Set("Location", to)
	rw.WriteHeader(http.StatusSeeOther)
	return nil
}

// Account shows who is signed in.
func Account(s *storage.SignIn) templates.Account {
	return templates.Account{
		ID: string(s.Session.ID), Name: s.Person.Name, Identifier: s.Identifier,
		Initials: templates.Initials(s.Person.Name), SignedIn: true,
	}
}

// WriteJSON writes v as the whole answer.
func WriteJSON(rw http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(status)
	_, err = rw.Write(append(body, '\n'))
	return err
}

// Base is what every page knows. uiLocales comes from the app's request, stored
// from the person's account; both may be "".
func (w *Web) Base(r *http.Request, uiLocales, stored string) templates.Base {
	lang := w.Language(r, uiLocales, stored)
	return templates.Base{
		Lang:      lang,
		Brand:     templates.Brand{Name: w.cfg.Name},
		Languages: w.languageLinks(r, lang),
		Paths:     w.Paths(),
		Nonce:     Nonce(r.Context()),
	}
}

// Paths says where pages find their files.
func (w *Web) Paths() templates.Paths {
	return templates.Paths{Assets: strings.TrimSuffix(w.Path(PathAssets), "/")}
}

// Form is a form that posts to action, one of our own paths, from this browser,
// which gets its cookie now if it has none.
func (w *Web) Form(rw http.ResponseWriter, r *http.Request, action string) templates.Form {
	return templates.Form{Action: action, Token: w.FormToken(w.Browser(rw, r))}
}

// Language picks the language of a page: what the person chose on one of our
// pages since the browser opened, else the app's ui_locales, else the person's
// own setting, else Accept-Language.
func (w *Web) Language(r *http.Request, uiLocales, stored string) string {
	for _, chosen := range []string{r.URL.Query().Get(paramLang), w.cookie(r, cookieLang)} {
		if slices.Contains(w.pages.Languages(), chosen) {
			return chosen
		}
	}
	return w.pages.Match(uiLocales, stored, r.Header.Get("Accept-Language"))
}

// Text is one message in the language of a page.
func (w *Web) Text(r *http.Request, uiLocales, stored, key string) string {
	return w.pages.Text(w.Language(r, uiLocales, stored), key)
}

const paramLang = "lang"

// keepLanguage remembers a choice made by one of the footer's links.
func (w *Web) keepLanguage(rw http.ResponseWriter, r *http.Request) {
	if chosen := r.URL.Query().Get(paramLang); slices.Contains(w.pages.Languages(), chosen) {
		w.setCookie(rw, cookieLang, chosen, 0)
	}
}

// SetLanguage has this browser follow what its person set, in the place of what was chosen by a
// footer's link; "" has it follow nothing.
func (w *Web) SetLanguage(rw http.ResponseWriter, lang string) {
	if slices.Contains(w.pages.Languages(), lang) {
		w.setCookie(rw, cookieLang, lang, 0)
		return
	}
	w.setCookie(rw, cookieLang, "", -1)
}

// Languages are those that pages are written in, each by its own name.
func (w *Web) Languages() []templates.LanguageLink {
	var all []templates.LanguageLink
	for _, lang := range w.pages.Languages() {
		all = append(all, templates.LanguageLink{Lang: lang, Name: w.pages.Text(lang, "language.name")})
	}
	return all
}

// Speaks returns the language of our pages for somebody whose own this is.
func (w *Web) Speaks(lang string) string { return w.pages.Match("", lang, "") }

// languageLinks leads to the same page in the other languages; a reference that
// is only a query keeps the path, whatever it is.
func (w *Web) languageLinks(r *http.Request, current string) []templates.LanguageLink {
	var links []templates.LanguageLink
	query := r.URL.Query()
	for _, lang := range w.pages.Languages() {
		if lang == current {
			continue
		}
		query.Set(paramLang, lang)
		links = append(links, templates.LanguageLink{Lang: lang, Name: w.pages.Text(lang, "language.name"), Href: "?" + query.Encode()})
	}
	return links
}

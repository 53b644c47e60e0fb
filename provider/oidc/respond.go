package oidc

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/templates"
)

// The response modes (OAuth 2.0 Multiple Response Types; Form Post Response Mode).
const (
	modeQuery    = "query"
	modeFragment = "fragment"
	modeFormPost = "form_post"
)

// answer is what goes to the client's redirect, in this order.
type answer [][2]string

// respond is the one writer of authorization responses. State comes back if it
// was sent, and iss says who answered (RFC 9207), on errors too.
func (h *Handler) respond(w http.ResponseWriter, r *http.Request, req flow.Request, a answer) error {
	if req.StateSent {
		a = append(a, [2]string{"state", req.State})
	}
	a = append(a, [2]string{"iss", h.issuer})
	if req.ResponseMode == modeFormPost {
		page := templates.FormPost{
			Action: req.RedirectURI, Nonce: web.Nonce(r.Context()), Lang: h.Web.Language(r, req.UILocales, ""), Paths: h.Web.Paths(),
		}
		for _, p := range a {
			page.Fields = append(page.Fields, templates.Field{Name: p[0], Value: p[1]})
		}
		web.AllowForm(r.Context(), req.RedirectURI)
		return h.Web.Page(w, r, http.StatusOK, page)
	}
	var q strings.Builder
	for i, p := range a {
		if i > 0 {
			q.WriteByte('&')
		}
		q.WriteString(url.QueryEscape(p[0]) + "=" + url.QueryEscape(p[1]))
	}
	sep := "?"
	switch {
	case req.ResponseMode == modeFragment: // no registered redirect has a fragment of its own
		sep = "#"
	case strings.Contains(req.RedirectURI, "?"):
		sep = "&"
	}
	w.Header().Set("Location", req.RedirectURI+sep+q.String())
	w.WriteHeader(http.StatusSeeOther) // never 307: the browser would send a posted password on (RFC 9700 section 4.12)
	return nil
}

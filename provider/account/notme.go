package account

import (
	"errors"
	"net/http"

	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// doRecover is for who has nothing of it any more, but their mails.
const doRecover = "recover"

// showNotMe is where the link of a notice leads: what it told of, and what can be done
// about it. Looking at it changes nothing, so that no preview of a link does.
// Without a link it says how it ended that came to nothing.
func (h *Handler) showNotMe(w http.ResponseWriter, r *http.Request) error {
	for _, how := range []string{flow.ParamRefused, flow.ParamStopped} {
		if r.URL.Query().Has(how) {
			page := templates.NotMe{Base: h.Web.Base(r, "", ""), Problem: how, ActivityHref: h.Web.Path(web.PathActivity)}
			return h.Web.Page(w, r, http.StatusOK, page)
		}
	}
	return h.notMe(w, r, r.URL.Query().Get(proof.ParamLink), func(page templates.NotMe, _ *storage.DisownLink) error {
		return h.Web.Page(w, r, http.StatusOK, page)
	})
}

// takeNotMe begins to disown what the notice told of. Whoever has the link reads that
// address, and no more: they go on to prove what the person had before it happened.
func (h *Handler) takeNotMe(w http.ResponseWriter, r *http.Request) error {
	return h.notMe(w, r, r.PostForm.Get(proof.ParamLink), func(page templates.NotMe, link *storage.DisownLink) error {
		ctx, b := storage.WithUnit(r.Context()), flow.Browser(h.Web.Visitor(r))
		if b.Secret == "" {
			b.Secret = h.Web.Browser(w, r)
		}
		recovers, asks := r.PostForm.Get(fieldDo) == doRecover && h.Sent.Enabled(), flow.PageDisown
		if recovers {
			asks = flow.PageRecover
		}
		a, err := h.Flow.Begin(ctx, flow.Request{Page: asks, Person: link.PersonID, Before: link.Since.Time, Link: link.SecretHash}, b)
		if err != nil {
			return err
		}
		if err := h.Store.Flush(ctx); err != nil {
			return err
		}
		if a.Step == flow.StepRefuse {
			page.Problem, page.Recovers = "refused", h.Sent.Enabled() && !recovers
			return h.Web.Page(w, r, http.StatusForbidden, page)
		}
		return web.SeeOther(w, a.Path)
	})
}

// notMe goes on with a link that lives, and says so of one that does not.
func (h *Handler) notMe(w http.ResponseWriter, r *http.Request, secret string, run func(templates.NotMe, *storage.DisownLink) error) error {
	page := templates.NotMe{Base: h.Web.Base(r, "", ""), ActivityHref: h.Web.Path(web.PathActivity)}
	page.Form, page.Key = h.Web.Form(w, r, h.Web.Path(web.PathNotMe)), secret
	if err := h.Throttle.Take(r.Context(), throttle.Links, throttle.Block(web.Address(r.Context()))); err != nil {
		status, retry := web.Status(err)
		if status != http.StatusTooManyRequests {
			return err
		}
		page.Problem, page.RetryAfter = "throttled", web.SetRetryAfter(w, retry)
		return h.Web.Page(w, r, status, page)
	}
	link, err := h.Notices.Link(r.Context(), secret)
	if errors.Is(err, storage.ErrNotFound) {
		page.Problem = "dead"
		return h.Web.Page(w, r, http.StatusNotFound, page)
	}
	if err != nil {
		return err
	}
	page.Told, page.When = link.Kind, link.Since.Time
	return run(page, link)
}

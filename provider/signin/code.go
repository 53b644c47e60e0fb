package signin

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

const (
	fieldCode     = "code"
	fieldRemember = "remember"
	// maxCode is longer than every code, with all that people put between its letters.
	maxCode = 64
)

// A codeStep asks somebody who is signed in for a code that they have.
type codeStep struct {
	step   flow.Step
	path   string
	method string // of policy
	verify func(context.Context, *http.Request, *storage.Person, string) (policy.Evidence, error)
}

func (h *Handler) totpStep() codeStep {
	return codeStep{flow.StepTOTP, web.PathTOTP, policy.OneTime, func(ctx context.Context, r *http.Request, person *storage.Person, code string) (policy.Evidence, error) {
		return h.TOTP.Verify(ctx, person, code, func(ctx context.Context, name string) error { return h.Notices.Stopped(ctx, person, h.with(r), name) })
	}}
}

func (h *Handler) recoveryStep() codeStep {
	return codeStep{flow.StepRecovery, web.PathRecovery, policy.Recovery, func(ctx context.Context, r *http.Request, person *storage.Person, code string) (policy.Evidence, error) {
		return h.Recovery.Verify(ctx, person, code, func(ctx context.Context) error { return h.Notices.RecoveryUsed(ctx, person, h.with(r)) })
	}}
}

func (h *Handler) showCode(c codeStep) web.HandlerFunc {
	return h.at(func(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
		return h.codePage(w, r, a, c, http.StatusOK, templates.Code{})
	}, c.step)
}

func (h *Handler) takeCode(c codeStep) web.HandlerFunc {
	return h.at(func(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
		code := r.PostForm.Get(fieldCode)
		if strings.TrimSpace(code) == "" {
			return h.codePage(w, r, a, c, http.StatusUnprocessableEntity, templates.Code{Problem: "empty"})
		}
		person := &a.SignIn.Person
		var evidence policy.Evidence
		err := h.guess(r, c.method, person, a.SignIn.Identifier, person.ID, func(ctx context.Context) (err error) {
			evidence, err = c.verify(ctx, r, person, code[:min(len(code), maxCode)])
			return err
		})
		if err == nil {
			return h.goOn(w, r, remembering(r, a), person, evidence)
		}
		status := http.StatusUnprocessableEntity
		name, seconds := problem(w, err)
		h.tried.WithLabelValues(cmp.Or(name, triedFailed)).Inc()
		if name == "" {
			return err
		}
		if name != triedWrong {
			status, _ = web.Status(err)
		}
		web.Log(r.Context()).Set("signin", name)
		return h.codePage(w, r, a, c, status, templates.Code{Problem: name, RetryAfter: seconds})
	}, c.step)
}

// remembering is a with what the person says about being asked again in this browser.
func remembering(r *http.Request, a flow.Answer) flow.Answer {
	a.Remember = r.PostForm.Has(fieldRemember)
	return a
}

func (h *Handler) codePage(w http.ResponseWriter, r *http.Request, a flow.Answer, c codeStep, status int, page templates.Code) error {
	page.Base, page.Form, page.Who = h.base(r, a), h.form(w, r, c.path, a), web.Account(a.SignIn)
	page.Remembers, page.Remember = a.Remembers && c.step != flow.StepRecovery, r.PostForm.Has(fieldRemember)
	page.Kind, page.ClientName, page.Others, page.CancelAction = string(c.step), clientName(a.Client), h.others(a, c.step), h.stepPath(pathCancel, a)
	return h.Web.Page(w, r, status, page)
}

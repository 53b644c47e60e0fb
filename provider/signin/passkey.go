package signin

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// fieldPasskey is what the authenticator answered, as the page's script puts it.
const fieldPasskey = "passkey"

// showPasskey asks somebody who is signed in to prove more with one of their passkeys.
func (h *Handler) showPasskey(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	page := templates.Passkey{}
	if a.Another {
		page.Problem = "passkey_other"
	}
	return h.passkeyPage(w, r, a, http.StatusOK, page)
}

// takePasskey checks what an authenticator answered: to the page of its own, or to
// that of the password, by whoever it says it is.
func (h *Handler) takePasskey(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	person, evidence, err := h.provePasskey(r, a)
	if err == nil {
		return h.goOn(w, r, remembering(r, a), person, evidence)
	}
	status := http.StatusUnprocessableEntity
	name, seconds := problem(w, err)
	h.tried.WithLabelValues(cmp.Or(name, triedFailed)).Inc()
	switch name {
	case "":
		return err
	case triedWrong:
		name = "passkey"
	default:
		status, _ = web.Status(err)
	}
	web.Log(r.Context()).Set("signin", name)
	if asked(a) == nil {
		return h.passwordPage(w, r, a, status, templates.SignIn{Identifier: a.Request.LoginHint, Problem: name, RetryAfter: seconds})
	}
	return h.passkeyPage(w, r, a, status, templates.Passkey{Problem: name, RetryAfter: seconds})
}

func (h *Handler) provePasskey(r *http.Request, a flow.Answer) (*storage.Person, policy.Evidence, error) {
	if err := h.Throttle.Take(r.Context(), throttle.Passkeys, throttle.Block(web.Address(r.Context()))); err != nil {
		return nil, policy.Evidence{}, err
	}
	person, evidence, err := h.Passkeys.Verify(r.Context(), a.Interaction.ID, asked(a), []byte(r.PostForm.Get(fieldPasskey)))
	if errors.Is(err, proof.ErrWrong) {
		web.Log(r.Context()).Set("passkey", err.Error()) // of the authenticator's answer; it has no secret
	}
	return person, evidence, err
}

// asked is who has to prove more, nil if it may be anybody.
func asked(a flow.Answer) *storage.Person {
	if !a.Reauth {
		return nil
	}
	return &a.SignIn.Person
}

func (h *Handler) passkeyPage(w http.ResponseWriter, r *http.Request, a flow.Answer, status int, page templates.Passkey) error {
	prompt, err := h.passkeyPrompt(w, r, a)
	if err != nil {
		return err
	}
	page.Base, page.Who, page.Prompt, page.Others = h.base(r, a), web.Account(a.SignIn), *prompt, h.others(a, flow.StepPasskey)
	page.Second, page.Remembers, page.Remember = a.Second, a.Remembers, r.PostForm.Has(fieldRemember)
	page.ClientName, page.CancelAction = clientName(a.Client), h.stepPath(pathCancel, a)
	return h.Web.Page(w, r, status, page)
}

// passkeyPrompt is what a page asks an authenticator for: one of the known person's
// passkeys, or any.
func (h *Handler) passkeyPrompt(w http.ResponseWriter, r *http.Request, a flow.Answer) (*templates.PasskeyPrompt, error) {
	person := asked(a)
	options, err := h.Passkeys.Request(r.Context(), a.Interaction.ID, person, a.Passkeys)
	if err != nil {
		return nil, err
	}
	return &templates.PasskeyPrompt{Form: h.form(w, r, web.PathPasskey, a), Options: string(options), Autofill: person == nil}, nil
}

// others are the steps that a person may take in place of the one that is shown.
func (h *Handler) others(a flow.Answer, shown flow.Step) []templates.OtherWay {
	ways := h.ways(a, shown)
	if a.Reauth && slices.Contains(canBeLost, shown) {
		ways = append(ways, templates.OtherWay{Name: "lost", Href: h.stepPath(web.PathLost, a) + "&" + url.Values{paramLost: {string(shown)}}.Encode()})
	}
	return ways
}

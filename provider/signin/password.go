package signin

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

const (
	fieldIdentifier = "identifier"
	fieldPassword   = web.FieldPassword
	fieldPasskeys   = "passkeys" // not empty: the page's script found that this device can make one
	// maxIdentifier is beyond every address there is (RFC 5321 section 4.5.3.1.3).
	maxIdentifier = 320
)

// showPassword asks for identifier and password.
func (h *Handler) showPassword(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	return h.passwordPage(w, r, a, http.StatusOK, templates.SignIn{Identifier: a.Request.LoginHint})
}

// takePassword checks them. Every wrong answer is the same answer, whoever it
// was about.
func (h *Handler) takePassword(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	identifier, password := r.PostForm.Get(fieldIdentifier), r.PostForm.Get(fieldPassword)
	page := templates.SignIn{Identifier: identifier}
	if strings.TrimSpace(identifier) == "" || password == "" {
		page.Problem = "empty"
		return h.passwordPage(w, r, a, http.StatusUnprocessableEntity, page)
	}
	person, evidence, err := h.prove(r, identifier, password)
	if err == nil {
		a.Progress.Passkeys = r.PostForm.Get(fieldPasskeys) != ""
		if err = h.goOn(w, r, a, person, evidence); !errors.Is(err, flow.ErrChanged) {
			return err
		}
		err = proof.ErrWrong
	}
	status := http.StatusUnprocessableEntity
	page.Problem, page.RetryAfter = problem(w, err)
	h.tried.WithLabelValues(cmp.Or(page.Problem, triedFailed)).Inc()
	if page.Problem == "" {
		return err
	}
	if page.Problem != triedWrong {
		status, _ = web.Status(err)
	}
	web.Log(r.Context()).Set("signin", page.Problem)
	return h.passwordPage(w, r, a, status, page)
}

// goOn signs the person in who gave a right proof, and sends them where flow points.
func (h *Handler) goOn(w http.ResponseWriter, r *http.Request, a flow.Answer, person *storage.Person, evidence policy.Evidence) error {
	next, err := h.proved(w, r, a, person, evidence)
	if err != nil {
		return err
	}
	return web.SeeOther(w, next.Path)
}

// proved is goOn for whoever answers otherwise.
func (h *Handler) proved(w http.ResponseWriter, r *http.Request, a flow.Answer, person *storage.Person, evidence policy.Evidence) (flow.Answer, error) {
	next, changed, err := h.Flow.SignedIn(r.Context(), a, h.browser(r), person, evidence)
	switch {
	case err == nil:
		h.tried.WithLabelValues(triedSuccess).Inc()
	case !errors.Is(err, flow.ErrChanged): // that is a wrong one
		h.tried.WithLabelValues(triedFailed).Inc()
	}
	if len(changed.Sessions) > 0 { // also when what comes after it failed
		web.Log(r.Context()).Set("person", string(person.ID))
		h.Web.SetSessions(w, changed.Sessions)
		h.Web.SetDevice(w, changed.Device)
	}
	for _, ended := range changed.Ended {
		h.Tell(r.Context(), ended)
	}
	return next, err
}

// prove returns who signed in and the evidence, proof.ErrWrong, or a fault that
// says to wait. Its work is the same for somebody and nobody.
func (h *Handler) prove(r *http.Request, identifier, password string) (*storage.Person, policy.Evidence, error) {
	if err := h.Passwords.Room(); err != nil {
		return nil, policy.Evidence{}, err
	}
	ctx := r.Context()
	person, err := h.Directory.ByEmail(ctx, identifier)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, policy.Evidence{}, err
	}
	var evidence policy.Evidence
	err = h.guess(r, policy.Password, person, identifier, "", func(ctx context.Context) (err error) {
		evidence, err = h.Passwords.Verify(ctx, person, password)
		return err
	})
	if err != nil {
		return nil, policy.Evidence{}, err
	}
	return person, evidence, nil
}

// guess has a proof looked at that could be guessed, under the throttles that all such
// proofs of one account share: those of nobody's as well. code is whose code it is, ""
// for a password and for one that was sent, which has few tries of its own. A wrong one is counted,
// for its person to see, unless method is "": of one that lets nobody in yet.
func (h *Handler) guess(r *http.Request, method string, person *storage.Person, identifier string, code storage.ID, look func(context.Context) error) error {
	ctx := r.Context()
	device, err := h.knownDevice(r, person)
	if err != nil {
		return err
	}
	account := accountKey(identifier)
	if person != nil { // of however many addresses
		account = string(person.ID)
	}
	attempt := throttle.Attempt{Account: account, Device: device, Address: web.Address(ctx), Code: code}
	if err := h.Throttle.TakeSignIn(ctx, attempt); err != nil {
		return err
	}
	err = look(ctx)
	if err == nil {
		err = h.Store.Together(ctx, func(ctx context.Context) error { return h.Throttle.SignedIn(ctx, attempt) })
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, proof.ErrWrong) && method == "":
		return err
	case errors.Is(err, proof.ErrWrong):
		return cmp.Or(h.countWrong(r, method, person, account), err)
	}
	return errors.Join(err, h.Throttle.ReturnSignIn(ctx, attempt))
}

// How long wrong tries are kept: as far back as people are told of them, and at an account
// that nobody has no longer than they are added to.
const (
	wrongTold   = 90 * 24 * time.Hour
	wrongNobody = 2 * time.Hour
)

// countWrong counts a wrong try at an account, for its person to see: by the same statement for
// one that nobody has.
func (h *Handler) countWrong(r *http.Request, method string, person *storage.Person, account string) error {
	with, now := h.with(r), h.Now()
	try := storage.WrongTry{Method: method, Browser: with.Browser, System: with.System}
	if person == nil {
		try.PersonID, try.ExpiresAt = storage.NobodyID(h.Throttle.Key("wrong tries", account)), storage.At(now.Add(wrongNobody))
	} else {
		try.PersonID, try.ExpiresAt = person.ID, storage.At(now.Add(wrongTold))
	}
	return h.Store.CountWrongTry(storage.WithoutUnit(r.Context()), try, now)
}

// knownDevice is this browser's device if the person signed in with it before,
// else "". The question is asked for nobody as well.
func (h *Handler) knownDevice(r *http.Request, person *storage.Person) (storage.ID, error) {
	device := h.Web.Device(r)
	if device == "" {
		return "", nil
	}
	owner := storage.ID("")
	if person != nil {
		owner = person.ID
	}
	known, err := h.Store.DeviceKnown(r.Context(), device, owner, storage.At(h.Now()))
	if err != nil || !known {
		return "", err
	}
	return device, nil
}

// accountKey is the same for every way to write an address, and for one that
// nobody has.
func accountKey(identifier string) string {
	if canonical, err := ident.Email(identifier); err == nil {
		return canonical
	}
	return strings.TrimSpace(identifier)
}

// problem is what the sign-in page says about err, "" if it is no matter of that
// page, and in how many seconds to try again.
func problem(w http.ResponseWriter, err error) (name string, seconds int) {
	if errors.Is(err, proof.ErrWrong) {
		return triedWrong, 0
	}
	var f *fault.Error
	switch {
	case !errors.As(err, &f):
		return "", 0
	case f.Kind == fault.KindTooMany:
		return triedThrottled, web.SetRetryAfter(w, f.RetryAfter)
	case f.Kind == fault.KindUnavailable:
		return triedBusy, web.SetRetryAfter(w, f.RetryAfter)
	}
	return "", 0
}

func (h *Handler) passwordPage(w http.ResponseWriter, r *http.Request, a flow.Answer, status int, page templates.SignIn) error {
	page.Base, page.Form = h.base(r, a), h.form(w, r, web.PathSignIn, a)
	page.ClientName, page.CancelAction, page.Demo = clientName(a.Client), h.stepPath(pathCancel, a), h.cfg.Demo
	if a.Reauth && a.SignIn != nil {
		page.Reauth, page.Who, page.Identifier = true, web.Account(a.SignIn), a.SignIn.Identifier
	}
	if len(page.Identifier) > maxIdentifier {
		page.Identifier = ""
	}
	page.Others = h.others(a, flow.StepPassword)
	if h.Sent.Enabled() {
		page.ForgotHref = h.stepPath(web.PathForgot, a)
	}
	if !a.Reauth && h.Passkeys.Enabled() {
		prompt, err := h.passkeyPrompt(w, r, a)
		if err != nil {
			return err
		}
		page.Passkey = prompt
	}
	return h.Web.Page(w, r, status, page)
}

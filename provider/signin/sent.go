package signin

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// fieldDo is what to do about a code: send one, or take it.
const (
	fieldDo    = "do"
	doSend     = "send"
	doCode     = "code"
	fieldPhone = "phone"
)

var errDo = fault.Invalid(fieldDo, "must be send or code")

// A sentStep sends a code to an address, and asks for it.
type sentStep struct {
	step    flow.Step
	path    string
	by      *proof.Sent
	purpose proof.Purpose
	// address is where to, as the request says; person is who asks, nil while nobody says;
	// owner whose account the tries at a code that is sent there are counted for, nil for nobody's.
	address func(*http.Request, flow.Answer) string
	person  func(flow.Answer) *storage.Person
	owner   func(r *http.Request, a flow.Answer, address string) (*storage.Person, error)
	// room, where it is set, says whether the address could be added at all, before a code is sent.
	room func(r *http.Request, a flow.Answer, address string) error
	// adds says that the code lets nobody in: the address only becomes somebody's. Wrong ones are told to nobody.
	adds bool
	// right goes on from a right code: proof.ErrWrong where it proved nothing that counts.
	right func(http.ResponseWriter, *http.Request, flow.Answer, *proof.Proven) (flow.Answer, error)
}

func (h *Handler) showSent(s sentStep) web.HandlerFunc {
	return h.at(func(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
		if !s.by.Enabled() {
			return notOffered("no codes are sent by " + s.by.Method())
		}
		return h.sentPage(w, r, a, s, http.StatusOK, templates.SentCode{})
	}, s.step)
}

func (h *Handler) takeSent(s sentStep) web.HandlerFunc {
	return h.at(func(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
		if !s.by.Enabled() { // who stands here came when they were
			return notOffered("no codes are sent by " + s.by.Method())
		}
		var err error
		switch r.PostForm.Get(fieldDo) {
		case doSend:
			a, err = h.sendCode(r, a, s)
		case doCode:
			if strings.TrimSpace(r.PostForm.Get(fieldCode)) == "" {
				return h.sentPage(w, r, a, s, http.StatusUnprocessableEntity, templates.SentCode{Problem: "empty"})
			}
			a, err = h.takeSentCode(w, r, a, s)
		default:
			return errDo
		}
		if err == nil {
			return web.SeeOther(w, a.Path)
		}
		page, status := sentProblem(w, err)
		if page.Problem == "" {
			return err
		}
		web.Log(r.Context()).Set("code", page.Problem)
		return h.sentPage(w, r, a, s, status, page)
	}, s.step)
}

// sentProblem is what the page of a code says about err, and its status; no problem if that is no
// matter of the page.
func sentProblem(w http.ResponseWriter, err error) (page templates.SentCode, status int) {
	status = http.StatusUnprocessableEntity
	var f *fault.Error
	var used usedCode
	switch page.Problem, page.RetryAfter = problem(w, err); {
	case errors.Is(err, proof.ErrOver):
		page.Problem = "over"
	case errors.Is(err, storage.ErrConflict):
		page.Problem, status = "taken", http.StatusConflict
	case errors.As(err, &f) && (f.Field == fieldEmail || f.Field == fieldPhone):
		page.Problem = f.Field
	case page.Problem != "" && page.Problem != triedWrong:
		if status, _ = web.Status(err); errors.As(err, &used) {
			page.Problem = "used"
		}
	}
	return page, status
}

// sendCode has a code sent. Its answer and its work are the same whoever has the address.
func (h *Handler) sendCode(r *http.Request, a flow.Answer, s sentStep) (flow.Answer, error) {
	in := proof.Sending{
		Purpose: s.purpose, Interaction: a.Interaction.ID, Address: s.address(r, a), Lang: h.base(r, a).Lang, Device: h.with(r), From: web.Address(r.Context()),
	}
	if person := s.person(a); person != nil {
		in.Person = person.ID
	}
	if s.room != nil {
		if err := s.room(r, a, in.Address); err != nil {
			return a, err
		}
	}
	owner, err := s.owner(r, a, in.Address)
	if err != nil {
		return a, err
	}
	device, err := h.deviceOf(r, owner)
	if err != nil {
		return a, err
	}
	if in.Browser = device.ID; in.Browser != "" {
		in.Owner, in.Fresh = owner.ID, device.ProvenAt.IsZero() && device.CreatedAt.After(h.Now().Add(-ident.Settles))
	}
	address := strings.TrimSpace(in.Address)
	next, err := h.Flow.Sent(r.Context(), a, address, func(ctx context.Context) error { return s.by.Send(ctx, in) })
	if err != nil {
		return a, err
	}
	return next, nil
}

// deviceOf is what is known of this browser, if the person signed in with it before, else nothing. The
// question is asked for nobody as well.
func (h *Handler) deviceOf(r *http.Request, person *storage.Person) (storage.Device, error) {
	id, owner := h.Web.Device(r), storage.ID("")
	if id == "" {
		return storage.Device{}, nil
	}
	if person != nil {
		owner = person.ID
	}
	device, err := h.Store.DeviceOf(r.Context(), id, owner, storage.At(h.Now()))
	if errors.Is(err, storage.ErrNotFound) {
		return storage.Device{}, nil
	}
	return device, err
}

func (h *Handler) takeSentCode(w http.ResponseWriter, r *http.Request, a flow.Answer, s sentStep) (flow.Answer, error) {
	address := accountKey(a.Progress.SentTo)
	code := r.PostForm.Get(fieldCode)
	owner, err := s.owner(r, a, address)
	if err != nil {
		return a, err
	}
	next, method := a, s.by.Method()
	if s.adds {
		method = ""
	}
	err = h.guess(r, method, owner, address, "", func(ctx context.Context) error {
		proven, err := s.by.Verify(ctx, a.Interaction.ID, s.purpose, code[:min(len(code), maxCode)])
		if err != nil {
			return err
		}
		if next, err = s.right(w, r, a, proven); err != nil {
			return usedCode{err}
		}
		return nil
	})
	if err != nil {
		return a, err
	}
	return next, nil
}

// A usedCode is what came of a right code, in the place of what it is for: it works once in any case.
type usedCode struct{ error }

func (u usedCode) Unwrap() error { return u.error }

// owner is whom an address belongs to, nil for nobody. What is asked of them next is asked
// of nobody as well.
func (h *Handler) owner(r *http.Request, _ flow.Answer, address string) (*storage.Person, error) {
	person, err := h.Directory.ByEmail(r.Context(), accountKey(address))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil //nolint:nilnil // nobody is an answer
	}
	return person, err
}

func (h *Handler) sentPage(w http.ResponseWriter, r *http.Request, a flow.Answer, s sentStep, status int, page templates.SentCode) error {
	page.Base, page.Form, page.Kind = h.base(r, a), h.form(w, r, s.path, a), string(s.step)
	page.Address, page.Sent, page.CancelAction = a.Progress.SentTo, a.Progress.SentTo != "", h.stepPath(pathCancel, a)
	if a.SignIn != nil {
		page.Who = web.Account(a.SignIn)
	}
	if page.Problem == fieldEmail || page.Problem == fieldPhone || page.Problem == "taken" || page.Problem == "used" {
		page.Sent = false
	}
	if !page.Sent {
		page.Address = s.address(r, a)
	}
	if len(page.Address) > maxIdentifier {
		page.Address = ""
	}
	return h.Web.Page(w, r, status, page)
}

// verifyStep shows an address to be the person's, who is signed in.
func (h *Handler) verifyStep() sentStep {
	return sentStep{
		step: flow.StepVerify, path: web.PathVerify, by: h.Sent, purpose: proof.ToVerify, adds: true, owner: h.owner, person: whoAsks,
		address: func(_ *http.Request, a flow.Answer) string { return a.Request.Address },
		right: func(_ http.ResponseWriter, r *http.Request, a flow.Answer, p *proof.Proven) (flow.Answer, error) {
			return h.isTheirs(r, a, p, mail.FactorAddress, p.Display, func(ctx context.Context, living storage.Provided) error {
				return h.Directory.VerifyAddress(ctx, p.Person, p.Address, p.Display, living)
			})
		},
	}
}

// addPhoneStep is verifyStep of a mobile, whose number they tell here.
func (h *Handler) addPhoneStep() sentStep {
	return sentStep{
		step: flow.StepPhone, path: web.PathAddPhone, by: h.Texted, purpose: proof.ToVerify, adds: true, person: whoAsks,
		room: func(r *http.Request, a flow.Answer, address string) error {
			return h.Phones.Room(r.Context(), a.SignIn.Person.ID, address)
		},
		owner: func(_ *http.Request, a flow.Answer, _ string) (*storage.Person, error) { return &a.SignIn.Person, nil },
		address: func(r *http.Request, a flow.Answer) string {
			return cmp.Or(r.PostForm.Get(fieldPhone), a.Progress.SentTo)
		},
		right: func(_ http.ResponseWriter, r *http.Request, a flow.Answer, p *proof.Proven) (flow.Answer, error) {
			return h.isTheirs(r, a, p, mail.FactorPhone, ident.MaskPhone(p.Address), func(ctx context.Context, living storage.Provided) error {
				return h.Phones.Add(ctx, p.Person, p.Address, events.ActorPerson, living)
			})
		},
	}
}

func whoAsks(a flow.Answer) *storage.Person { return &a.SignIn.Person }

// isTheirs makes what a code was sent to the person's, who asked for it, by add, while their
// session lives; addresses that were verified before are told. storage.ErrConflict: it is
// somebody's already, or they have too many.
func (h *Handler) isTheirs(r *http.Request, a flow.Answer, p *proof.Proven, factor mail.Factor, name string,
	add func(context.Context, storage.Provided) error,
) (flow.Answer, error) {
	if p.Person != a.SignIn.Person.ID {
		return a, proof.ErrWrong
	}
	return h.Flow.DidGuarded(r.Context(), a, a.SignIn.Session.ID, func(ctx context.Context) error {
		if err := h.Notices.Added(ctx, &a.SignIn.Person, h.with(r), h.Now(), factor, name); err != nil {
			return err
		}
		return add(ctx, storage.Living(a.SignIn.Session.ID))
	})
}

// mailStep is for whoever is signed in, and has to show that they read what is sent to them.
func (h *Handler) mailStep() sentStep {
	return sentStep{
		step: flow.StepMail, path: web.PathMail, by: h.Sent, purpose: proof.ToProve, owner: h.owner, person: whoAsks,
		address: func(_ *http.Request, a flow.Answer) string { return a.Mailbox },
		right: func(w http.ResponseWriter, r *http.Request, a flow.Answer, p *proof.Proven) (flow.Answer, error) {
			owner, _, err := h.Sent.Owner(r.Context(), ident.KindEmail, p.Address)
			switch {
			case errors.Is(err, storage.ErrNotFound), err == nil && (owner.ID != p.Person || p.Person != a.SignIn.Person.ID):
				return a, proof.ErrWrong
			case err != nil:
				return a, err
			}
			return h.proved(w, r, a, owner, p.Evidence)
		},
	}
}

// recoverStep is for whoever lost their password: they read what is sent to an address
// of theirs.
func (h *Handler) recoverStep() sentStep {
	return sentStep{
		step: flow.StepRecover, path: web.PathRecover, by: h.Sent, purpose: proof.ToRecover, owner: h.owner,
		address: func(r *http.Request, a flow.Answer) string {
			if r.PostForm.Has(fieldIdentifier) {
				return r.PostForm.Get(fieldIdentifier)
			}
			return a.Request.LoginHint
		},
		person: func(flow.Answer) *storage.Person { return nil },
		right: func(_ http.ResponseWriter, r *http.Request, a flow.Answer, p *proof.Proven) (flow.Answer, error) {
			person, since, err := h.Sent.Owner(r.Context(), ident.KindEmail, p.Address)
			switch {
			case errors.Is(err, storage.ErrNotFound), err == nil && !a.Recovers(person.ID, since):
				return a, proof.ErrWrong
			case err != nil:
				return a, err
			}
			web.Log(r.Context()).Set("person", string(person.ID))
			return h.Flow.Recover(r.Context(), a, person.ID, p.Address, p.Evidence)
		},
	}
}

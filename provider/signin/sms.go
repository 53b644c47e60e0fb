package signin

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// showSMS asks for a code that is sent to a phone of somebody who is signed in.
func (h *Handler) showSMS(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	return h.smsPage(w, r, a, http.StatusOK, templates.SentCode{})
}

func (h *Handler) takeSMS(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	switch r.PostForm.Get(fieldDo) {
	case doSend:
		next, err := h.textCode(r, a)
		if err != nil {
			return h.smsProblem(w, r, a, err)
		}
		return web.SeeOther(w, next.Path)
	case doCode:
	default:
		return errDo
	}
	if strings.TrimSpace(r.PostForm.Get(fieldCode)) == "" {
		return h.smsPage(w, r, a, http.StatusUnprocessableEntity, templates.SentCode{Problem: "empty"})
	}
	evidence, err := h.textedCode(r, a)
	if err == nil {
		return h.goOn(w, r, remembering(r, a), &a.SignIn.Person, evidence)
	}
	name, _ := problem(w, err)
	h.tried.WithLabelValues(cmp.Or(name, triedFailed)).Inc()
	return h.smsProblem(w, r, a, err)
}

// smsPurpose is what a code of this request is for, as its message says.
func smsPurpose(a flow.Answer) proof.Purpose {
	if a.Client != nil {
		return proof.ToSignIn
	}
	return proof.ToProve
}

// textCode has a code sent to one of the person's phones.
func (h *Handler) textCode(r *http.Request, a flow.Answer) (flow.Answer, error) {
	phones, err := h.countingPhones(r.Context(), a)
	if err != nil {
		return a, err
	}
	i := slices.IndexFunc(phones, func(p storage.Phone) bool { return string(p.ID) == r.PostForm.Get(fieldPhone) })
	if i < 0 {
		return a, fault.Invalid(fieldPhone, "must be one of theirs")
	}
	in := proof.Sending{
		Purpose: smsPurpose(a), Interaction: a.Interaction.ID, Address: phones[i].Number, Person: a.SignIn.Person.ID,
		Lang: h.base(r, a).Lang, From: web.Address(r.Context()),
	}
	return h.Flow.Texted(r.Context(), a, phones[i].ID, func(ctx context.Context) error { return h.Texted.Send(ctx, in) })
}

// textedCode is what the code proves that was typed.
func (h *Handler) textedCode(r *http.Request, a flow.Answer) (evidence policy.Evidence, err error) {
	person, code := &a.SignIn.Person, r.PostForm.Get(fieldCode)
	err = h.guess(r, h.Texted.Method(), person, a.SignIn.Identifier, "", func(ctx context.Context) error {
		typed, err := h.Texted.Verify(ctx, a.Interaction.ID, smsPurpose(a), code[:min(len(code), maxCode)])
		if err != nil {
			return err
		}
		evidence, err = h.Phones.Prove(ctx, person.ID, a.Progress.Texted, typed)
		return err
	})
	return evidence, err
}

// countingPhones are those of the person's phones that nobody doubts, the one first that was used last.
func (h *Handler) countingPhones(ctx context.Context, a flow.Answer) ([]storage.Phone, error) {
	all, err := h.Phones.List(ctx, a.SignIn.Person.ID)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(p storage.Phone) bool { return !p.DoubtedAt.IsZero() })
	slices.SortStableFunc(all, func(x, y storage.Phone) int { return y.UsedAt.Compare(x.UsedAt.Time) })
	return all, nil
}

func (h *Handler) smsProblem(w http.ResponseWriter, r *http.Request, a flow.Answer, err error) error {
	page, status := sentProblem(w, err)
	if page.Problem == "" {
		return err
	}
	web.Log(r.Context()).Set("code", page.Problem)
	return h.smsPage(w, r, a, status, page)
}

func (h *Handler) smsPage(w http.ResponseWriter, r *http.Request, a flow.Answer, status int, page templates.SentCode) error {
	phones, err := h.countingPhones(r.Context(), a)
	if err != nil {
		return err
	}
	for i, p := range phones {
		name := ident.MaskPhone(p.Number)
		page.Phones = append(page.Phones, templates.PhoneChoice{ID: string(p.ID), Name: name})
		if sent := p.ID == a.Progress.Texted; sent || i == 0 {
			page.Phone, page.Address, page.Sent = string(p.ID), name, sent
		}
	}
	page.Base, page.Form, page.Kind, page.Who = h.base(r, a), h.form(w, r, web.PathSMS, a), string(flow.StepSMS), web.Account(a.SignIn)
	page.ClientName, page.Others, page.CancelAction = clientName(a.Client), h.others(a, flow.StepSMS), h.stepPath(pathCancel, a)
	page.Remembers, page.Remember = a.Remembers, r.PostForm.Has(fieldRemember)
	return h.Web.Page(w, r, status, page)
}

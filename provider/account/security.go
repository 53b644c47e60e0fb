package account

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// The fields of the page of a passkey, an authenticator or a phone: what to do, and its name.
const (
	fieldDo   = "do"
	fieldName = "name"
)

// showSecurity lists how the person proves who they are.
func (h *Handler) showSecurity(w http.ResponseWriter, r *http.Request, s *storage.SignIn) error {
	has, err := h.factors(r.Context(), s.Person.ID)
	if err != nil {
		return err
	}
	page := templates.Security{
		Base: h.Web.Base(r, "", s.Person.Locale), Who: web.Account(s), Back: h.Web.Path(web.PathHome), Done: r.URL.Query().Has(flow.ParamDone), Refused: r.URL.Query().Has(flow.ParamRefused),
		AddressesHref: h.Web.Path(web.PathAddresses),
		AddTOTPHref:   h.Web.Path(web.PathSecurityAddTOTP), RecoveryHref: h.Web.Path(web.PathSecurityRecovery), RecoveryLeft: int(s.RecoveryCodes),
		PasswordHref: h.Web.Path(web.PathSecurityPassword), PasswordSet: s.Password.Time,
	}
	page.PhonesCount = h.Phones.Accepted()
	if slices.ContainsFunc(has, func(f factor) bool { return f.kind != mail.FactorPhone || page.PhonesCount }) {
		page.Asking, page.AskingHref = askingOf(s), h.Web.Path(web.PathSecurityAsking)
	}
	if h.Passkeys.Enabled() {
		page.AddPasskeyHref = h.Web.Path(web.PathSecurityAddPasskey)
	}
	for _, f := range has {
		page.Doubted, page.Stopped = page.Doubted || f.line.Doubted, page.Stopped || f.line.Stopped
		switch f.kind {
		case mail.FactorPasskey:
			page.Passkeys = append(page.Passkeys, f.line)
		case mail.FactorPhone:
			page.Phones = append(page.Phones, f.line)
		default:
			page.Authenticators = append(page.Authenticators, f.line)
		}
	}
	if h.Texted.Enabled() && len(page.Phones) < proof.MaxPhones {
		page.AddPhoneHref = h.Web.Path(web.PathSecurityAddPhone)
	}
	return h.Web.Page(w, r, http.StatusOK, page)
}

// addPhone leads to the step that adds a mobile, where there are text messages.
func (h *Handler) addPhone() web.HandlerFunc {
	lead := h.at(flow.PageAddPhone, h.showSecurity)
	return func(w http.ResponseWriter, r *http.Request) error {
		if !h.Texted.Enabled() {
			return notOffered("there are no text messages")
		}
		return lead(w, r)
	}
}

// factor is a passkey, an authenticator or a phone of a person's, and what can be done to it.
type factor struct {
	line   templates.FactorLine
	kind   mail.Factor
	rename func(ctx context.Context, person, id storage.ID, name string, by events.Actor) error // nil: its name is its own
	remove func(ctx context.Context, person, id storage.ID, by events.Actor) error
	trust  func(ctx context.Context, person, id storage.ID, by events.Actor) error
}

func (h *Handler) factors(ctx context.Context, person storage.ID) ([]factor, error) {
	keys, err := h.Store.PasskeysOf(ctx, person)
	if err != nil {
		return nil, err
	}
	apps, err := h.TOTP.List(ctx, person)
	if err != nil {
		return nil, err
	}
	phones, err := h.Phones.List(ctx, person)
	if err != nil {
		return nil, err
	}
	var all []factor
	for i := range keys {
		k := &keys[i]
		all = append(all, factor{templates.FactorLine{
			Kind: string(mail.FactorPasskey), ID: string(k.ID), Name: k.Name, Model: h.Passkeys.Model(k), Synced: k.BackupEligible,
			Added: k.CreatedAt.Time, Used: k.UsedAt.Time, Doubted: !k.DoubtedAt.IsZero(), Href: h.factorPath(web.PathSecurityFactor, k.ID),
		}, mail.FactorPasskey, h.Passkeys.Rename, h.Passkeys.Remove, h.Passkeys.Trust})
	}
	for _, a := range apps {
		all = append(all, factor{templates.FactorLine{
			Kind: string(mail.FactorTOTP), ID: string(a.ID), Name: a.Name, Added: a.CreatedAt.Time, Used: a.UsedAt.Time, Doubted: !a.DoubtedAt.IsZero(), Stopped: !a.StoppedAt.IsZero(), Href: h.factorPath(web.PathSecurityFactor, a.ID),
		}, mail.FactorTOTP, h.TOTP.Rename, h.TOTP.Remove, h.TOTP.Trust})
	}
	for _, p := range phones {
		all = append(all, factor{templates.FactorLine{
			Kind: string(mail.FactorPhone), ID: string(p.ID), Name: ident.MaskPhone(p.Number),
			Added: p.VerifiedAt.Time, Used: p.UsedAt.Time, Doubted: !p.DoubtedAt.IsZero(), Href: h.factorPath(web.PathSecurityFactor, p.ID),
		}, mail.FactorPhone, nil, h.Phones.Remove, h.Phones.Trust})
	}
	var counting []*templates.FactorLine
	for i := range all {
		if f := &all[i]; !f.line.Doubted && (f.kind != mail.FactorPhone || h.Phones.Accepted()) {
			counting = append(counting, &f.line)
		}
	}
	if len(counting) == 1 {
		counting[0].Sole = true
	}
	return all, nil
}

func (h *Handler) factorPath(page string, id storage.ID) string {
	return h.Web.Path(page) + "?" + url.Values{flow.ParamObject: {string(id)}}.Encode()
}

// factor is the one that the request is about.
func (h *Handler) factor(r *http.Request, person storage.ID) (factor, error) {
	all, err := h.factors(r.Context(), person)
	if err != nil {
		return factor{}, err
	}
	id := r.URL.Query().Get(flow.ParamObject)
	if i := slices.IndexFunc(all, func(f factor) bool { return f.line.ID == id }); i >= 0 {
		return all[i], nil
	}
	return factor{}, storage.ErrNotFound
}

// showFactor is the page of one passkey, authenticator or phone.
func (h *Handler) showFactor(w http.ResponseWriter, r *http.Request, s *storage.SignIn) error {
	f, err := h.factor(r, s.Person.ID)
	if err != nil {
		return err
	}
	return h.factorPage(w, r, s, http.StatusOK, f, "")
}

// takeFactor gives it another name, or takes it away.
func (h *Handler) takeFactor(w http.ResponseWriter, r *http.Request, s *storage.SignIn) error {
	to := h.Web.Path(web.PathSecurity)
	if storage.ID(r.PostForm.Get(fieldSession)) != s.Session.ID {
		return web.SeeOther(w, to) // their own page
	}
	f, err := h.factor(r, s.Person.ID)
	if err != nil {
		return err
	}
	id := storage.ID(f.line.ID)
	switch do := r.PostForm.Get(fieldDo); {
	case do == "rename" && f.rename != nil:
		err = f.rename(r.Context(), s.Person.ID, id, r.PostForm.Get(fieldName), events.ActorPerson)
		if len(fault.All(err)) > 0 {
			return h.factorPage(w, r, s, http.StatusUnprocessableEntity, f, "name")
		}
	case do == "remove":
		err = h.Store.Together(r.Context(), func(ctx context.Context) error {
			if err := f.remove(ctx, s.Person.ID, id, events.ActorPerson); err != nil {
				return err
			}
			with := mail.Device(session.AgentOf(h.Web.Visitor(r).UserAgent))
			return h.Notices.Removed(ctx, &s.Person, with, f.kind, f.line.Name)
		})
	default:
		err = fault.Invalid(fieldDo, "must be rename or remove")
	}
	if err != nil {
		return err
	}
	return web.SeeOther(w, to+"?"+flow.ParamDone)
}

func (h *Handler) factorPage(w http.ResponseWriter, r *http.Request, s *storage.SignIn, status int, f factor, problem string) error {
	page := templates.Factor{
		Base: h.Web.Base(r, "", s.Person.Locale), Form: h.Web.Form(w, r, f.line.Href), Who: web.Account(s),
		FactorLine: f.line, Problem: problem, Back: h.Web.Path(web.PathSecurity),
	}
	if hasAnother(s) {
		page.ReviewHref = h.factorPath(web.PathSecurityReview, storage.ID(f.line.ID))
	}
	return h.Web.Page(w, r, status, page)
}

// hasAnother reports whether the person has a passkey or an authenticator that counts: a phone,
// whose number can be taken over, gives nobody anything back.
// The password alone has none counted again that was disowned: whoever knows that would
// have back what its owner took from them.
func hasAnother(s *storage.SignIn) bool { return len(s.Passkeys)+len(s.TOTPs) > 0 }

// showReview asks whether a factor that was disowned is the person's after all: somebody
// who proved another one.
func (h *Handler) showReview(w http.ResponseWriter, r *http.Request, s *storage.SignIn) error {
	f, err := h.factor(r, s.Person.ID)
	if err != nil {
		return err
	}
	if !f.line.Doubted || !hasAnother(s) {
		return web.SeeOther(w, f.line.Href)
	}
	return h.Web.Page(w, r, http.StatusOK, templates.Review{
		Base: h.Web.Base(r, "", s.Person.Locale), Form: h.Web.Form(w, r, h.factorPath(web.PathSecurityReview, storage.ID(f.line.ID))),
		Who: web.Account(s), FactorLine: f.line, Back: f.line.Href,
	})
}

// takeReview has it count again, and tells the person as if it were new.
func (h *Handler) takeReview(w http.ResponseWriter, r *http.Request, s *storage.SignIn) error {
	to := h.Web.Path(web.PathSecurity)
	if storage.ID(r.PostForm.Get(fieldSession)) != s.Session.ID {
		return web.SeeOther(w, to) // their own page
	}
	f, err := h.factor(r, s.Person.ID)
	if err != nil {
		return err
	}
	if !hasAnother(s) {
		return web.SeeOther(w, f.line.Href)
	}
	err = h.Store.Together(r.Context(), func(ctx context.Context) error {
		if err := f.trust(ctx, s.Person.ID, storage.ID(f.line.ID), events.ActorPerson); err != nil {
			return err
		}
		with := mail.Device(session.AgentOf(h.Web.Visitor(r).UserAgent))
		return h.Notices.Added(ctx, &s.Person, with, f.line.Added, f.kind, f.line.Name)
	})
	if err != nil && !errors.Is(err, storage.ErrNotFound) { // else it counts already
		return err
	}
	return web.SeeOther(w, to+"?"+flow.ParamDone)
}

package signin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/events"
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
	fieldName  = "name"
	fieldEmail = "email"
)

// showSetup asks the first operator who they are. The link that the server printed
// leads here once, and leaves the address bar and the history at once: a cookie keeps
// its secret. Looking at it spends nothing, so that no preview of a link does.
func (h *Handler) showSetup(w http.ResponseWriter, r *http.Request) error {
	if err := h.Throttle.Take(r.Context(), throttle.Setup, throttle.Block(web.Address(r.Context()))); err != nil {
		return err
	}
	if r.URL.Query().Has(web.ParamSetupKey) {
		h.Web.SetSetup(w, r.URL.Query().Get(web.ParamSetupKey))
		return web.SeeOther(w, h.Web.Path(web.PathSetup))
	}
	if err := h.Directory.SetupOpen(r.Context(), h.Web.Setup(r)); err != nil {
		return h.setupClosed(w, r, err)
	}
	return h.setupPage(w, r, http.StatusOK, templates.Setup{}, nil)
}

// takeSetup makes them the first operator, signs them in, and shows how to go on.
func (h *Handler) takeSetup(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	in := directory.NewPerson{Name: strings.TrimSpace(r.PostForm.Get(fieldName)), Email: r.PostForm.Get(fieldEmail)}
	if err := h.Throttle.Take(ctx, throttle.Setup, throttle.Block(web.Address(ctx))); err != nil {
		name, seconds := problem(w, err)
		if name == "" {
			return err
		}
		status, _ := web.Status(err)
		return h.setupPage(w, r, status, templates.Setup{Name: in.Name, Email: in.Email, Problem: name, RetryAfter: seconds}, nil)
	}
	secret, password := h.Web.Setup(r), r.PostForm.Get(fieldPassword)
	if err := h.Directory.SetupOpen(ctx, secret); err != nil {
		return h.setupClosed(w, r, err)
	}
	person, err := h.setUp(ctx, secret, in, password)
	switch problems := setupProblems(err); {
	case errors.Is(err, storage.ErrSpent):
		return h.setupClosed(w, r, err)
	case problems != (templates.SetupProblem{}) || h.newPassword(0, err).Problem != "":
		return h.setupPage(w, r, asksAgain(w, err), templates.Setup{Name: in.Name, Email: in.Email, Problems: problems}, err)
	case err != nil:
		return err
	}
	h.Web.SetSetup(w, "")
	web.Log(ctx).Set("person", string(person.ID))
	return h.signInFirst(w, r, person, password)
}

// setUp adds the person with their password and spends the link: all of it or nothing.
func (h *Handler) setUp(ctx context.Context, secret string, in directory.NewPerson, password string) (person *storage.Person, err error) {
	email, _ := ident.Email(in.Email) // the directory says what is wrong with it
	weak := h.Passwords.Check(password, email)
	err = h.Store.Together(ctx, func(ctx context.Context) error {
		person, err = h.Directory.SetUp(ctx, secret, in)
		faults := fault.All(err)
		if err != nil && len(faults) == 0 {
			return err
		}
		if faults = append(faults, fault.All(weak)...); len(faults) > 0 {
			return fault.Join(faults...)
		}
		return h.Passwords.Set(ctx, person, password, events.ActorPerson)
	})
	return person, err
}

// signInFirst signs the person in who just set this house up, by the password that
// they chose, and leads to the page that shows how to go on.
func (h *Handler) signInFirst(w http.ResponseWriter, r *http.Request, person *storage.Person, password string) error {
	evidence, err := h.Passwords.Verify(r.Context(), person, password)
	if err != nil {
		return err
	}
	ctx, b := storage.WithUnit(r.Context()), h.browser(r)
	// Whoever was signed in here is another one: the answer is to be about this person.
	a, err := h.Flow.Begin(ctx, flow.Request{Page: flow.PageSetupDone, Prompt: []string{"login"}}, b)
	if err != nil {
		return err
	}
	if err := h.Store.Flush(ctx); err != nil {
		return err
	}
	return h.goOn(w, r, a, person, evidence)
}

// setupProblems are what err says of the name and the address; zero if it is about
// something else.
func setupProblems(err error) (p templates.SetupProblem) {
	for _, f := range fault.All(err) {
		switch f.Field {
		case fieldName:
			p.Name = "name"
		case fieldEmail:
			p.Email = "email"
			if f.Kind == fault.KindConflict {
				p.Email = "taken"
			}
		}
	}
	return p
}

// setupPage asks, again where err says what is wrong.
func (h *Handler) setupPage(w http.ResponseWriter, r *http.Request, status int, page templates.Setup, err error) error {
	page.Base, page.Form = h.Web.Base(r, "", ""), h.Web.Form(w, r, h.Web.Path(web.PathSetup))
	page.Password = h.newPassword(proof.MinPassword, err)
	if len(page.Email) > maxIdentifier {
		page.Email = ""
	}
	if len(page.Name) > maxIdentifier {
		page.Name = ""
	}
	return h.Web.Page(w, r, status, page)
}

// setupClosed says that the link was used, or that it is not the living one.
func (h *Handler) setupClosed(w http.ResponseWriter, r *http.Request, err error) error {
	page := templates.SetupClosed{Base: h.Web.Base(r, "", ""), Used: errors.Is(err, storage.ErrSpent)}
	status := http.StatusNotFound
	switch {
	case page.Used:
		page.SignInHref, status = h.Web.Path(web.PathApps), http.StatusGone
	case !errors.Is(err, storage.ErrNotFound):
		return err
	}
	web.Log(r.Context()).Set("setup", map[bool]string{true: "used", false: "dead"}[page.Used])
	h.Web.SetSetup(w, "")
	return h.Web.Page(w, r, status, page)
}

// setupDone shows an operator how to go on; everybody else finds the front page.
func (h *Handler) setupDone(w http.ResponseWriter, r *http.Request) error {
	current, err := h.Flow.Current(r.Context(), h.browser(r))
	if err != nil {
		return err
	}
	if current == nil || !slices.Contains(current.Groups, directory.Operators) {
		return web.SeeOther(w, h.Web.Path(web.PathHome))
	}
	return h.Web.Page(w, r, http.StatusOK, templates.SetupDone{
		Base: h.Web.Base(r, "", current.Person.Locale), Who: web.Account(current), Home: h.Web.Path(web.PathHome),
	})
}

package shop

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"slices"
	"strings"
)

//go:embed pages
var files embed.FS

// pages are the layout with each page's own content, parsed once.
var pages = func() map[string]*template.Template {
	layout := template.Must(template.ParseFS(files, "pages/layout.html", "pages/drawing.html", "pages/facts.html"))
	parsed := map[string]*template.Template{}
	for _, name := range []string{"home", "car", "me", "reservation", "notice"} {
		parsed[name] = template.Must(template.Must(layout.Clone()).ParseFS(files, "pages/"+name+".html"))
	}
	return parsed
}()

// view is what the layout needs; Body is the page's own.
type view struct {
	Title  string
	Called string // who is signed in; empty for nobody
	Mails  string // where the mails are read that the demo sends; "" if it sends none
	Body   any
}

type homeView struct {
	Cars      []car
	SignedOut bool // just now
}

type carView struct {
	Car      car
	SignedIn bool
}

// fact is a row of a table: what it is, its value, and the claim that it comes from.
type fact struct{ Label, Value, Claim string }

type meView struct {
	Called       string
	Who, Proof   []fact
	Claims       string
	Security     string // where the person adds a passkey; "" once they came with one
	Reservations []reservedView
}

type reservedView struct {
	Car           car
	Number, Until string
	Seen          []fact
}

type noticeView struct{ Heading, Text, Again string }

// render writes a page, or nothing of it: it is complete before the status is sent.
func (s *Shop) render(w http.ResponseWriter, r *http.Request, status int, name string, v view) {
	if sess := s.session(r); sess != nil {
		v.Called = sess.person.called()
	}
	v.Mails = s.cfg.Mails
	var page bytes.Buffer
	if err := pages[name].ExecuteTemplate(&page, "layout", v); err != nil {
		s.log.ErrorContext(r.Context(), "shop: page not drawn", "page", name, "error", err)
		http.Error(w, "Something broke on our side.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	// A browser that went away does not read it, and there is nobody else to tell.
	_, _ = page.WriteTo(w)
}

// asset serves one embedded file.
func asset(name, contentType string) http.HandlerFunc {
	body, err := files.ReadFile("pages/" + name)
	if err != nil {
		panic(err) // it is embedded: its absence is a mistake in the build
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "public, max-age=300")
		_, _ = w.Write(body)
	}
}

func (s *Shop) home(w http.ResponseWriter, r *http.Request) error {
	body := homeView{Cars: cars}
	// The state that went to the provider at logout comes back: it is this browser's own sign-out.
	if state := cookie(r, signOutCookie); state != "" && state == r.URL.Query().Get("state") {
		body.SignedOut = true
		s.setCookie(w, signOutCookie, "", 0)
	}
	s.render(w, r, http.StatusOK, "home", view{Title: "Good cars, parked in the open", Body: body})
	return nil
}

func (s *Shop) car(w http.ResponseWriter, r *http.Request) error {
	car, ok := findCar(r.PathValue("id"))
	if !ok {
		return errNoCar
	}
	s.render(w, r, http.StatusOK, "car", view{Title: car.Name, Body: carView{Car: car, SignedIn: s.session(r) != nil}})
	return nil
}

// me shows who one is, and which proof was given.
func (s *Shop) me(w http.ResponseWriter, r *http.Request) error {
	sess := s.session(r)
	if sess == nil {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return nil
	}
	p, now := sess.person, s.cfg.Now()
	body := meView{Called: p.called(), Claims: p.prettyClaims()}
	if p.Name != "" {
		body.Who = append(body.Who, fact{"Name", p.Name, "name"})
	}
	if p.Email != "" {
		email := p.Email
		if !p.EmailVerified {
			email += " (not confirmed)"
		}
		body.Who = append(body.Who, fact{"E-mail", email, "email"})
	}
	body.Who = append(body.Who,
		fact{"Known to us as", p.Subject, "sub"},
		fact{"Vouched for by", s.cfg.Issuer, "iss"})
	body.Proof = []fact{
		{"How sure", assurance(p.acr), "acr " + p.acr},
		{"Proven with", proofs(p.amr), "amr"},
	}
	if !slices.ContainsFunc(p.amr, func(m string) bool { return m == "hwk" || m == "swk" }) {
		body.Security = strings.TrimSuffix(s.cfg.Issuer, "/") + "/account/security"
	}
	if !p.authTime.IsZero() {
		body.Proof = append(body.Proof, fact{"When", ago(now, p.authTime) + ", on " + p.authTime.Format("2 January at 15:04 MST"), "auth_time"})
	}
	sess.mu.Lock()
	for _, got := range sess.reservations {
		if car, ok := findCar(got.Car); ok {
			body.Reservations = append(body.Reservations, reservedView{Car: car, Number: got.Number})
		}
	}
	sess.mu.Unlock()
	s.render(w, r, http.StatusOK, "me", view{Title: "You, as we know you", Body: body})
	return nil
}

package provider_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// A script is one of a page of ours, which walks the steps as JSON.
type script struct {
	t    *testing.T
	p    *providertest.P
	b    *providertest.Browser
	seen map[string]bool // pages, in all scripts of a test
	at   string          // where it is, on this server
	page string          // what is shown there
	data map[string]any
}

func (s *script) request(method, to, body string) *http.Request {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.p.URL("")+to, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for name, value := range map[string]string{"Accept": "application/json", "Sec-Fetch-Site": "same-origin"} {
		r.Header.Set(name, value)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Origin", s.p.Issuer)
	}
	return r
}

// take reads an answer: a page, or the way on.
func (s *script) take(a *providertest.Answer, status int) (next string) {
	s.t.Helper()
	a.WantStatus(status)
	if kind := a.Header.Get("Content-Type"); kind != "application/json" || a.Header.Get("Vary") != "Accept" || a.Header.Get("Access-Control-Allow-Origin") != "" {
		s.t.Errorf("%s: %v", a, a.Header)
	}
	var said struct {
		Page, Next string
		Data       map[string]any
	}
	if err := json.Unmarshal(a.Body, &said); err != nil {
		s.t.Fatalf("%s: %v in %s", a, err, a.Body)
	}
	if said.Next == "" {
		s.page, s.data, s.seen[said.Page] = said.Page, said.Data, true
	}
	return said.Next
}

// open goes to a page, and on from there while it is sent on.
func (s *script) open(to, page string) {
	s.t.Helper()
	for range 4 {
		s.at = to
		if to = s.take(s.b.Send(s.request(http.MethodGet, to, "")), http.StatusOK); to == "" {
			break
		}
	}
	if s.page != page || to != "" {
		s.t.Fatalf("at %s: the page %s, want %s: %v", s.at, s.page, page, s.data)
	}
}

// dig is a member of the page's data, "" if there is none.
func (s *script) dig(path string) string {
	var in any = s.data
	for name := range strings.SplitSeq(path, ".") {
		switch one := in.(type) {
		case map[string]any:
			in = one[name]
		case []any:
			in = one[int(name[0]-'0')]
		default:
			return ""
		}
	}
	text, _ := in.(string)
	return text
}

// raw is a member as JSON.
func (s *script) raw(path string) string {
	s.t.Helper()
	in := s.data
	names := strings.Split(path, ".")
	for _, name := range names[:len(names)-1] {
		in, _ = in[name].(map[string]any)
	}
	text, err := json.Marshal(in[names[len(names)-1]])
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// sends posts the page's form, which stands at path, with these fields.
func (s *script) sends(path string, fields ...string) *http.Request {
	s.t.Helper()
	members := map[string]string{"form_token": s.dig(path + ".token")}
	for i := 0; i < len(fields); i += 2 {
		if !strings.Contains(s.raw(path+".fields"), `"`+fields[i]+`"`) {
			s.t.Errorf("%s has no field %s: %s", s.page, fields[i], s.raw(path+".fields"))
		}
		members[fields[i]] = fields[i+1]
	}
	body, err := json.Marshal(members)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.request(http.MethodPost, s.dig(path+".action"), string(body))
}

// send does so, and is sent on.
func (s *script) send(path string, fields ...string) (next string) {
	s.t.Helper()
	if next = s.take(s.b.Send(s.sends(path, fields...)), http.StatusOK); next == "" {
		s.t.Fatalf("%s is shown, want the way on: %v", s.page, s.data)
	}
	return next
}

// asks begins a request of a client, and is where it leads.
func (s *script) asks(rp *providertest.RP, params ...providertest.Param) string {
	s.t.Helper()
	to := must(url.Parse(s.b.Next(s.b.Get(rp.AuthorizationURL("openid email", params...)).WantStatus(http.StatusSeeOther))))
	return to.RequestURI()
}

// other is where another way to prove is.
func (s *script) other(name string) string {
	s.t.Helper()
	others, _ := s.data["others"].([]any)
	for _, one := range others {
		if way, _ := one.(map[string]any); way["name"] == name {
			return way["href"].(string)
		}
	}
	s.t.Fatalf("%s: no way %s: %v", s.page, name, s.data)
	return ""
}

// wantNext fails the test unless the way on begins so.
func (s *script) wantNext(next, begins string) string {
	s.t.Helper()
	if !strings.HasPrefix(next, begins) {
		s.t.Fatalf("after %s goes on to %s, want %s", s.page, next, begins)
	}
	return next
}

// Every step has a JSON face, with the rules of the HTML one: a page that has none, or is
// not walked here, fails this test.
func TestEveryStepAsJSON(t *testing.T) {
	t.Parallel()
	providertest.Databases(t, func(t *testing.T, database string) {
		box, gateway := providertest.NewMailbox(t), providertest.NewGateway(t)
		p := providertest.Start(t, providertest.On(database), providertest.WithMailbox(box), providertest.WithGateway(gateway))
		rp, ours := p.Client("web"), p.Client("ours", providertest.FirstParty)
		p.Person("ada")
		d := p.Device(phone)
		seen := map[string]bool{}
		s := &script{t: t, p: p, b: p.Browser(), seen: seen}
		var seed string
		later := func() string { // the authenticator's next code
			p.Clock.Advance(time.Minute)
			return code(t, seed, p.Clock.Now())
		}
		mailed := func(to string) string { // the code that was sent there
			t.Helper()
			p.DeliverMails()
			got := box.Wait(to)
			return got.Code()
		}
		signIn := func(s *script, at string) string {
			t.Helper()
			s.open(at, "signin")
			return s.send("form", "identifier", "ada@example.com", "password", providertest.Password)
		}
		for _, step := range []struct {
			name string
			does func()
		}{
			{"password", func() {
				s.open(s.asks(rp), "signin")
				if s.dig("client_name") != "Web" || s.raw("passkey.options.challenge") == "null" || s.raw("base") != "null" {
					t.Errorf("the page of the password: %v", s.data)
				}
				s.take(s.b.Send(s.sends("form", "identifier", "ada@example.com", "password", "not hers")), http.StatusUnprocessableEntity)
				if s.page != "signin" || s.dig("problem") != "wrong" {
					t.Errorf("a wrong password: %s %v", s.page, s.data)
				}
				s.wantNext(s.send("form", "identifier", "ada@example.com", "password", providertest.Password), web.PathConsent)
			}},
			{"consent", func() {
				s.open(s.at, "consent")
				if s.raw("scopes") == "null" || s.dig("client_host") == "" {
					t.Errorf("consent: %v", s.data)
				}
				s.wantNext(s.send("form", "decision", "allow", "session", s.dig("who.id")), web.PathAuthorize)
			}},
			{"a passkey is offered", func() {
				p.Person("bob")
				b := &script{t: t, p: p, b: p.Browser(), seen: seen}
				asked := b.asks(ours)
				b.open(asked, "signin")
				b.wantNext(b.send("form", "identifier", "bob@example.com", "password", providertest.Password, "passkeys", "1"), web.PathOfferPasskey)
				b.open(asked, "offerpasskey")
				b.b.Send(b.sends("form", "decision", "maybe", "session", b.dig("who.id"))).WantStatus(http.StatusBadRequest)
				wrong := p.Device(phone).Make(strings.Replace(b.raw("prompt.options"), `"challenge":"`, `"challenge":"AAAA`, 1))
				b.take(b.b.Send(b.sends("prompt.form", "passkey", wrong, "session", b.dig("who.id"))), http.StatusUnprocessableEntity)
				if b.page != "offerpasskey" || b.dig("problem") != "wrong" {
					t.Errorf("a wrong answer: %s %v", b.page, b.data)
				}
				b.wantNext(b.send("prompt.form", "passkey", p.Device(phone).Make(b.raw("prompt.options")), "session", b.dig("who.id")), web.PathAuthorize)
				wantPasskeys(t, p, "bob", 1)

				p.Person("eve")
				e := &script{t: t, p: p, b: p.Browser(), seen: seen}
				asked = e.asks(ours)
				e.open(asked, "signin")
				e.send("form", "identifier", "eve@example.com", "password", providertest.Password, "passkeys", "1")
				e.open(asked, "offerpasskey")
				e.wantNext(e.send("form", "decision", "never", "session", e.dig("who.id")), web.PathAuthorize)
				wantPasskeys(t, p, "eve", 0)
			}},
			{"make a passkey", func() {
				s.open(web.PathSecurity, "security")
				s.open(s.dig("add_passkey_href"), "addpasskey")
				made := d.Make(s.raw("prompt.options"))
				s.wantNext(s.send("prompt.form", "name", "Blue", "passkey", made, "session", s.dig("who.id")), web.PathSecurity)
			}},
			{"name it", func() {
				s.open(web.PathSecurity, "security")
				s.open(s.dig("passkeys.0.href"), "passkey") // who has one proves it to change it
				s.open(s.wantNext(s.send("prompt.form", "passkey", d.Use(s.raw("prompt.options"))), web.PathSecurityFactor), "factor")
				s.take(s.b.Send(s.sends("form", "do", "rename", "name", "", "session", s.dig("who.id"))), http.StatusUnprocessableEntity)
				if s.dig("problem") != "name" {
					t.Errorf("no name: %v", s.data)
				}
				s.wantNext(s.send("form", "do", "rename", "name", "Red", "session", s.dig("who.id")), web.PathSecurity)
			}},
			{"another address", func() {
				s.open(web.PathHome, "welcome")
				s.open(s.dig("addresses_href"), "addresses")
				if s.dig("addresses.0.email") != "ada@example.com" {
					t.Errorf("the addresses: %v", s.data)
				}
				s.take(s.b.Send(s.sends("form", "do", "verify", "email", "nowhere", "session", s.dig("who.id"))), http.StatusUnprocessableEntity)
				if s.page != "addresses" || s.dig("problem") != "email" {
					t.Errorf("no address: %s %v", s.page, s.data)
				}
				s.open(s.wantNext(s.send("form", "do", "verify", "email", "ada@example.net", "session", s.dig("who.id")), web.PathVerify), "sentcode")
				if s.dig("kind") != "verify" || s.dig("address") != "ada@example.net" || s.raw("sent") != "null" {
					t.Errorf("before a code is sent: %v", s.data)
				}
				s.open(s.wantNext(s.send("form", "do", "send"), web.PathVerify), "sentcode")
				s.take(s.b.Send(s.sends("form", "do", "code", "code", "")), http.StatusUnprocessableEntity)
				if s.page != "sentcode" || s.raw("sent") != "true" || s.dig("problem") != "empty" {
					t.Errorf("no code: %s %v", s.page, s.data)
				}
				s.open(s.wantNext(s.send("form", "do", "code", "code", mailed("ada@example.net")), web.PathAddresses), "addresses")
				if s.dig("addresses.1.email") != "ada@example.net" {
					t.Errorf("the addresses: %v", s.data)
				}
			}},
			{"a mobile", func() {
				s.open(web.PathSecurity, "security")
				s.open(s.dig("add_phone_href"), "sentcode")
				if s.dig("kind") != "phone" || s.raw("sent") != "null" {
					t.Errorf("before a code is sent: %v", s.data)
				}
				s.take(s.b.Send(s.sends("form", "do", "send", "phone", "070-174 06 05")), http.StatusUnprocessableEntity)
				if s.page != "sentcode" || s.dig("problem") != "phone" || s.dig("address") != "070-174 06 05" {
					t.Errorf("no number: %s %v", s.page, s.data)
				}
				s.open(s.wantNext(s.send("form", "do", "send", "phone", "+46 70 174 06 05"), web.PathAddPhone), "sentcode")
				p.DeliverMails()
				s.open(s.wantNext(s.send("form", "do", "code", "code", gateway.Code()), web.PathSecurity), "security")
				s.open(s.dig("phones.0.href"), "factor")
				if s.dig("kind") != "phone" || s.dig("name") != "•••• 05" {
					t.Errorf("the mobile: %v", s.data)
				}
				s.wantNext(s.send("form", "do", "remove", "session", s.dig("who.id")), web.PathSecurity)
				box.Got()
			}},
			{"a lost password", func() {
				b := &script{t: t, p: p, b: p.Browser(), seen: seen}
				b.open(b.asks(ours), "signin")
				b.open(b.dig("forgot_href"), "sentcode")
				if b.dig("kind") != "recover" || b.dig("who.id") != "" {
					t.Errorf("before a code is sent: %v", b.data)
				}
				b.open(b.wantNext(b.send("form", "do", "send", "identifier", "eve@example.com"), web.PathRecover), "sentcode")
				b.take(b.b.Send(b.sends("form", "do", "code", "code", "not it")), http.StatusUnprocessableEntity)
				if b.page != "sentcode" || b.dig("problem") != "wrong" {
					t.Errorf("a wrong code: %s %v", b.page, b.data)
				}
				b.open(b.wantNext(b.send("form", "do", "code", "code", mailed("eve@example.com")), web.PathReset), "reset")
				b.take(b.b.Send(b.sends("form", "password", "short", "session", b.dig("owner"))), http.StatusUnprocessableEntity)
				if b.page != "reset" || b.dig("password.problem") != "password_short" {
					t.Errorf("a short one: %s %v", b.page, b.data)
				}
				back := b.wantNext(b.send("form", "password", "three small boats at noon", "session", b.dig("owner")), web.PathSignIn) // what they came with
				b.wantNext(b.take(b.b.Send(b.request(http.MethodGet, back, "")), http.StatusOK), web.PathAuthorize)
			}},
			{"add an authenticator", func() {
				p.Clock.Advance(time.Minute)
				s.open(web.PathSecurity, "security")
				s.open(s.dig("add_totp_href"), "addtotp")
				seed = s.dig("secret")
				s.wantNext(s.send("form", "code", code(t, seed, p.Clock.Now()), "session", s.dig("who.id")), web.PathSecurity)
			}},
			{"how often to be asked", func() {
				s.open(web.PathSecurity, "security")
				s.open(s.dig("asking_href"), "asking")
				s.wantNext(s.send("form", "asking", s.dig("now"), "session", s.dig("who.id")), web.PathSecurity)
			}},
			{"change the password", func() {
				s.open(web.PathSecurity, "security")
				s.open(s.dig("password_href"), "changepassword")
				s.take(s.b.Send(s.sends("form", "password", "short", "session", s.dig("who.id"))), http.StatusUnprocessableEntity)
				if s.dig("password.problem") != "password_short" || s.raw("password.least") != "8" {
					t.Errorf("a short one: %v", s.data)
				}
				s.wantNext(s.send("form", "password", providertest.Password, "elsewhere", "end", "session", s.dig("who.id")), web.PathSecurity)
			}},
			{"recovery codes", func() {
				s.open(web.PathSecurity, "security")
				s.open(s.dig("recovery_href"), "recoverycodes")
				s.take(s.b.Send(s.sends("form", "session", s.dig("who.id"))), http.StatusOK)
				if s.page != "recoverycodes" || s.dig("codes.9") == "" || s.raw("form") != "null" {
					t.Errorf("the codes: %v", s.data)
				}
			}},
			{"a recovery code in place of what was lost", func() {
				lost := &script{t: t, p: p, b: p.Browser(), seen: seen}
				codes := s.dig("codes.0")
				lost.open(web.PathSecurityAddTOTP, "signin")
				lost.send("form", "identifier", "ada@example.com", "password", providertest.Password)
				lost.open(web.PathSecurityAddTOTP, "passkey")
				lost.open(lost.other("lost"), "lost")
				lost.open(lost.other("recovery"), "code")
				if lost.dig("kind") != "recovery" {
					t.Errorf("%v", lost.data)
				}
				lost.wantNext(lost.send("form", "code", codes), web.PathAddTOTP)
			}},
			{"a code, as the second factor", func() {
				b := &script{t: t, p: p, b: p.Browser(), seen: seen}
				asked := b.asks(rp, providertest.With("acr_values", "aal2"))
				b.wantNext(signIn(b, asked), web.PathPasskey)
				b.open(asked, "passkey")
				b.open(b.other("totp"), "code")
				b.take(b.b.Send(b.sends("form", "code", "000000")), http.StatusUnprocessableEntity)
				b.wantNext(b.send("form", "code", later()), web.PathAuthorize)
			}},
			{"a passkey, as the second factor", func() {
				b := &script{t: t, p: p, b: p.Browser(), seen: seen}
				asked := b.asks(rp, providertest.With("acr_values", "aal2"))
				signIn(b, asked)
				b.open(asked, "passkey")
				b.wantNext(b.send("prompt.form", "passkey", d.Use(b.raw("prompt.options"))), web.PathAuthorize)
			}},
			{"a passkey alone", func() {
				b := &script{t: t, p: p, b: p.Browser(), seen: seen}
				b.open(b.asks(rp), "signin")
				b.wantNext(b.send("passkey.form", "passkey", d.Use(b.raw("passkey.options"))), web.PathAuthorize)
			}},
			{"back to the app", func() {
				b := &script{t: t, p: p, b: p.Browser(), seen: seen}
				b.open(b.asks(rp), "signin")
				body := `{"form_token":"` + b.dig("form.token") + `"}`
				b.wantNext(b.take(b.b.Send(b.request(http.MethodPost, b.dig("cancel_action"), body)), http.StatusOK), web.PathAuthorize)
			}},
			{"which account", func() {
				s.open(s.asks(rp, providertest.With("prompt", "select_account")), "choose")
				s.wantNext(s.send("form", "account", s.dig("accounts.0.id")), web.PathAuthorize)
			}},
			{"apps", func() {
				s.open(web.PathApps, "apps")
				s.wantNext(s.send("form", "client", s.dig("apps.0.id"), "session", s.dig("who.id")), web.PathApps+"?removed")
			}},
			{"where one is signed in", func() {
				s.open(web.PathSessions, "sessions")
				s.wantNext(s.send("form", "end", "others", "session", s.dig("who.id")), web.PathSessions)
			}},
			{"what happened lately, and what was somebody else", func() {
				if _, err := p.Events.Sequence(t.Context()); err != nil {
					t.Fatal(err)
				}
				s.open(web.PathActivity, "activity")
				all, err := p.Events.List(t.Context(), events.Filter{Person: p.Person("ada").ID, Kind: events.FactorAdded}, 0, 1)
				if err != nil || len(all.Events) != 1 || s.dig("lines.0.words") == "" {
					t.Fatalf("%v, %v: %v", all, err, s.data)
				}
				s.open(web.PathNotMeEvent+"?id="+string(all.Events[0].ID), "disown")
				s.take(s.b.Send(s.sends("form", "session", s.dig("who.id"))), http.StatusOK)
				if s.page != "disown" || s.dig("done") == "" {
					t.Errorf("%s: %v", s.page, s.data)
				}
				s.open(s.dig("done"), "security")
				_, of, _ := strings.Cut(s.dig("authenticators.0.href"), "?")
				s.open(web.PathSecurityReview+"?"+of, "review")
				s.wantNext(s.send("form", "session", s.dig("who.id")), web.PathSecurity)
				if s.take(s.b.Send(s.request(http.MethodGet, web.PathNotMe+"?key=x", "")), http.StatusNotFound); s.page != "notme" {
					t.Errorf("a link that is none: %s", s.page)
				}
			}},
			{"the language", func() {
				s.open(web.PathLanguage, "language")
				s.wantNext(s.send("form", "language", "sv", "session", s.dig("who.id")), web.PathLanguage+"?done")
			}},
			{"sign out", func() {
				s.open(web.PathHome, "welcome")
				s.open(s.dig("sign_out_href"), "signout")
				s.open(s.wantNext(s.send("form", "decision", "signout", "session", s.dig("who.id")), web.PathSignedOut), "signedout")
			}},
			{"set up", func() {
				link := must(url.Parse(setupLink(t, p))).RequestURI()
				s.open(link, "setup")
				to := s.send("form", "name", "Grace", "email", "grace@example.com", "password", firstPassword)
				s.open(s.wantNext(to, web.PathSetupDone), "setupdone")
				if s.take(s.b.Send(s.request(http.MethodGet, web.PathSetup, "")), http.StatusGone); s.page != "setupclosed" {
					t.Errorf("the link is used, and the page is %s", s.page)
				}
			}},
		} {
			if t.Failed() {
				break
			}
			t.Log(step.name)
			step.does()
		}
		gone := s.b.Send(s.request(http.MethodGet, "/nothing/here", "")).WantStatus(http.StatusNotFound)
		if problem := gone.JSON(); gone.Header.Get("Content-Type") != "application/problem+json" || problem["code"] != "not_found" || problem["request_id"] == "" {
			t.Errorf("%s: %v", gone, problem)
		}

		files, err := os.ReadDir("../templates/pages")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			// Errors are problems; a form for a client is no page of ours; a stolen password has
			// a test of its own.
			if name := strings.TrimSuffix(f.Name(), ".html"); !slices.Contains([]string{"layout", "error", "formpost", "breached"}, name) && !seen[name] {
				t.Errorf("the page %s was not walked as JSON", name)
			}
		}
	})
}

// Pages that any site may send a browser to are for browsers alone; every other one has
// a JSON face, and says what its form may have.
func TestEveryPageHasAFace(t *testing.T) {
	alone := []string{web.PathAuthorize, web.PathEndSession}
	for _, route := range providertest.Start(t).Routes {
		if route.Dialect != web.HTML || strings.HasPrefix(route.Path, web.PathAssets) {
			continue
		}
		if route.Face == slices.Contains(alone, route.Path) {
			t.Errorf("%s %s: a JSON face %v", route.Method, route.Path, route.Face)
		}
		if route.Face && (route.Method == http.MethodPost) != (route.Fields != nil) {
			t.Errorf("%s %s: fields %q", route.Method, route.Path, route.Fields)
		}
		if route.Face && route.CORS != web.None {
			t.Errorf("%s is for pages of other origins", route.Path)
		}
	}
}

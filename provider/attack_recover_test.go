package provider_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// another is a password that nobody has yet.
const another = "seven small boats at noon"

// A recovery is somebody who lost their password, in a browser.
type recovery struct {
	*providertest.Browser
	t   *testing.T
	p   *providertest.P
	box *providertest.Mailbox
	at  string // the page that they are at
}

// lost goes from an app's sign-in page to the one that asks for an address.
func lost(t *testing.T, p *providertest.P, box *providertest.Mailbox, b *providertest.Browser, rp *providertest.RP) *recovery {
	t.Helper()
	at := p.URL(b.StopAt(web.PathSignIn).Ask(rp, "openid").URL.RequestURI())
	r := &recovery{b, t, p, box, strings.Replace(at, web.PathSignIn, web.PathForgot, 1)}
	r.follow(r.Get(r.at))
	if !strings.Contains(r.at, web.PathRecover) {
		t.Fatalf("lost leads to %s", r.at)
	}
	return r
}

func (r *recovery) follow(a *providertest.Answer) {
	r.t.Helper()
	a.WantStatus(http.StatusSeeOther)
	r.at = r.p.URL(a.Header.Get("Location"))
}

// ask has a code sent.
func (r *recovery) ask(address string) *providertest.Answer {
	r.t.Helper()
	return r.Send(r.Filled(r.at, providertest.With("do", "send"), providertest.With("identifier", address), providertest.Without("code")))
}

func (r *recovery) code(code string) *providertest.Answer {
	r.t.Helper()
	return r.Send(r.Filled(r.at, providertest.With("do", "code"), providertest.With("code", code)))
}

// proves has the code sent, and typed.
func (r *recovery) proves(address string) {
	r.t.Helper()
	r.follow(r.ask(address))
	r.p.DeliverMails()
	got := r.box.Wait(address)
	r.follow(r.code(got.Code()))
}

func (r *recovery) reset(password string) *providertest.Answer {
	r.t.Helper()
	return r.Send(r.Filled(r.at, providertest.With("password", password)))
}

func (r *recovery) wantAt(path string) {
	r.t.Helper()
	if !strings.Contains(r.at, path) {
		r.t.Fatalf("at %s, want %s", r.at, path)
	}
}

func eachRecovery(t *testing.T, run func(t *testing.T, p *providertest.P, box *providertest.Mailbox, rp *providertest.RP)) {
	t.Helper()
	t.Parallel()
	providertest.Databases(t, func(t *testing.T, url string) {
		box := providertest.NewMailbox(t)
		p := providertest.Start(t, providertest.On(url), providertest.WithMailbox(box))
		run(t, p, box, p.Client("web", providertest.FirstParty))
	})
}

// TestWhoLostTheirPasswordGetsBackIn: with another one, and to the app that they came from;
// whoever was signed in elsewhere is out, and the owner is told.
func TestWhoLostTheirPasswordGetsBackIn(t *testing.T) {
	eachRecovery(t, func(t *testing.T, p *providertest.P, box *providertest.Mailbox, rp *providertest.RP) {
		ada := p.Person("ada")
		thief := p.Browser().SignIn("ada")
		thief.Authorize(rp, "openid")
		p.Clock.Advance(time.Minute)
		r := lost(t, p, box, p.Browser(), rp)
		r.proves(ada.Email)
		r.wantAt(web.PathReset)
		if a := r.reset("short"); a.Status != http.StatusUnprocessableEntity {
			t.Fatal(a)
		}
		r.follow(r.reset(another))
		r.wantAt(web.PathSignIn)
		r.follow(r.Get(r.at)) // the request that they came with
		if a := r.Walk(rp, r.at); a.Params.Get("code") == "" {
			t.Fatalf("came to %s", a.URL)
		}
		p.DeliverMails()
		if told := box.Wait(ada.Email); !strings.Contains(told.Subject, "was changed") {
			t.Errorf("told %q", told.Subject)
		}
		if a := thief.SignedOut().StopAt(web.PathSignIn).Ask(rp, "openid"); !strings.Contains(a.URL.Path, web.PathSignIn) {
			t.Errorf("the other browser is still signed in: %s", a.URL)
		}
		if _, err := p.Passwords.Verify(t.Context(), ada.Person, another); err != nil {
			t.Error(err)
		}
		kinds := map[string]int{}
		all, err := p.Store.Events(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			kinds[e.Kind]++
		}
		if kinds[string(events.RecoveryBegun)] != 1 || kinds[string(events.PasswordSet)] != 2 {
			t.Errorf("events %v", kinds)
		}
	})
}

// TestAttack57RecoveryLooksAlike: attack case 57. Whoever has no account, an address that
// was not verified or a closed account gets the same pages for the same statements, and no
// mail; so do wrong codes.
func TestAttack57RecoveryLooksAlike(t *testing.T) {
	eachRecovery(t, func(t *testing.T, p *providertest.P, box *providertest.Mailbox, rp *providertest.RP) {
		p.Person("ada")
		p.Person("dan", func(in *directory.NewPerson) { in.Verified = false })
		p.Person("eve")
		if _, err := p.Directory.Disable(t.Context(), "eve@example.com", events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		r := lost(t, p, box, p.Browser(), rp)
		r.follow(r.ask("first@example.com"))
		measure := func(name string) [4]trace {
			t.Helper()
			address := name + "@example.com"
			var out [4]trace
			see := func(i int, do func() *providertest.Answer) {
				var a *providertest.Answer
				before := p.Passwords.Hashes()
				statements := p.Statements.During(func() { a = do() })
				out[i] = traceOf(a, address, p.Passwords.Hashes()-before, statements)
			}
			ask := r.Filled(r.at, providertest.With("do", "send"), providertest.With("identifier", address), providertest.Without("code"))
			see(0, func() *providertest.Answer { return r.Send(ask) })
			see(1, func() *providertest.Answer { return r.Get(r.at) })
			guess := r.Filled(r.at, providertest.With("do", "code"), providertest.With("code", "00000000"))
			see(2, func() *providertest.Answer { return r.Send(guess) })
			guess = r.Filled(r.at, providertest.With("do", "code"), providertest.With("code", "99999999"))
			see(3, func() *providertest.Answer { return r.Send(guess) })
			return out
		}
		nobody := measure("bob")
		if nobody[0].status != http.StatusSeeOther || nobody[2].status != wrong {
			t.Fatalf("%+v", nobody)
		}
		for _, name := range []string{"ada", "dan", "eve"} {
			got := measure(name)
			for i := range got {
				if got[i] != nobody[i] {
					t.Errorf("%s, request %d: %+v\nnobody: %+v", name, i, got[i], nobody[i])
				}
			}
		}
		p.DeliverMails()
		got := box.Got()
		if len(got) != 1 || got[0].To != "ada@example.com" {
			t.Errorf("%d mails, want one to ada", len(got))
		}
	})
}

// TestAttack62RecoveryAsksForTheSecondFactor: attack case 62. Whoever reads the mail does
// not get past the authenticator, by whatever page; a recovery code stands in for it.
func TestAttack62RecoveryAsksForTheSecondFactor(t *testing.T) {
	eachRecovery(t, func(t *testing.T, p *providertest.P, box *providertest.Mailbox, rp *providertest.RP) {
		ada := p.Person("ada")
		app, err := p.TOTP.Begin(t.Context(), ada.Person, "phone")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.TOTP.Confirm(t.Context(), ada.Person, app.ID, code(t, app.Secret, p.Clock.Now()), events.ActorPerson); err != nil {
			t.Fatal(err)
		}
		paper, err := p.Recovery.Generate(t.Context(), ada.ID, "drawn", events.ActorPerson)
		if err != nil {
			t.Fatal(err)
		}
		p.Clock.Advance(time.Minute)
		for name, second := range map[string]func(r *recovery){
			"the app": func(r *recovery) {
				r.follow(r.Send(r.Filled(r.at, providertest.With("code", code(t, app.Secret, p.Clock.Now())))))
			},
			"paper": func(r *recovery) {
				r.at = strings.Replace(r.at, web.PathTOTP, web.PathRecovery, 1)
				r.follow(r.Send(r.Filled(r.at, providertest.With("code", paper[0]))))
			},
		} {
			r := lost(t, p, box, p.Browser(), rp)
			form := providertest.ReadForm(r.Get(r.at).Body)
			r.proves(ada.Email)
			r.wantAt(web.PathTOTP)
			totp := r.at
			around := strings.Replace(totp, web.PathTOTP, web.PathReset, 1)
			r.follow(r.Get(around))
			r.wantAt(web.PathTOTP)
			form.Action = strings.Replace(form.Action, web.PathRecover, web.PathReset, 1)
			form.Fields.Set("password", another)
			at := r.Request(around).URL
			r.follow(r.Send(r.Submit(at, form)))
			r.wantAt(web.PathTOTP)
			if _, err := p.Passwords.Verify(t.Context(), ada.Person, another); err == nil {
				t.Fatalf("%s: the password was set without the second factor", name)
			}
			for _, c := range r.Cookies() {
				if strings.Contains(c.Name, "session") && c.Value != "" {
					t.Errorf("%s: a session before the second factor: %s", name, c.Name)
				}
			}
			r.at = totp
			second(r)
			r.wantAt(web.PathReset)
			r.follow(r.reset(another + name))
			r.wantAt(web.PathSignIn)
			if _, err := p.Passwords.Verify(t.Context(), ada.Person, another+name); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			p.Clock.Advance(time.Hour)
			p.DeliverMails()
			box.Got()
		}
	})
}

// TestACodeIsOfTheBrowserThatAskedForIt: another browser with the right code gets nowhere,
// and a code is over when the owner changed their password meanwhile.
func TestACodeIsOfTheBrowserThatAskedForIt(t *testing.T) {
	eachRecovery(t, func(t *testing.T, p *providertest.P, box *providertest.Mailbox, rp *providertest.RP) {
		ada := p.Person("ada")
		mine, theirs := lost(t, p, box, p.Browser(), rp), lost(t, p, box, p.Browser(), rp)
		mine.follow(mine.ask(ada.Email))
		theirs.follow(theirs.ask("eve@example.com"))
		p.DeliverMails()
		mail := box.Wait(ada.Email)
		if a := theirs.code(mail.Code()); a.Status != http.StatusUnprocessableEntity {
			t.Errorf("in another browser: %s", a)
		}
		if a := theirs.Get(mine.at); a.Status == http.StatusOK {
			t.Errorf("another browser's page: %s", a)
		}
		mine.follow(mine.code(mail.Code()))
		mine.wantAt(web.PathReset)
		p.Clock.Advance(time.Second)
		if err := p.Passwords.Set(t.Context(), ada.Person, another, events.ActorPerson); err != nil {
			t.Fatal(err)
		}
		mine.follow(mine.Get(mine.at))
		mine.wantAt(web.PathRecover)
	})
}

// TestABookmarkLeadsBackIn: who comes to "Forgot your password?" from nowhere gets back in, and is at
// the front page then; of whom they say that they are nothing is told.
func TestABookmarkLeadsBackIn(t *testing.T) {
	eachRecovery(t, func(t *testing.T, p *providertest.P, box *providertest.Mailbox, rp *providertest.RP) {
		ada := p.Person("ada")
		p.Clock.Advance(time.Minute)
		bookmark := p.URL(web.PathForgot)
		var says []string
		for _, address := range []string{"nobody@example.com", ada.Email} {
			r := &recovery{p.Browser(), t, p, box, ""}
			r.follow(r.Get(bookmark))
			r.wantAt(web.PathRecover)
			asked := r.ask(address)
			r.follow(asked)
			page := string(r.Get(r.at).WantStatus(http.StatusOK).Body)
			says = append(says, fresh.ReplaceAllString(strings.ReplaceAll(page, address, "ADDRESS"), ""))
			if address != ada.Email {
				continue
			}
			p.DeliverMails()
			got := box.Wait(address)
			r.follow(r.code(got.Code()))
			r.wantAt(web.PathReset)
			r.follow(r.reset(another))
			if r.at != p.URL(web.PathHome) {
				t.Errorf("it ends at %s", r.at)
			}
			if !strings.Contains(string(r.Get(r.at).Body), ada.Email) {
				t.Error("they are not signed in")
			}
		}
		if says[0] != says[1] {
			t.Errorf("nobody is answered otherwise:\n%s\n%s", says[0], says[1])
		}
		if got := p.Browser().Get(bookmark + "?i=" + string(storage.NewID())); got.Status == http.StatusSeeOther {
			t.Errorf("a request that is not there leads to %s", got.Header.Get("Location"))
		}
	})
}

// fresh is what is new each time a page is shown.
var fresh = regexp.MustCompile(`((nonce|value)="|\bi=)[^"&]*`)

// TestARightCodeOfWhichNothingCame works no more: the page says so, and has another one sent.
func TestARightCodeOfWhichNothingCame(t *testing.T) {
	eachRecovery(t, func(t *testing.T, p *providertest.P, box *providertest.Mailbox, rp *providertest.RP) {
		ada := p.Person("ada")
		b := p.Browser().SignIn("ada")
		b.Authorize(rp, "openid")
		r := &recovery{b, t, p, box, ""}
		r.follow(b.Send(b.Filled(p.URL(web.PathAddresses), providertest.With("do", "verify"), providertest.With("email", "ada@work.example"))))
		sends := func(from *http.Request) string {
			t.Helper()
			r.follow(r.Send(from))
			p.DeliverMails()
			got := box.Wait("ada@work.example")
			return got.Code()
		}
		right := sends(r.Filled(r.at, providertest.With("do", "send")))
		for range throttle.MailNotices.Burst {
			if err := p.Throttle.Take(t.Context(), throttle.MailNotices, ada.Email); err != nil {
				t.Fatal(err)
			}
		}
		a := r.code(right)
		a.WantStatus(http.StatusTooManyRequests)
		if !strings.Contains(string(a.Body), "was right") || a.Header.Get("Retry-After") == "" {
			t.Errorf("it does not say that the code was right, and when to go on: %s", a.Body)
		}
		form := providertest.ReadForm(a.Body)
		if form == nil || form.Fields.Has("code") {
			t.Fatalf("it asks for the code once more: %s", a.Body)
		}
		if a := r.code(right); a.Status != http.StatusUnprocessableEntity {
			t.Errorf("it works twice: %s", a)
		}
		form.Fields.Set("do", "send")
		p.Clock.Advance(throttle.MailNotices.Every)
		r.follow(r.code(sends(b.Submit(must(url.Parse(r.at)), form))))
		r.wantAt(web.PathAddresses)
	})
}

// TestAddressesAreVerifiedAddedAndRemoved: each by a code that is sent there; the last one
// that was verified stays.
func TestAddressesAreVerifiedAddedAndRemoved(t *testing.T) {
	eachRecovery(t, func(t *testing.T, p *providertest.P, box *providertest.Mailbox, rp *providertest.RP) {
		ada := p.Person("ada")
		p.Person("bob")
		b := p.Browser().SignIn("ada")
		b.Authorize(rp, "openid")
		page := p.URL(web.PathAddresses)
		do := func(what, address string) *providertest.Answer {
			t.Helper()
			return b.Send(b.Filled(page, providertest.With("do", what), providertest.With("email", address)))
		}
		if a := do("remove", ada.Email); a.Status != http.StatusConflict {
			t.Fatalf("the last one: %s", a)
		}
		r := &recovery{b, t, p, box, ""}
		adds := func(address string) *providertest.Answer {
			t.Helper()
			r.follow(do("verify", address))
			r.wantAt(web.PathVerify)
			r.follow(r.Send(r.Filled(r.at, providertest.With("do", "send"))))
			p.DeliverMails()
			got := box.Wait(address)
			return r.code(got.Code())
		}
		if a := adds("bob@example.com"); a.Status != http.StatusConflict { // whoever reads bob's mail may know
			t.Errorf("bob's address: %s", a)
		}
		r.follow(adds("ada@work.example"))
		r.wantAt(web.PathAddresses)
		p.DeliverMails()
		if told := box.Wait(ada.Email); !strings.Contains(told.Text, "ada@work.example") {
			t.Errorf("the address from before was told %q", told.Text)
		}
		found, err := p.Directory.ByEmail(t.Context(), "Ada@work.example")
		if err != nil || found.ID != ada.ID {
			t.Fatalf("%+v, %v", found, err)
		}
		// What was added just now does not stand in for what the owner is known by.
		if a := do("remove", ada.Email); a.Status != http.StatusConflict {
			t.Errorf("the one from before: %s", a)
		}
		p.Clock.Advance(7 * 24 * time.Hour)
		b.Walk(nil, page)
		do("remove", ada.Email).WantStatus(http.StatusSeeOther)
		if a := do("remove", "ada@work.example"); a.Status != http.StatusConflict {
			t.Errorf("the last one: %s", a)
		}
		ids, err := p.Store.Identifiers(t.Context(), ada.ID)
		if err != nil || len(ids) != 1 || ids[0].Value != "ada@work.example" || ids[0].VerifiedAt.IsZero() {
			t.Errorf("%+v, %v", ids, err)
		}
	})
}

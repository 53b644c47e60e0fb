package provider_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// recoversBy follows a link to where an address is asked for.
func (h *toldHouse) recoversBy(link string) *recovery {
	h.t.Helper()
	b := h.Browser()
	at := h.URL(taken(b.StopAt(web.PathSignIn), link).URL.RequestURI())
	r := h.by(b, strings.Replace(at, web.PathSignIn, web.PathForgot, 1))
	r.follow(r.Get(r.at))
	return r
}

// Attack case 62: who typed a code that was meant for somebody else stands before the page for a new
// password. That is over once its owner says that it was not them, and once an operator ends all
// sessions, or closes the account, also where it is open again.
func TestAttack62ARecoveryEndsWithAllElse(t *testing.T) {
	t.Parallel()
	eachTold(t, func(t *testing.T, h *toldHouse) {
		rp := h.Client("web", providertest.FirstParty)
		for name, ends := range map[string]func(){
			"disowned": func() {
				owner := h.Browser().SignIn("ada")
				at := owner.Walk(nil, h.URL(web.PathNotMeEvent)+"?id="+string(h.event(events.RecoveryBegun).ID))
				owner.Send(owner.Filled(h.URL(at.URL.RequestURI()))).WantStatus(http.StatusOK)
			},
			"signed out": func() {
				if err := h.Store.EndSessionsOf(t.Context(), h.ada.ID, storage.At(h.Clock.Now())); err != nil {
					t.Fatal(err)
				}
			},
			"closed and opened": func() {
				if _, err := h.Directory.Disable(t.Context(), h.ada.Email, events.ActorOperator); err != nil {
					t.Fatal(err)
				}
				if _, err := h.Directory.Enable(t.Context(), h.ada.Email, events.ActorOperator); err != nil {
					t.Fatal(err)
				}
			},
		} {
			thief := lost(t, h.P, h.box, h.Browser(), rp)
			thief.proves(h.ada.Email)
			thief.wantAt(web.PathReset)
			form := thief.Filled(thief.at, providertest.With("password", another))
			h.Clock.Advance(time.Minute)
			ends()
			thief.follow(thief.Send(form))
			thief.wantAt(web.PathRecover)
			if _, err := h.Passwords.Verify(t.Context(), h.ada.Person, another); err == nil {
				t.Errorf("%s: the password was set", name)
			}
			h.Clock.Advance(time.Hour)
			h.DeliverMails()
			h.box.Got()
		}
	})
}

// Attack case 62: a mail alone is not enough for who has a second factor, though that waits for
// their word. They are told how to go on.
func TestAttack62ADoubtedFactorIsNotNone(t *testing.T) {
	t.Parallel()
	eachTold(t, func(t *testing.T, h *toldHouse) {
		rp := h.Client("web", providertest.FirstParty)
		owner := h.Browser().SignIn("ada")
		seed := h.addsTOTP(owner)
		of := h.URL(web.PathNotMeEvent) + "?id=" + string(h.event(events.FactorAdded).ID)
		r := h.by(owner, h.URL(owner.StopAt(web.PathTOTP).Walk(nil, of).URL.RequestURI()))
		r.follow(r.Send(r.Filled(r.at, providertest.With("code", code(t, seed, h.Clock.Now())))))
		at := owner.Walk(nil, of)
		owner.Send(owner.Filled(h.URL(at.URL.RequestURI()))).WantStatus(http.StatusOK)
		if got := h.doubted(h.ada.ID); len(got) != 1 {
			t.Fatalf("doubted are %v", got)
		}
		h.Clock.Advance(time.Minute)
		h.DeliverMails()
		h.box.Got()
		r = lost(t, h.P, h.box, h.Browser(), rp)
		r.proves(h.ada.Email)
		r.wantAt(web.PathReset)
		page := r.Get(r.at).WantStatus(http.StatusForbidden)
		if !strings.Contains(string(page.Body), "ask those who run") {
			t.Errorf("the page says %s", page)
		}
		form := providertest.ReadForm(page.Body)
		r.follow(r.Send(r.Submit(r.Request(r.at).URL, form))) // back
		r.wantAt(web.PathSignIn)
	})
}

// Of two tabs in which a password is chosen one sets it; a page that was for somebody else sets
// none.
func TestOneTabResets(t *testing.T) {
	eachRecovery(t, func(t *testing.T, p *providertest.P, box *providertest.Mailbox, rp *providertest.RP) {
		ada := p.Person("ada")
		r := lost(t, p, box, p.Browser(), rp)
		r.proves(ada.Email)
		r.wantAt(web.PathReset)
		r.follow(r.Send(r.Filled(r.at, providertest.With("password", another), providertest.With("session", "somebody else"))))
		r.wantAt(web.PathReset)
		if _, err := p.Passwords.Verify(t.Context(), ada.Person, another); err == nil {
			t.Fatal("it was set by a page for somebody else")
		}
		var tabs []*http.Request
		for _, password := range []string{another, "eight small boats at noon"} {
			tabs = append(tabs, r.Carry(r.Filled(r.at, providertest.With("password", password))))
		}
		in := 0
		for _, a := range p.AtOnce(tabs...) {
			a.WantStatus(http.StatusSeeOther)
			if strings.Contains(strings.Join(a.Header.Values("Set-Cookie"), "\n"), sessionCookie) {
				in++
			}
		}
		all, err := p.Store.Events(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		set := 0
		for _, e := range all {
			if e.Kind == string(events.PasswordSet) {
				set++
			}
		}
		if in != 1 || set != 2 { // the first is that which they lost
			t.Errorf("%d signed in, %d passwords set", in, set)
		}
	})
}

// Whoever makes so many changes that no more are told holds up no recovery.
func TestAFullMailboxHoldsUpNoRecovery(t *testing.T) {
	eachRecovery(t, func(t *testing.T, p *providertest.P, box *providertest.Mailbox, rp *providertest.RP) {
		ada := p.Person("ada")
		r := lost(t, p, box, p.Browser(), rp)
		r.proves(ada.Email)
		for p.Throttle.Take(t.Context(), throttle.MailNotices, ada.Email) == nil {
			continue
		}
		r.follow(r.reset(another))
		r.wantAt(web.PathSignIn)
		if _, err := p.Passwords.Verify(t.Context(), ada.Person, another); err != nil {
			t.Error(err)
		}
	})
}

// A first password by a recovery ends what was begun without one, and is told as an addition.
func TestAFirstPasswordByRecoveryEndsTheRest(t *testing.T) {
	eachRecovery(t, func(t *testing.T, p *providertest.P, box *providertest.Mailbox, rp *providertest.RP) {
		zoe, err := p.Directory.Create(t.Context(), directory.NewPerson{Name: "Zoe", Email: "zoe@example.com", Verified: true}, events.ActorOperator)
		if err != nil {
			t.Fatal(err)
		}
		now := storage.At(p.Clock.Now())
		before := &storage.Session{
			ID: storage.NewID(), PersonID: zoe.ID, SecretHash: session.Hash("elsewhere"), Evidence: storage.Document[storage.Raw]([]byte("{}")),
			CreatedAt: now, SeenAt: now, ExpiresAt: storage.At(now.Add(time.Hour)),
		}
		if err := p.Store.CreateSession(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		p.Clock.Advance(time.Minute)
		r := lost(t, p, box, p.Browser(), rp)
		r.proves("zoe@example.com")
		r.follow(r.reset(another))
		if se, err := p.Store.Session(t.Context(), before.ID); err != nil || se.EndedAt.IsZero() {
			t.Errorf("a session from before lives on: %v", err)
		}
		p.DeliverMails()
		if told := box.Wait("zoe@example.com"); !strings.Contains(strings.ToLower(told.Text), "password") || strings.Contains(told.Subject, "changed") {
			t.Errorf("told %q", told.Subject)
		}
	})
}

// Who comes by a link with a recovery code in the place of the factor that they lost is done when
// they chose a password: what they have counts from then on.
func TestARecoveryCodeLeadsThroughALink(t *testing.T) {
	t.Parallel()
	eachTold(t, func(t *testing.T, h *toldHouse) {
		h.addsTOTP(h.Browser().SignIn("ada"))
		paper, err := h.Recovery.Generate(t.Context(), h.ada.ID, "drawn", events.ActorPerson)
		if err != nil {
			t.Fatal(err)
		}
		h.Clock.Advance(time.Hour)
		h.DeliverMails()
		h.box.Got()
		if _, err := h.Directory.ByEmail(t.Context(), h.ada.Email); err != nil {
			t.Fatal(err)
		}
		if err := h.Store.Together(t.Context(), func(ctx context.Context) error {
			if err := h.Passwords.Set(ctx, h.ada.Person, "a password of the thief's own", events.ActorPerson); err != nil {
				return err
			}
			return h.Notices.PasswordChanged(ctx, h.ada.Person, mail.Device{}, h.Clock.Now())
		}); err != nil {
			t.Fatal(err)
		}
		h.Clock.Advance(time.Minute)
		r := h.recoversBy(h.linkTo(h.ada.Email, "was changed"))
		r.proves(h.ada.Email)
		r.wantAt(web.PathTOTP)
		r.at = strings.Replace(r.at, web.PathTOTP, web.PathRecovery, 1)
		r.follow(r.Send(r.Filled(r.at, providertest.With("code", paper[0]))))
		r.wantAt(web.PathReset)
		r.follow(r.reset(another))
		r.wantAt(web.PathSecurity + "?done")
	})
}

// Attack case 58: who has several addresses is guessed at as often as who has one.
func TestAttack58EveryAddressIsOneBucket(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web")
		ada := p.Person("ada")
		now := storage.At(p.Clock.Now())
		err := p.Store.CreateIdentifier(t.Context(), &storage.Identifier{
			Kind: ident.KindEmail, Value: "ada@work.example", Display: "ada@work.example", PersonID: ada.ID, VerifiedAt: now, CreatedAt: now,
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			guesserAt(t, p, rp, p.Browser()).try([]string{ada.Email, "ada@work.example"}[i%2], guess).WantStatus(wrong)
		}
		for _, address := range []string{ada.Email, "ada@work.example"} {
			wantThrottled(t, address, guesserAt(t, p, rp, p.Browser()).try(address, providertest.Password))
		}
	})
}

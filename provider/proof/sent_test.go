package proof_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/fault"
	mails "github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// A post is what carries codes by mail, and keeps what arrived.
type post struct {
	replica
	*proof.Sent
	deliverer *mails.Deliverer
	mu        sync.Mutex
	got       []*mails.Letter
}

func newPost(t *testing.T, r replica, now func() time.Time) *post {
	t.Helper()
	words, err := templates.NewMails(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &post{replica: r}
	th := throttle.New(r.store, [32]byte{1}, now)
	m, err := mails.New(mails.Config{From: &mail.Address{Address: "no-reply@login.example"}, Issuer: "https://login.example", Deliver: p.take},
		mails.Deps{Store: r.store, Keys: open{}, Events: r.events, Throttle: th, Mails: words, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	p.Sent = proof.NewSent(proof.ByMail(m), r.store, th, [32]byte{2}, now)
	m.Wanted = p.Wanted
	if p.deliverer, err = mails.NewDeliverer(m.Outbox, mails.DelivererDeps{Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler), Hold: func() bool { return false }}); err != nil {
		t.Fatal(err)
	}
	return p
}

// open seals nothing.
type open struct{}

func (open) Seal(_, _ string, plain []byte) ([]byte, error)  { return plain, nil }
func (open) Open(_, _ string, sealed []byte) ([]byte, error) { return sealed, nil }

func (p *post) take(_ context.Context, l *mails.Letter) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, l)
	return nil
}

// letters delivers what is due, and returns what arrived since.
func (p *post) letters(t *testing.T) []*mails.Letter {
	t.Helper()
	for range 5 { // as many at once as there is room
		if err := p.deliverer.DeliverDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.deliverer.Wait()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.got
	p.got = nil
	return got
}

var eight = regexp.MustCompile(`(?m)^    (\d{8})$`)

// code is what the only letter says that arrived.
func (p *post) code(t *testing.T) string {
	t.Helper()
	got := p.letters(t)
	if len(got) != 1 {
		t.Fatalf("%d letters, want one", len(got))
	}
	code := eight.FindStringSubmatch(got[0].Text)
	if code == nil {
		t.Fatalf("no code in %q", got[0].Text)
	}
	return code[1]
}

func (p *post) mustSend(t *testing.T, in proof.Sending) {
	t.Helper()
	if err := p.Send(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

func verified(t *testing.T, r replica, person *storage.Person, address string, at time.Time) {
	t.Helper()
	id := &storage.Identifier{Kind: "email", Value: address, Display: address, PersonID: person.ID, CreatedAt: storage.At(noon)}
	if !at.IsZero() {
		id.VerifiedAt = storage.At(at)
	}
	if err := r.store.CreateIdentifier(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

// TestAttack60SentCodesWorkOnceOverReplicas: the twin of attack case 60 for codes by mail.
// Of 50 who type the right one at once one gets in; and of 50 who guess five are heard.
func TestAttack60SentCodesWorkOnceOverReplicas(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		now := func() time.Time { return noon }
		var posts []*post
		for range 3 {
			posts = append(posts, newPost(t, newReplica(t, url, now), now))
		}
		try := func(interaction storage.ID, code string) (right, wrong, over int64) {
			var all sync.WaitGroup
			var in, out, late atomic.Int64
			begin := make(chan struct{})
			for i := range 50 {
				all.Go(func() {
					<-begin
					_, err := posts[i%3].Verify(t.Context(), interaction, proof.ToVerify, code)
					switch {
					case err == nil:
						in.Add(1)
					case errors.Is(err, proof.ErrWrong):
						out.Add(1)
					case errors.Is(err, proof.ErrOver):
						late.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			close(begin)
			all.Wait()
			return in.Load(), out.Load(), late.Load()
		}
		i := storage.NewID()
		posts[0].mustSend(t, proof.Sending{Purpose: proof.ToVerify, Interaction: i, Address: "ada@example.com"})
		code := posts[0].code(t)
		if right, wrong, over := try(i, code); right != 1 || wrong != 0 || over != 49 {
			t.Errorf("of 50 with the right code %d got in, %d were wrong, for %d it was over", right, wrong, over)
		}
		posts[1].mustSend(t, proof.Sending{Purpose: proof.ToVerify, Interaction: i, Address: "ada@example.com"})
		code = posts[1].code(t)
		if right, wrong, over := try(i, "no code"); right != 0 || wrong != 5 || over != 45 {
			t.Errorf("of 50 guesses %d got in, %d were heard, for %d it was over", right, wrong, over)
		}
		if _, err := posts[2].Verify(t.Context(), i, proof.ToVerify, code); !errors.Is(err, proof.ErrOver) {
			t.Errorf("the right code after five wrong ones: %v", err)
		}
	})
}

// TestASentCodeIsForOneThing: one purpose, in one interaction, for ten minutes, until the
// next one.
func TestASentCodeIsForOneThing(t *testing.T) {
	at := noon
	now := func() time.Time { return at }
	p := newPost(t, newReplica(t, providertest.SQLite(t), now), now)
	ada := p.person(t, "ada")
	verified(t, p.replica, ada, "ada@example.com", noon)
	in := proof.Sending{Purpose: proof.ToVerify, Interaction: storage.NewID(), Address: " Ada@Example.com ", Person: ada.ID}
	other := proof.Sending{Purpose: proof.ToRecover, Interaction: storage.NewID(), Address: "ada@example.com"}
	p.mustSend(t, in)
	first := p.code(t)
	p.mustSend(t, other)
	p.code(t)
	wrong := func(what string, interaction storage.ID, purpose proof.Purpose, code string, want error) {
		t.Helper()
		if got, err := p.Verify(t.Context(), interaction, purpose, code); !errors.Is(err, want) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	wrong("another purpose", in.Interaction, proof.ToRecover, first, proof.ErrWrong)
	wrong("another interaction", other.Interaction, proof.ToVerify, first, proof.ErrWrong)
	wrong("an interaction without one", storage.NewID(), proof.ToVerify, first, proof.ErrOver)
	p.mustSend(t, in)
	second := p.code(t)
	wrong("the one before", in.Interaction, proof.ToVerify, first, proof.ErrWrong)
	at = at.Add(proof.SentValid)
	wrong("too late", in.Interaction, proof.ToVerify, second, proof.ErrOver)
	at = at.Add(-time.Second)
	got, err := p.Verify(t.Context(), in.Interaction, proof.ToVerify, " "+second[:4]+"-"+second[4:]+"\u00a0")
	if err != nil {
		t.Fatal(err)
	}
	want := proof.Proven{Kind: "email", Address: "ada@example.com", Display: "Ada@Example.com", Person: ada.ID, Evidence: policy.Evidence{Method: policy.Mail, At: at, Credential: "ada@example.com"}}
	if *got != want {
		t.Errorf("%+v, want %+v", *got, want)
	}
	if held := policy.Assess([]policy.Evidence{got.Evidence}, at); len(held) > 0 {
		t.Errorf("a code by mail alone is %+v", held)
	}
	wrong("again", in.Interaction, proof.ToVerify, second, proof.ErrOver)
}

// TestWhoLostTheirPasswordIsWrittenToAtVerifiedAddresses only: what goes to anybody else is
// never sent, and nobody is told.
func TestWhoLostTheirPasswordIsWrittenToAtVerifiedAddresses(t *testing.T) {
	now := func() time.Time { return noon }
	p := newPost(t, newReplica(t, providertest.SQLite(t), now), now)
	ada, gone := p.person(t, "ada"), p.person(t, "gone")
	verified(t, p.replica, ada, "ada@example.com", noon)
	verified(t, p.replica, ada, "new@example.com", time.Time{})
	verified(t, p.replica, gone, "gone@example.com", noon)
	if err := p.store.DisablePerson(t.Context(), gone.ID, storage.At(noon)); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"nobody@example.com", "new@example.com", "gone@example.com", "ADA@example.com"} {
		p.mustSend(t, proof.Sending{Purpose: proof.ToRecover, Interaction: storage.NewID(), Address: address})
	}
	got := p.letters(t)
	if len(got) != 1 || got[0].To != "ada@example.com" {
		t.Errorf("%d letters, want one to ada", len(got))
	}
	if kept, err := p.store.Mails(t.Context(), false, storage.Page{}); err != nil || len(kept.Items) != 1 || kept.Items[0].Recipient != "ada@example.com" {
		t.Errorf("%+v are kept, %v", kept.Items, err)
	}
}

// TestAttack94NobodyIsFloodedWithCodes: however they are asked for. One address gets ten
// codes, one person ten at all of their addresses, and one block of addresses asks for
// forty.
func TestAttack94NobodyIsFloodedWithCodes(t *testing.T) {
	now := func() time.Time { return noon }
	p := newPost(t, newReplica(t, providertest.SQLite(t), now), now)
	ada := p.person(t, "ada")
	addresses := []string{"ada@example.com", "ada@other.example", "ada@third.example"}
	for _, address := range addresses {
		verified(t, p.replica, ada, address, noon)
	}
	ask := func(purpose proof.Purpose, person storage.ID, address string, from byte) error {
		return p.Send(t.Context(), proof.Sending{
			Purpose: purpose, Interaction: storage.NewID(), Address: address, Person: person, From: netip.AddrFrom4([4]byte{203, from, 113, 1}),
		})
	}
	refused := func(what string, err error) {
		t.Helper()
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.KindTooMany || f.RetryAfter <= 0 {
			t.Errorf("%s: %v, want a fault of kind TooMany", what, err)
		}
	}
	for _, victim := range []string{"ada@example.com", "nobody@example.com"} { // alike
		for i := range 10 {
			if err := ask(proof.ToRecover, "", victim, byte(i)); err != nil {
				t.Fatalf("%s, %d: %v", victim, i, err)
			}
		}
		refused("the eleventh to "+victim, ask(proof.ToRecover, "", strings.ToUpper(victim), 99))
	}
	for i := range 20 { // to the others of hers
		if err := ask(proof.ToRecover, "", addresses[1+i%2], byte(i)); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.letters(t); len(got) != 10 {
		t.Errorf("ada got %d codes at three addresses, want 10", len(got))
	}
	eve := p.person(t, "eve")
	for i := range 10 {
		if err := ask(proof.ToVerify, eve.ID, fmt.Sprintf("victim%d@example.com", i), byte(i)); err != nil {
			t.Fatal(err)
		}
	}
	refused("the eleventh by eve", ask(proof.ToVerify, eve.ID, "next@example.com", 98))
	for i := range 40 {
		if err := ask(proof.ToRecover, "", fmt.Sprintf("v%d@example.com", i), 200); err != nil {
			t.Fatal(err)
		}
	}
	refused("the 41st from one block", ask(proof.ToRecover, "", "last@example.com", 200))
}

// TestAttack94APasswordUsesUpNoCodesOfItsOwner: attack case 94. Whoever has somebody's password asks for
// their codes as they do, in browsers that they never used, and in ones that are known by that password
// alone: in a browser of theirs the owner gets a code for all that.
func TestAttack94APasswordUsesUpNoCodesOfItsOwner(t *testing.T) {
	now := func() time.Time { return noon }
	for _, purpose := range []proof.Purpose{proof.ToVerify, proof.ToProve} {
		p := newPost(t, newReplica(t, providertest.SQLite(t), now), now)
		ada := p.person(t, "ada")
		verified(t, p.replica, ada, "ada@example.com", noon)
		sent := 0
		send := func(browser storage.ID) error {
			sent++
			return p.Send(t.Context(), proof.Sending{
				Purpose: purpose, Interaction: storage.NewID(), Address: "ada@example.com", Person: ada.ID, Owner: ada.ID, Browser: browser,
				From: netip.AddrFrom4([4]byte{203, byte(sent), 113, 1}),
			})
		}
		for _, thief := range []storage.ID{"", storage.NewID()} {
			for range 10 {
				if err := send(thief); err != nil {
					t.Fatal(err)
				}
			}
			var f *fault.Error
			if err := send(thief); !errors.As(err, &f) || f.Kind != fault.KindTooMany {
				t.Errorf("%s: one more: %v, want a fault of kind TooMany", purpose, err)
			}
		}
		p.letters(t)
		if err := send(storage.NewID()); err != nil {
			t.Errorf("%s: the owner: %v", purpose, err)
		}
		if got := p.letters(t); len(got) != 1 {
			t.Errorf("%s: %d letters to the owner, want one", purpose, len(got))
		}
	}
}

// TestAttack94APasswordFillsNoMailbox: attack case 94. Whoever has somebody's password has as many browsers
// that are known by it as they like, and so many codes sent in all of them and no more; the owner gets
// theirs, in a browser that was known for long or by more than that.
func TestAttack94APasswordFillsNoMailbox(t *testing.T) {
	now := func() time.Time { return noon }
	p := newPost(t, newReplica(t, providertest.SQLite(t), now), now)
	ada := p.person(t, "ada")
	verified(t, p.replica, ada, "ada@example.com", noon)
	asked := 0
	send := func(purpose proof.Purpose, fresh bool) error {
		asked++
		in := proof.Sending{
			Purpose: purpose, Interaction: storage.NewID(), Address: "ada@example.com", Person: ada.ID, Owner: ada.ID, Browser: storage.NewID(), Fresh: fresh,
			From: netip.AddrFrom4([4]byte{203, byte(asked), 113, 1}),
		}
		if purpose == proof.ToRecover {
			in.Person = ""
		}
		return p.Send(t.Context(), in)
	}
	sent := 0
	for i := range 60 {
		err := send([]proof.Purpose{proof.ToVerify, proof.ToProve, proof.ToRecover}[i%3], true)
		var f *fault.Error
		switch {
		case err == nil:
			sent++
		case !errors.As(err, &f) || f.Kind != fault.KindTooMany:
			t.Fatal(err)
		}
	}
	if sent != throttle.SentFresh.Burst {
		t.Errorf("%d were sent, want %d", sent, throttle.SentFresh.Burst)
	}
	if err := send(proof.ToProve, false); err != nil {
		t.Errorf("the owner: %v", err)
	}
}

// TestStrangersUseUpNoCodesOfAnybodyElses: however many they ask for, the owner of the
// address gets a code that verifies it, and one to recover by in a browser that is known to
// be theirs. What is refused costs the person nothing.
func TestStrangersUseUpNoCodesOfAnybodyElses(t *testing.T) {
	now := func() time.Time { return noon }
	p := newPost(t, newReplica(t, providertest.SQLite(t), now), now)
	ada := p.person(t, "ada")
	verified(t, p.replica, ada, "ada@example.com", noon)
	stranger := proof.Sending{Purpose: proof.ToRecover, Address: "ada@example.com"}
	send := func(in proof.Sending) error {
		in.Interaction = storage.NewID()
		return p.Send(t.Context(), in)
	}
	tooMany := func(what string, err error) {
		t.Helper()
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.KindTooMany {
			t.Errorf("%s: %v, want a fault of kind TooMany", what, err)
		}
	}
	for i := range 10 {
		stranger.From = netip.AddrFrom4([4]byte{203, byte(i), 113, 1})
		if err := send(stranger); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.letters(t); len(got) != 10 {
		t.Fatalf("%d letters, want 10", len(got))
	}
	tooMany("one more by strangers", send(stranger))
	for what, in := range map[string]proof.Sending{
		"verify":                   {Purpose: proof.ToVerify, Address: "ada@example.com", Person: ada.ID},
		"recover in her browser":   {Purpose: proof.ToRecover, Address: "ada@example.com", Owner: ada.ID, Browser: storage.NewID()},
		"recover in her other one": {Purpose: proof.ToRecover, Address: "ada@example.com", Owner: ada.ID, Browser: storage.NewID()},
	} {
		if err := send(in); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got := p.letters(t); len(got) != 1 {
			t.Errorf("%s: %d letters, want one", what, len(got))
		}
	}
	eve := p.person(t, "eve")
	for i := range 10 { // with the one above, one too many for the address
		if err := send(proof.Sending{Purpose: proof.ToVerify, Address: "ada@example.com", Person: eve.ID}); err != nil && i < 9 {
			t.Fatal(err)
		}
	}
	bob := p.person(t, "bob")
	for range 20 {
		tooMany("to an address that had its codes", send(proof.Sending{Purpose: proof.ToVerify, Address: "ada@example.com", Person: bob.ID}))
	}
	if err := send(proof.Sending{Purpose: proof.ToVerify, Address: "bob@example.com", Person: bob.ID}); err != nil {
		t.Errorf("bob, whose codes were all refused: %v", err)
	}
}

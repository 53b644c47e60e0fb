package flow_test

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/policy/rules"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/grants"
	"github.com/doorstep-id/doorstep/provider/risk"
	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/storage"
)

// house is flow with all that it stands on, over SQLite, under a clock that
// stands still until a test moves it.
type house struct {
	serve func(texts, count bool) *flow.Service
	*flow.Service
	t     *testing.T
	store *storage.Store
	at    time.Time
	ada   *storage.Person
	bob   *storage.Person
	tick  func() // called at each look at the clock, if it is set
}

func newHouse(t *testing.T, set rules.Set) *house {
	t.Helper()
	store, err := storage.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if _, err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, store: store, at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time {
		if h.tick != nil {
			h.tick()
		}
		return h.at
	}
	ev := events.New(store, nil, clock)
	people := directory.New(store, ev, clock)
	cfg := flow.Config{Passkeys: true, Paths: flow.Paths{
		Password: "/signin/password", TOTP: "/signin/totp", SMS: "/signin/sms", Account: "/signin/account", Consent: "/signin/consent", Finish: "/oauth2/authorize", SignOut: "/signout",
		Offer: "/signin/offer-passkey",
		Home:  "/", Pages: map[flow.Page]string{flow.PageApps: "/account/apps", flow.PageSecurity: "/account/security", flow.PageRecovery: "/account/security/recovery-codes", flow.PageRecover: "/"},
		Add: map[flow.Step]string{flow.StepRecoveryCodes: "/signin/recovery-codes", flow.StepRecover: "/signin/recover", flow.StepReset: "/signin/reset"},
	}}
	h.serve = func(texts, count bool) *flow.Service {
		cfg.Texts, cfg.TextsCount = texts, count
		return flow.New(cfg, store, clients.New(clients.Config{Issuer: "https://id.example"}, store, ev, clock),
			session.New(session.Config{}, store, ev, clock), grants.New(store, ev, [32]byte{}, clock), risk.New(risk.Config{Rules: set}, store, clock), throttle.New(store, [32]byte{}, clock), ev, clock)
	}
	h.Service = h.serve(false, false)
	for email, to := range map[string]**storage.Person{"ada@example.com": &h.ada, "bob@example.com": &h.bob} {
		if *to, err = people.Create(t.Context(), directory.NewPerson{Email: email, Verified: true}, events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		h.must(store.CreatePassword(t.Context(), &storage.Password{PersonID: (*to).ID, Hash: "of no matter", ChangedAt: storage.At(h.at)}))
	}
	for _, id := range []string{"web", "shop"} {
		h.must(store.CreateClient(t.Context(), &storage.Client{
			ID: id, Name: id, RegisteredBy: storage.RegisteredByOperator, CreatedAt: storage.At(h.at), UpdatedAt: storage.At(h.at),
			Metadata: storage.Document(storage.ClientMetadata{TokenEndpointAuthMethod: "client_secret_basic", FirstParty: id == "shop"}),
		}))
	}
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func firefox() flow.Browser {
	return flow.Browser{
		Secret: "browser one", Address: netip.MustParseAddr("192.0.2.17"), UserAgent: "Mozilla/5.0 (X11) Firefox/140.0",
	}
}

func request(prompt ...string) flow.Request {
	return flow.Request{ClientID: "web", RedirectURI: "https://app.example/cb", Scopes: []string{"openid"}, Prompt: prompt}
}

// begin begins as the authorization endpoint does, in a unit that it flushes.
func (h *house) begin(r flow.Request, b flow.Browser) flow.Answer {
	h.t.Helper()
	ctx := storage.WithUnit(h.t.Context())
	a, err := h.Begin(ctx, r, b)
	h.must(err)
	h.must(h.store.Flush(ctx))
	return a
}

func (h *house) resume(a flow.Answer, b flow.Browser) flow.Answer {
	h.t.Helper()
	ctx := storage.WithUnit(h.t.Context())
	next, err := h.Resume(ctx, string(a.Interaction.ID), b)
	h.must(err)
	h.must(h.store.Flush(ctx))
	return next
}

// password is the evidence of a person's.
func (h *house) password(person *storage.Person) policy.Evidence {
	h.t.Helper()
	row, err := h.store.PasswordOf(h.t.Context(), person.ID)
	h.must(err)
	return policy.Evidence{Method: policy.Password, At: h.at, Since: row.ChangedAt.Time}
}

// signIn gives a password at the step and puts the answer into the cookies.
func (h *house) signIn(a flow.Answer, b *flow.Browser, person *storage.Person) flow.Answer {
	h.t.Helper()
	next, changed, err := h.SignedIn(h.t.Context(), a, *b, person, h.password(person))
	h.must(err)
	b.Sessions, b.Device = changed.Sessions, changed.Device
	return next
}

func (h *house) want(a flow.Answer, step flow.Step, pathBegins string) {
	h.t.Helper()
	if a.Step != step || !strings.HasPrefix(a.Path, pathBegins) {
		h.t.Fatalf("%s (%s) at %q, want %s at %q", a.Step, a.Rule, a.Path, step, pathBegins)
	}
}

// signedIn returns a browser with a session of Ada's, who agreed to the client.
func (h *house) signedIn() flow.Browser {
	h.t.Helper()
	b := firefox()
	a := h.signIn(h.begin(request(), b), &b, h.ada)
	h.want(a, flow.StepConsent, "/signin/consent?i=")
	a, err := h.Consent(h.t.Context(), a, a.SignIn.Session.ID, true)
	h.must(err)
	h.want(a, flow.StepDone, "/oauth2/authorize?i="+string(a.Interaction.ID))
	return b
}

// totp gives a person an authenticator app.
func (h *house) totp(person *storage.Person) storage.ID {
	h.t.Helper()
	app := &storage.TOTP{
		ID: storage.NewID(), PersonID: person.ID, Name: "phone", Seed: []byte("sealed"), CreatedAt: storage.At(h.at), ExpiresAt: storage.At(h.at.Add(time.Hour)),
	}
	h.must(h.store.BeginTOTP(h.t.Context(), app, 1))
	h.must(h.store.ConfirmTOTP(h.t.Context(), person.ID, app.ID, 1, storage.At(h.at), 5))
	return app.ID
}

func (h *house) eventKinds() (kinds []string) {
	h.t.Helper()
	es, err := h.store.Events(h.t.Context(), 100)
	h.must(err)
	for _, e := range es {
		if e.Kind != string(events.PersonCreated) {
			kinds = append(kinds, e.Kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

func (h *house) history(p *storage.Person) policy.History {
	h.t.Helper()
	row, err := h.store.HistoryOf(h.t.Context(), p.ID)
	if errors.Is(err, storage.ErrNotFound) {
		return policy.History{}
	}
	h.must(err)
	history, err := policy.DecodeHistory(row.Document.V)
	h.must(err)
	return history
}

// TestRemovedAuthenticatorProvesNothing: what its code proved in a living session goes
// with it, and the person stays signed in by their password.
func TestRemovedAuthenticatorProvesNothing(t *testing.T) {
	h := newHouse(t, rules.Allow())
	b := h.signedIn()
	app := h.totp(h.ada)
	a := h.begin(request("login"), b)
	_, changed, err := h.SignedIn(t.Context(), a, b, h.ada, policy.Evidence{Method: policy.OneTime, Credential: string(app), At: h.at})
	h.must(err)
	b.Sessions = changed.Sessions
	a = h.begin(request(), b)
	h.want(a, flow.StepDone, "")
	if a.Assurance.ACR != policy.AAL2 {
		t.Fatalf("by a password and a code: %+v", a.Assurance)
	}
	h.must(h.store.RemoveTOTP(t.Context(), h.ada.ID, app))
	a = h.begin(request(), b)
	h.want(a, flow.StepDone, "")
	if a.Assurance.ACR != policy.AAL1 || !slices.Equal(a.Assurance.AMR, []string{policy.Password}) {
		t.Errorf("the authenticator is gone: %+v", a.Assurance)
	}
}

// TestAttack62PhonesCountWhileTheOperatorSaysSo: attack case 62. And while their person has them.
func TestAttack62PhonesCountWhileTheOperatorSaysSo(t *testing.T) {
	h := newHouse(t, rules.Allow())
	h.Service = h.serve(true, true)
	b := h.signedIn()
	phone := &storage.Phone{ID: storage.NewID(), PersonID: h.ada.ID, Number: "+46701740605", VerifiedAt: storage.At(h.at)}
	h.must(h.store.VerifyPhone(t.Context(), phone, 5))
	a := h.begin(request("login"), b)
	_, changed, err := h.SignedIn(t.Context(), a, b, h.ada, policy.Evidence{Method: policy.SMS, Credential: string(phone.ID), At: h.at, Accepted: true})
	h.must(err)
	b.Sessions = changed.Sessions
	want := func(acr string) {
		t.Helper()
		a := h.begin(request(), b)
		if h.want(a, flow.StepDone, ""); a.Assurance.ACR != acr {
			t.Errorf("%+v, want %s", a.Assurance, acr)
		}
	}
	want(policy.AAL2)
	h.Service = h.serve(true, false)
	want(policy.AAL1)
	h.Service = h.serve(true, true)
	want(policy.AAL2)
	h.must(h.store.RemovePhone(t.Context(), h.ada.ID, phone.ID))
	want(policy.AAL1)
}

// TestAPhoneIsAskedForWhereItCounts at a sign-in, and is no way on where there is no gateway.
func TestAPhoneIsAskedForWhereItCounts(t *testing.T) {
	for name, tc := range map[string]struct {
		texts, count bool
		step         flow.Step
	}{"counts": {true, true, flow.StepSMS}, "no gateway": {false, true, flow.StepDone}, "counts for nothing": {true, false, flow.StepDone}} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, rules.Allow())
			h.Service = h.serve(tc.texts, tc.count)
			h.must(h.store.VerifyPhone(t.Context(), &storage.Phone{ID: storage.NewID(), PersonID: h.ada.ID, Number: "+46701740605", VerifiedAt: storage.At(h.at)}, 5))
			b := firefox()
			if a := h.signIn(h.begin(flow.Request{ClientID: "shop", RedirectURI: "https://app.example/cb", Scopes: []string{"openid"}}, b), &b, h.ada); a.Step != tc.step {
				t.Errorf("%s, want %s", a.Step, tc.step)
			}
		})
	}
}

// TestFirstSignIn goes the whole way, and everything that it changes is there:
// session, decision, history, device, consent, and an event for each change.
func TestFirstSignIn(t *testing.T) {
	h := newHouse(t, rules.Allow())
	b := firefox()
	a := h.begin(request(), b)
	h.want(a, flow.StepPassword, "/signin/password?i="+string(a.Interaction.ID))
	if a.Reauth || a.SignIn != nil {
		t.Errorf("somebody is known: %+v", a.SignIn)
	}
	a = h.signIn(a, &b, h.ada)
	h.want(a, flow.StepConsent, "/signin/consent?i=")
	if a.SignIn.Person.ID != h.ada.ID || a.Assurance.ACR != policy.AAL1 || !a.Assurance.AuthTime.Equal(h.at) {
		t.Errorf("signed in %s with %+v", a.SignIn.Person.ID, a.Assurance)
	}
	if len(b.Sessions) != 1 || b.Device == "" {
		t.Errorf("cookies %v, device %q", b.Sessions, b.Device)
	}
	if known, err := h.store.DeviceKnown(t.Context(), b.Device, h.ada.ID, storage.At(h.at)); err != nil || !known {
		t.Errorf("device known %v, %v", known, err)
	}
	if got := h.history(h.ada); got.SignIns != 1 {
		t.Errorf("history %+v", got)
	}
	row, err := h.store.DecisionByID(t.Context(), a.SignIn.Session.DecisionID)
	h.must(err)
	record, err := policy.DecodeDecision(row.Document.V)
	h.must(err)
	if f := record.Facts; row.Outcome != "allow" || !f.FirstTime || f.DeviceTier != policy.TierNone || f.Values[policy.Block].Value == 0 || f.Client != "web" {
		t.Errorf("decision %s on %+v", row.Outcome, f)
	}
	a, err = h.Consent(t.Context(), a, a.SignIn.Session.ID, true)
	h.must(err)
	h.want(a, flow.StepDone, "/oauth2/authorize?i=")
	if !a.SignIn.Consent.Scopes.Has("openid") || !a.SignIn.HasConsent() {
		t.Errorf("consent %+v", a.SignIn.Consent)
	}
	if got := h.eventKinds(); !slices.Equal(got, []string{"consent.given", "signin.succeeded"}) {
		t.Errorf("events %v", got)
	}
}

// TestSilentReturnPointsToTheLastDecision and writes nothing at all: no
// interaction, no decision.
func TestSilentReturnPointsToTheLastDecision(t *testing.T) {
	h := newHouse(t, rules.Allow())
	b := h.signedIn()
	before, err := h.Current(t.Context(), b)
	h.must(err)

	readOnly, err := h.Begin(t.Context(), request(), b) // without a unit a write would happen at once
	h.must(err)
	h.want(readOnly, flow.StepDone, "")
	if readOnly.Interaction != nil || readOnly.Path != "" {
		t.Errorf("an interaction was begun: %+v", readOnly.Interaction)
	}
	after, err := h.Current(t.Context(), b)
	h.must(err)
	if string(after.Session.Evidence.V) != string(before.Session.Evidence.V) || after.Session.SeenAt != before.Session.SeenAt {
		t.Error("the session was written")
	}
	if got := readOnly.Decision.ID; got == "" || got != string(before.Session.DecisionID) {
		t.Errorf("decision %q, want the session's %q", got, before.Session.DecisionID)
	}
	if readOnly.Decision.Outcome != policy.Allow {
		t.Errorf("decision %+v", readOnly.Decision)
	}
}

// TestOtherCircumstancesAreDecidedAnew: the decision joins the caller's unit and
// is the session's last one from then on; a cookie without its browser is not a
// known device; nothing is learned from it.
func TestOtherCircumstancesAreDecidedAnew(t *testing.T) {
	h := newHouse(t, rules.Allow())
	b := h.signedIn()
	first, err := h.Current(t.Context(), b)
	h.must(err)
	b.Device = "" // the thief has the session's cookie alone

	ctx := storage.WithUnit(t.Context())
	a, err := h.Begin(ctx, request(), b)
	h.must(err)
	h.want(a, flow.StepDone, "")
	if a.Decision.ID == "" || a.Decision.ID == string(first.Session.DecisionID) {
		t.Errorf("decision %q, and before %q", a.Decision.ID, first.Session.DecisionID)
	}
	if _, err := h.store.DecisionByID(t.Context(), storage.ID(a.Decision.ID)); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("written before the caller flushed: %v", err)
	}
	h.must(h.store.Flush(ctx))
	row, err := h.store.DecisionByID(t.Context(), storage.ID(a.Decision.ID))
	h.must(err)
	record, err := policy.DecodeDecision(row.Document.V)
	h.must(err)
	if record.Facts.DeviceTier != policy.TierNone || record.Facts.FirstTime {
		t.Errorf("facts %+v", record.Facts)
	}
	if again := h.begin(request(), b); again.Decision.ID != a.Decision.ID {
		t.Errorf("decided again without a change: %s, %s", again.Decision.ID, a.Decision.ID)
	}
	if got := h.history(h.ada); got.SignIns != 1 {
		t.Errorf("a silent return was learned: %+v", got)
	}
}

// TestNobodyNeedsNoDatabase: without a cookie a silent request reads nothing.
func TestNobodyNeedsNoDatabase(t *testing.T) {
	h := newHouse(t, rules.Allow())
	r := request("none")
	r.Silent = true
	h.begin(r, firefox()) // the client is in memory now
	h.must(h.store.Close())
	b := firefox()
	b.Sessions = []string{"garbage", ""}
	a, err := h.Begin(storage.WithUnit(t.Context()), r, b)
	if err != nil || a.Step != flow.StepRefuse || a.Refusal != flow.LoginRequired || a.Interaction != nil {
		t.Errorf("%s %s, %v", a.Step, a.Refusal, err)
	}
}

// TestInteractionIsBoundToItsBrowser: attack case 50.
func TestInteractionIsBoundToItsBrowser(t *testing.T) {
	h := newHouse(t, rules.Allow())
	a := h.begin(request(), firefox())
	id := string(a.Interaction.ID)
	resume := func(id, secret string) error {
		_, err := h.Resume(t.Context(), id, flow.Browser{Secret: secret})
		return err
	}
	h.must(resume(id, "browser one"))
	for name, err := range map[string]error{
		"another browser":   resume(id, "browser two"),
		"no browser":        resume(id, ""),
		"another id":        resume(string(storage.NewID()), "browser one"),
		"upper case":        resume(strings.ToUpper(id), "browser one"),
		"no id":             resume("1=1) OR (1=1", "browser one"),
		"a sign-out's page": resumeSignOut(t.Context(), h, id),
	} {
		if !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
	}
	h.at = h.at.Add(30 * time.Minute)
	if err := resume(id, "browser one"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("lapsed: %v, want ErrNotFound", err)
	}
	b := firefox()
	b.Secret = ""
	if _, err := h.Begin(t.Context(), request(), b); err == nil {
		t.Error("begun for nobody's browser")
	}
}

func resumeSignOut(ctx context.Context, h *house, id string) error {
	_, err := h.ResumeSignOut(ctx, id, firefox())
	return err
}

func TestSpentInteractionIsNotAnsweredAgain(t *testing.T) {
	h := newHouse(t, rules.Allow())
	b := firefox()
	a := h.signIn(h.begin(request(), b), &b, h.ada)
	stale := a
	h.must(h.store.SpendInteraction(t.Context(), a.Interaction.ID, storage.At(h.at)))
	if _, err := h.Resume(t.Context(), string(a.Interaction.ID), b); !errors.Is(err, storage.ErrSpent) {
		t.Errorf("resumed: %v, want ErrSpent", err)
	}
	if _, err := h.Consent(t.Context(), stale, stale.SignIn.Session.ID, true); !errors.Is(err, storage.ErrSpent) {
		t.Errorf("consent: %v, want ErrSpent", err)
	}
	if _, err := h.store.ConsentOf(t.Context(), h.ada.ID, "web"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("consent to a spent interaction was kept: %v", err)
	}
}

// TestSecretRotatesAtEveryProof: attack case 50. The session stays the same one.
func TestSecretRotatesAtEveryProof(t *testing.T) {
	h := newHouse(t, rules.Allow())
	b := h.signedIn()
	old := b
	first, err := h.Current(t.Context(), b)
	h.must(err)
	a := h.begin(request("login"), b)
	h.want(a, flow.StepPassword, "/signin/password")
	if !a.Reauth || a.SignIn.Person.ID != h.ada.ID {
		t.Error("the page does not know who proves again")
	}
	a = h.signIn(a, &b, h.ada)
	h.want(a, flow.StepDone, "/oauth2/authorize")
	if a.SignIn.Session.ID != first.Session.ID || len(b.Sessions) != 1 || b.Sessions[0] == old.Sessions[0] {
		t.Errorf("session %s and before %s, cookies %v and before %v", a.SignIn.Session.ID, first.Session.ID, b.Sessions, old.Sessions)
	}
	if signIn, err := h.Current(t.Context(), old); err != nil || signIn != nil {
		t.Errorf("the old secret still opens: %v, %v", signIn, err)
	}
	// Its evidence does not serve another request with prompt=login, at the same moment or not.
	h.want(h.begin(request("login"), b), flow.StepPassword, "/signin/password")

	// A second click with the old cookie: nobody is shut out, nothing is shared.
	again := h.signIn(a, &old, h.ada)
	if again.SignIn == nil || again.SignIn.Session.ID == first.Session.ID {
		t.Errorf("second click: %+v", again.SignIn)
	}
	if signIn, err := h.Current(t.Context(), b); err != nil || signIn == nil {
		t.Errorf("the first click's session: %v, %v", signIn, err)
	}
}

// TestAccountsInOneBrowser: the chooser shows both, in the cookie's order; who
// is chosen comes first; another account can still be added.
func TestAccountsInOneBrowser(t *testing.T) {
	h := newHouse(t, rules.Allow())
	b := h.signedIn()
	a := h.begin(request("select_account"), b)
	h.want(a, flow.StepAccount, "/signin/account")
	a, sessions, err := h.Choose(t.Context(), a, b, "")
	h.must(err)
	h.want(a, flow.StepPassword, "/signin/password")
	if a.SignIn != nil || a.Reauth || !slices.Equal(sessions, b.Sessions) {
		t.Errorf("another account: %+v, %v", a.SignIn, sessions)
	}
	a = h.signIn(a, &b, h.bob)
	h.want(a, flow.StepConsent, "/signin/consent")
	if a.SignIn.Person.ID != h.bob.ID || len(b.Sessions) != 2 {
		t.Errorf("signed in %s, %d sessions", a.SignIn.Person.ID, len(b.Sessions))
	}

	a = h.begin(request("select_account"), b)
	if len(a.Accounts) != 2 || a.Accounts[0].Identifier != "bob@example.com" || a.Accounts[1].Identifier != "ada@example.com" {
		t.Fatalf("accounts %+v", a.Accounts)
	}
	adas := a.Accounts[1].Session.ID
	was := b
	a, b.Sessions, err = h.Choose(t.Context(), a, b, adas)
	h.must(err)
	h.want(a, flow.StepDone, "/oauth2/authorize") // Ada agreed before
	if a.SignIn.Session.ID != adas || !slices.Equal(b.Sessions, []string{was.Sessions[1], was.Sessions[0]}) {
		t.Errorf("chose %s, cookies %v", a.SignIn.Session.ID, b.Sessions)
	}
	// Another tab made Bob current again: this request goes on with Ada.
	if next := h.resume(a, was); next.SignIn == nil || next.SignIn.Session.ID != adas || next.Step != flow.StepDone {
		t.Errorf("after another tab: %s, %+v", next.Step, next.SignIn)
	}
	if _, _, err := h.Choose(t.Context(), a, b, storage.NewID()); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("somebody else's session: %v, want ErrNotFound", err)
	}
}

// TestConsentIsThePersonsWhoGaveIt: who signs in after it is asked for theirs,
// and no later step can be had before its turn.
func TestConsentIsThePersonsWhoGaveIt(t *testing.T) {
	h := newHouse(t, rules.Allow())
	b := firefox()
	a := h.begin(request(), b)
	skipped, err := h.Consent(t.Context(), a, "", true)
	h.must(err)
	h.want(skipped, flow.StepPassword, "/signin/password")
	a = h.signIn(h.resume(a, b), &b, h.ada)
	if a, err = h.Consent(t.Context(), a, a.SignIn.Session.ID, true); err != nil || a.Step != flow.StepDone {
		t.Fatalf("%s, %v", a.Step, err)
	}
	adas := a.SignIn.Session.ID
	a = h.signIn(a, &b, h.bob)
	h.want(a, flow.StepConsent, "/signin/consent")
	unmoved, err := h.Consent(t.Context(), a, adas, true) // the page that Ada was shown
	h.must(err)
	h.want(unmoved, flow.StepConsent, "/signin/consent")
	if _, err := h.store.ConsentOf(t.Context(), h.bob.ID, "web"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("Bob agreed to nothing: %v", err)
	}
	if a, err = h.Consent(t.Context(), a, a.SignIn.Session.ID, false); err != nil || a.Refusal != flow.AccessDenied {
		t.Errorf("%s %s, %v", a.Step, a.Refusal, err)
	}
	if got := h.eventKinds(); !slices.Equal(got, []string{"consent.given", "signin.succeeded", "signin.succeeded"}) {
		t.Errorf("events %v", got)
	}
}

// TestNarrowerConsentTakesNothingBack: what was agreed to adds up.
func TestNarrowerConsentTakesNothingBack(t *testing.T) {
	h := newHouse(t, rules.Allow())
	b := h.signedIn()
	wider := request()
	wider.Scopes, wider.Resources = []string{"profile"}, []string{"https://api.example"}
	a := h.begin(wider, b)
	h.want(a, flow.StepConsent, "/signin/consent")
	_, err := h.Consent(t.Context(), a, a.SignIn.Session.ID, true)
	h.must(err)
	h.want(h.begin(request(), b), flow.StepDone, "")
	h.want(h.begin(wider, b), flow.StepDone, "")
}

func TestBackToTheApp(t *testing.T) {
	h := newHouse(t, rules.Allow())
	a, err := h.Cancel(t.Context(), h.begin(request(), firefox()))
	h.must(err)
	h.want(a, flow.StepRefuse, "/oauth2/authorize?i=")
	if a.Refusal != flow.AccessDenied {
		t.Errorf("refusal %s", a.Refusal)
	}
}

// TestRulesDecideAboutEveryReturn: what they demand is not learned before it is
// reached, and a denial is kept with its facts.
func TestRulesDecideAboutEveryReturn(t *testing.T) {
	shop := func(c rules.Case) (bool, error) { return c.Facts.Client == "shop", nil }
	for outcome, want := range map[policy.Outcome]string{policy.Deny: flow.AccessDenied, policy.Require: flow.UnmetRequirements} {
		t.Run(string(outcome), func(t *testing.T) {
			h := newHouse(t, rules.Set{Name: "house", Version: "1", Default: policy.Allow, Rules: []rules.Rule{
				{Name: "the shop", When: shop, Then: rules.Demand{Outcome: outcome, ACR: policy.AAL2}},
			}})
			toShop := request()
			toShop.ClientID = "shop"
			b := firefox()
			a := h.signIn(h.begin(toShop, b), &b, h.ada)
			h.want(a, flow.StepRefuse, "/oauth2/authorize")
			if a.Refusal != want || a.Decision.Rule != "the shop" {
				t.Errorf("%s by %q, want %s", a.Refusal, a.Decision.Rule, want)
			}
			if row, err := h.store.DecisionByID(t.Context(), storage.ID(a.Decision.ID)); err != nil || row.Outcome != string(outcome) {
				t.Errorf("decision %+v, %v", row, err)
			}
			if known, err := h.store.DeviceKnown(t.Context(), b.Device, h.ada.ID, storage.At(h.at)); err != nil || known {
				t.Errorf("the device is known: %v, %v", known, err)
			}
			if got := h.history(h.ada); got.SignIns != 0 {
				t.Errorf("learned %+v", got)
			}
			h.want(h.begin(request(), b), flow.StepConsent, "/signin/consent") // the session itself is good elsewhere
			if again := h.begin(toShop, b); again.Refusal != want {
				t.Errorf("by a second try: %s", again.Refusal)
			}
		})
	}
}

// TestPagesOfOurOwn: a page asks like a client does, and whoever gets through, gives
// up or is refused ends at a path of ours.
func TestPagesOfOurOwn(t *testing.T) {
	apps := func(c rules.Case) (bool, error) { return c.Facts.Client == "", nil }
	for _, outcome := range []policy.Outcome{policy.Allow, policy.Deny} {
		h := newHouse(t, rules.Set{Name: "house", Version: "1", Default: policy.Allow, Rules: []rules.Rule{
			{Name: "our pages", When: apps, Then: rules.Demand{Outcome: outcome}},
		}})
		visit := func(b flow.Browser) flow.Answer {
			t.Helper()
			ctx := storage.WithUnit(t.Context())
			a, err := h.Visit(ctx, flow.PageApps, "", b)
			h.must(err)
			h.must(h.store.Flush(ctx))
			return a
		}
		step, refusal := flow.StepDone, ""
		if outcome == policy.Deny {
			step, refusal = flow.StepRefuse, flow.AccessDenied
		}
		b := firefox()
		begun := visit(b)
		h.want(begun, flow.StepPassword, "/signin/password?i=")
		if begun.Client != nil || begun.Interaction.Kind != "page" {
			t.Errorf("begun for %v, as %s", begun.Client, begun.Interaction.Kind)
		}
		gone, err := h.Cancel(t.Context(), visit(b))
		h.must(err)
		if gone.Step != flow.StepRefuse || gone.Path != "/" {
			t.Errorf("who gives up is at %s, goes to %s", gone.Step, gone.Path)
		}
		// Refused, they end at the page as well: it asks again, and says so.
		if a := h.signIn(begun, &b, h.ada); a.Step != step || a.Refusal != refusal || a.Path != "/account/apps" {
			t.Errorf("%s: who signed in is at %s %s, goes to %s", outcome, a.Step, a.Refusal, a.Path)
		}
		if a := visit(b); a.Step != step || a.Refusal != refusal || a.Interaction != nil || a.SignIn.Person.ID != h.ada.ID {
			t.Errorf("%s: who is signed in is at %s %s", outcome, a.Step, a.Refusal)
		}
	}
	if _, err := newHouse(t, rules.Allow()).Visit(t.Context(), "https://evil.example", "", firefox()); err == nil {
		t.Error("a page that is none of ours")
	}
}

// TestSignOutEndsOneSession with its event, and leaves the others.
func TestSignOutEndsOneSession(t *testing.T) {
	h := newHouse(t, rules.Allow())
	b := h.signedIn()
	other, _, err := h.Choose(t.Context(), h.begin(request("select_account"), b), b, "")
	h.must(err)
	h.signIn(other, &b, h.bob)

	path, err := h.BeginSignOut(t.Context(), flow.Request{ClientID: "web", RedirectURI: "https://app.example/bye"}, "", b)
	h.must(err)
	id, found := strings.CutPrefix(path, "/signout?i=")
	if !found {
		t.Fatalf("asked at %s", path)
	}
	if _, err := h.Resume(t.Context(), id, b); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("resumed as a sign-in: %v", err)
	}
	a, err := h.ResumeSignOut(t.Context(), id, b)
	h.must(err)
	if a.Client.ID != "web" || a.SignIn.Person.ID != h.bob.ID || a.Request.RedirectURI != "https://app.example/bye" {
		t.Errorf("%+v", a)
	}
	left, done, err := h.ConfirmSignOut(t.Context(), a, b, a.SignIn.Session.ID)
	h.must(err)
	if !done || !slices.Equal(left, b.Sessions[1:]) {
		t.Errorf("left %v of %v", left, b.Sessions)
	}
	if signIn, err := h.Current(t.Context(), flow.Browser{Sessions: left}); err != nil || signIn == nil || signIn.Person.ID != h.ada.ID {
		t.Errorf("left is %+v, %v", signIn, err)
	}
	if signIn, err := h.Current(t.Context(), b); err != nil || signIn != nil {
		t.Errorf("Bob is still signed in: %+v, %v", signIn, err)
	}
	if _, err := h.ResumeSignOut(t.Context(), id, b); !errors.Is(err, storage.ErrSpent) {
		t.Errorf("asked again: %v, want ErrSpent", err)
	}
	// Not this browser's, and ended before: nothing happens.
	for _, of := range []storage.ID{storage.NewID(), a.SignIn.Session.ID} {
		if again, err := h.SignOut(t.Context(), of, b); err != nil || !slices.Equal(again, left) {
			t.Errorf("again: %v, %v", again, err)
		}
	}
	n := 0
	for _, kind := range h.eventKinds() {
		if kind == string(events.SessionEnded) {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d events of an ended session", n)
	}
}

// TestDisabledPersonIsNobody from one moment to the next.
func TestDisabledPersonIsNobody(t *testing.T) {
	h := newHouse(t, rules.Allow())
	b := h.signedIn()
	h.must(h.store.Together(t.Context(), func(ctx context.Context) error {
		return h.store.DisablePerson(ctx, h.ada.ID, storage.At(h.at))
	}))
	h.want(h.begin(request(), b), flow.StepPassword, "/signin/password")
}

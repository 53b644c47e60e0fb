package session

import (
	"context"
	"encoding/base64"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

const day = 24 * time.Hour

// house has a clock that stands still until a test moves it.
type house struct {
	*Service
	store *storage.Store
	at    time.Time
	ada   storage.ID
}

func newHouse(t *testing.T) *house {
	t.Helper()
	store, err := storage.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if _, err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := &house{store: store, at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), ada: storage.NewID()}
	clock := func() time.Time { return h.at }
	h.Service = New(Config{}, store, events.New(store, nil, clock), clock)
	person := &storage.Person{ID: h.ada, Sub: "p_ada", Claims: storage.Document(storage.Raw("{}")), CreatedAt: storage.At(h.at), UpdatedAt: storage.At(h.at)}
	if err := store.CreatePerson(t.Context(), person); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) standing() policy.Standing {
	return policy.Standing{
		Evidence: []policy.Evidence{{Method: policy.Password, At: h.at}},
		Decision: policy.Decision{ID: string(storage.NewID()), Outcome: policy.Allow}, Circumstances: "c",
	}
}

func (h *house) start(t *testing.T) (*storage.Session, string) {
	t.Helper()
	se, secret, err := h.Start(t.Context(), h.ada, Agent{}, h.standing())
	if err != nil {
		t.Fatal(err)
	}
	return se, secret
}

// lives reports whether the store knows a living session behind secret.
func (h *house) lives(t *testing.T, secret string) bool {
	t.Helper()
	_, err := h.store.LoadSignIn(t.Context(), Hash(secret), "", storage.At(h.at))
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// TestSecretChangesWithEveryProof: attack case 50, ASVS 7.2.4. The old one is
// dead, and of two that renew at once one is told.
func TestSecretChangesWithEveryProof(t *testing.T) {
	h := newHouse(t)
	se, old := h.start(t)
	other := *se
	secret, err := h.Renew(t.Context(), se, h.standing())
	if err != nil {
		t.Fatal(err)
	}
	if secret == old || h.lives(t, old) || !h.lives(t, secret) {
		t.Errorf("renewed: same %v, old lives %v, new lives %v", secret == old, h.lives(t, old), h.lives(t, secret))
	}
	if _, err := h.Renew(t.Context(), &other, h.standing()); !errors.Is(err, storage.ErrStale) {
		t.Errorf("renewed from the old secret: %v, want ErrStale", err)
	}
	if err := h.Decide(t.Context(), &other, policy.Standing{}); err != nil {
		t.Fatal(err)
	}
	row, err := h.store.Session(t.Context(), se.ID)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := Standing(row, h.at); err != nil || len(st.Evidence) != 1 {
		t.Errorf("who holds the old secret wrote over the evidence: %+v, %v", st, err)
	}
}

func TestSecretIs256BitsAndTheStoreHasItsHash(t *testing.T) {
	h := newHouse(t)
	se, secret := h.start(t)
	raw, err := base64.RawURLEncoding.DecodeString(secret)
	if err != nil || len(raw) != 32 {
		t.Errorf("secret %q: %d bytes, %v", secret, len(raw), err)
	}
	if len(se.SecretHash) != 32 || strings.Contains(string(se.SecretHash), secret) {
		t.Errorf("kept as %x", se.SecretHash)
	}
}

// TestSessionEndsByAgeAndByIdleness: 90 days after the newest proof, 30 after
// the last use.
func TestSessionEndsByAgeAndByIdleness(t *testing.T) {
	h := newHouse(t)
	began := h.at
	se, secret := h.start(t)
	h.at = began.Add(30*day - time.Second)
	if !h.lives(t, secret) {
		t.Error("ended before 30 days without use")
	}
	h.at = began.Add(30 * day)
	if h.lives(t, secret) {
		t.Error("lives after 30 days without use")
	}

	h.at = began
	for h.at.Before(began.Add(90*day - 10*day)) {
		h.at = h.at.Add(10 * day)
		if err := h.Touch(t.Context(), se); err != nil {
			t.Fatal(err)
		}
		if !h.lives(t, secret) {
			t.Fatalf("ended on day %v although it was used", h.at.Sub(began)/day)
		}
	}
	h.at = began.Add(90*day - time.Second)
	if err := h.Touch(t.Context(), se); err != nil || !h.lives(t, secret) {
		t.Errorf("ended before 90 days: %v", err)
	}
	h.at = began.Add(90 * day)
	if h.lives(t, secret) {
		t.Error("use alone kept it beyond 90 days")
	}

	h.at = began.Add(90*day - time.Second)
	secret, err := h.Renew(t.Context(), se, h.standing())
	if err != nil {
		t.Fatal(err)
	}
	h.at = h.at.Add(29 * day)
	if !h.lives(t, secret) {
		t.Error("a new proof did not begin a new lifetime")
	}
}

// TestUseDoesNotBringBackWhatLapsed: after an hour without use aal2 is over, and the
// person signed in as before.
func TestUseDoesNotBringBackWhatLapsed(t *testing.T) {
	h := newHouse(t)
	st := h.standing()
	st.Evidence = append(st.Evidence, policy.Evidence{Method: policy.OneTime, Credential: "t", At: h.at})
	se, secret, err := h.Start(t.Context(), h.ada, Agent{}, st)
	if err != nil {
		t.Fatal(err)
	}
	acr := func() string {
		t.Helper()
		if !h.lives(t, secret) {
			t.Fatal("signed out")
		}
		if err := h.Touch(t.Context(), se); err != nil {
			t.Fatal(err)
		}
		row, err := h.store.Session(t.Context(), se.ID)
		if err != nil {
			t.Fatal(err)
		}
		st, err := Standing(row, h.at)
		if err != nil {
			t.Fatal(err)
		}
		return policy.Best(policy.Assess(st.Evidence, h.at), policy.ACRAsked{}).ACR
	}
	for range 5 {
		h.at = h.at.Add(time.Hour - time.Second)
		if got := acr(); got != policy.AAL2 {
			t.Fatalf("in use: %s", got)
		}
	}
	h.at = h.at.Add(time.Hour)
	for range 3 {
		if got := acr(); got != policy.AAL1 {
			t.Fatalf("after an hour without use: %s", got)
		}
		h.at = h.at.Add(time.Minute)
	}
	if st, err = Standing(se, h.at); err != nil {
		t.Fatal(err)
	}
	for _, ev := range []policy.Evidence{{Method: policy.Password, At: h.at}, {Method: policy.OneTime, Credential: "t", At: h.at}} {
		st.Evidence = policy.AddEvidence(st.Evidence, ev)
	}
	if secret, err = h.Renew(t.Context(), se, st); err != nil {
		t.Fatal(err)
	}
	if got := acr(); got != policy.AAL2 {
		t.Errorf("proven anew: %s", got)
	}
}

// TestSessionIsTouchedOnceAMinute.
func TestSessionIsTouchedOnceAMinute(t *testing.T) {
	h := newHouse(t)
	se, _ := h.start(t)
	seen := func(after time.Duration) time.Time {
		t.Helper()
		h.at = h.at.Add(after)
		if err := h.Touch(t.Context(), se); err != nil {
			t.Fatal(err)
		}
		row, err := h.store.Session(t.Context(), se.ID)
		if err != nil {
			t.Fatal(err)
		}
		return row.SeenAt.Time
	}
	began := h.at
	if got := seen(59 * time.Second); !got.Equal(began) {
		t.Errorf("touched after 59 s: %v", got)
	}
	if got := seen(time.Second); !got.Equal(began.Add(time.Minute)) {
		t.Errorf("after a minute: %v", got)
	}
	if got := seen(time.Second); !got.Equal(began.Add(time.Minute)) {
		t.Errorf("touched again after a second: %v", got)
	}
}

func TestStandingComesBackWithItsDecision(t *testing.T) {
	h := newHouse(t)
	st := h.standing()
	se, _, err := h.Start(t.Context(), h.ada, Agent{}, st)
	if err != nil {
		t.Fatal(err)
	}
	row, err := h.store.Session(t.Context(), se.ID)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Standing(row, h.at)
	if err != nil || got.Decision.ID != st.Decision.ID || got.Circumstances != "c" || len(got.Evidence) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestEndedSessionHasItsEvent, once, and takes the grants with it that live by it.
func TestEndedSessionHasItsEvent(t *testing.T) {
	h := newHouse(t)
	se, secret := h.start(t)
	grants := map[bool]storage.ID{}
	for _, offline := range []bool{true, false} {
		g := &storage.Grant{
			ID: storage.NewID(), ClientID: "web", PersonID: h.ada, SessionID: se.ID, Offline: offline,
			ExpiresAt: storage.At(h.at.Add(day)), CreatedAt: storage.At(h.at), CodeHash: []byte{byte(len(grants))},
		}
		if err := h.store.CreateGrant(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		grants[offline] = g.ID
	}
	if err := h.End(t.Context(), se, "signed out", events.ActorPerson); err != nil {
		t.Fatal(err)
	}
	if h.lives(t, secret) {
		t.Error("it lives")
	}
	for offline, id := range grants {
		if g, err := h.store.GrantByID(t.Context(), id); err != nil || g.Alive(h.at) != offline {
			t.Errorf("grant, offline %v: alive %v, %v", offline, g.Alive(h.at), err)
		}
	}
	if err := h.End(t.Context(), se, "signed out", events.ActorPerson); !errors.Is(err, storage.ErrStale) {
		t.Errorf("again: %v, want ErrStale", err)
	}
	es, err := h.store.Events(t.Context(), 10)
	if err != nil || len(es) != 1 || es[0].Kind != string(events.SessionEnded) || es[0].PersonID != h.ada {
		t.Errorf("events %+v, %v", es, err)
	}
}

// TestGarbageInTheCookieIsIgnored: at most five, each in its one form.
func TestGarbageInTheCookieIsIgnored(t *testing.T) {
	var good []string
	for range 7 {
		good = append(good, newSecret())
	}
	last := good[0][:42] + string(rune(good[0][42]+1)) // other spare bits: the same bytes to a lenient reader
	for name, tc := range map[string]struct{ in, want []string }{
		"nothing":      {nil, nil},
		"garbage":      {[]string{"", "x", "../../etc", good[0] + "=", good[0] + "A", good[0][:42], last, strings.Repeat("A", 1<<16), good[0] + "\n"}, nil},
		"among others": {[]string{"x", good[1], "", good[0]}, []string{good[1], good[0]}},
		"twice":        {[]string{good[0], good[1], good[0]}, good[:2]},
		"too many":     {good, good[:5]},
	} {
		if got := Secrets(tc.in); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
	if got, want := First(good[4], good), []string{good[4], good[0], good[1], good[2], good[3]}; !slices.Equal(got, want) {
		t.Errorf("first: %v, want %v", got, want)
	}
	if got, want := First(good[1], good[:3]), []string{good[1], good[0], good[2]}; !slices.Equal(got, want) {
		t.Errorf("chosen: %v, want %v", got, want)
	}
}

func FuzzSecrets(f *testing.F) {
	f.Add(newSecret() + "." + newSecret())
	f.Add("..=.\x00")
	f.Fuzz(func(t *testing.T, cookie string) {
		got := Secrets(strings.Split(cookie, "."))
		if len(got) > MaxPerBrowser {
			t.Errorf("%d secrets", len(got))
		}
		for _, s := range got {
			if raw, err := base64.RawURLEncoding.DecodeString(s); err != nil || base64.RawURLEncoding.EncodeToString(raw) != s || len(raw) != secretBytes {
				t.Errorf("%q is no secret", s)
			}
		}
	})
}

// TestChangesWaitForTheUnit: nothing is there before the flush, all is after it.
func TestChangesWaitForTheUnit(t *testing.T) {
	h := newHouse(t)
	unit := storage.WithUnit(context.Background())
	_, secret, err := h.Start(unit, h.ada, Agent{}, h.standing())
	if err != nil {
		t.Fatal(err)
	}
	if h.lives(t, secret) {
		t.Error("lives before the flush")
	}
	if err := h.store.Flush(unit); err != nil || !h.lives(t, secret) {
		t.Errorf("after the flush: %v", err)
	}
}

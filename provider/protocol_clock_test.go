package provider_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// flowOfAYear is what a client and a person get of a whole flow, but for what is
// random or a time.
type flowOfAYear struct {
	Access, ID, Refreshed, Service, Person, State map[string]any
	Lifetime                                      int64
}

// timeless takes out of claims what differs each time, and holds their times
// against the clock.
func timeless(t *testing.T, claims map[string]any, now time.Time) map[string]any {
	t.Helper()
	wantTime := func(name string, want int64) {
		t.Helper()
		if got, ok := claims[name].(float64); ok && int64(got) != want {
			t.Errorf("%s is %s, want %s", name, time.Unix(int64(got), 0).UTC(), time.Unix(want, 0).UTC())
		}
	}
	wantTime("iat", now.Unix())
	wantTime("nbf", now.Unix())
	wantTime("auth_time", now.Unix())
	wantTime("exp", now.Add(10*time.Minute).Unix())
	out := map[string]any{}
	for name, value := range claims {
		if !slices.Contains([]string{"iat", "nbf", "auth_time", "exp", "jti", "gid", "sid", "nonce", "at_hash", "updated_at"}, name) {
			out[name] = value
		}
	}
	return out
}

// walkFlow signs a person in and does with the tokens what can be done with them.
func walkFlow(t *testing.T, p *providertest.P, rp *providertest.RP) (flowOfAYear, *providertest.Tokens) {
	t.Helper()
	now := p.Clock.Now()
	tokens := signedIn(p.Browser().SignIn("ada"), rp)
	out := flowOfAYear{
		Access:   timeless(t, p.Verify(tokens.Access).Claims, now),
		ID:       timeless(t, p.Verify(tokens.ID).Claims, now),
		Person:   p.Userinfo(tokens.Access).WantStatus(http.StatusOK).JSON(),
		State:    timeless(t, p.Introspect(tokens.Access).WantStatus(http.StatusOK).JSON(), now),
		Lifetime: tokens.ExpiresIn,
	}
	again := rp.Refresh(tokens.Refresh).OK()
	out.Refreshed = timeless(t, p.Verify(again.Access).Claims, now)
	out.Service = timeless(t, p.Verify(rp.ClientCredentials().OK().Access).Claims, now)

	ended := signedIn(p.Browser().SignIn("ada"), rp)
	p.Revoke(ended.Refresh).WantStatus(http.StatusOK)
	wantRevoked(t, p, rp, ended)
	return out, again
}

// A year passes, in which the keys rotate on schedule: what is short-lived has
// lapsed, and all else is as it was. The clock is far from the machine's, first
// behind and then ahead of it, so a token that went by time.Now (fosite's way)
// would tell.
func TestAYearChangesNothingButExpiries(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty, goodbye)
		before, old := walkFlow(t, p, rp)
		browser := p.Browser().SignIn("ada")
		code := browser.Authorize(rp, "openid")
		const month = 365 * 24 * time.Hour / 12
		var rotated []keys.Key
		for range 12 {
			p.Clock.Advance(month)
			fresh, err := p.RotateDueKeys(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			rotated = append(rotated, fresh...)
		}
		p.Clock.Advance(26 * time.Hour) // the newest key signs, the last one is published no more
		if len(rotated) != 4 {
			t.Errorf("%d rotations in a year of 90 days each", len(rotated))
		}
		after, _ := walkFlow(t, p, rp)
		if !reflect.DeepEqual(before, after) {
			t.Errorf("before %+v\nafter  %+v", before, after)
		}

		p.Userinfo(old.Access).WantStatus(http.StatusUnauthorized).WantError("invalid_token")
		rp.Refresh(old.Refresh).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
		rp.Exchange(code).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
		if isSignedIn(t, browser, rp) {
			t.Error("a session of a year ago lives on")
		}
		wantHint(t, p, old.ID, http.StatusSeeOther) // its key is known as a hint for 400 days
		published := kids(t, p)
		for i, k := range rotated {
			if newest := i == len(rotated)-1; slices.Contains(published, k.KID) != newest {
				t.Errorf("published %v, want of those that were rotated in %v the newest alone", published, rotated)
			}
		}
		if slices.Contains(published, kidOf(t, old.Access)) {
			t.Error("the key of a year ago is published")
		}
	}, providertest.Configure(func(c *provider.Config) {
		c.Keys.Algorithms, c.Keys.RotateEvery = []string{keys.ES256}, 90*24*time.Hour
	}))
}

// Five replicas whose clocks differ by almost two seconds serve one flow, each
// request on the next one: by the database's clock they agree.
func TestReplicasWhoseClocksDifferServeOneFlow(t *testing.T) {
	p := providertest.ReplicasOff(t, -950*time.Millisecond, 950*time.Millisecond, 0, -500*time.Millisecond, 500*time.Millisecond)
	for range 5 {
		p.Get("/readyz").WantStatus(http.StatusOK)
	}
	rp := p.Client("web", providertest.FirstParty, goodbye)
	browser := p.Browser().SignIn("ada")
	for range 6 { // it takes a turn more or less, so that each step comes to each replica
		tokens := signedIn(browser, rp)
		p.Get("/readyz").WantStatus(http.StatusOK)
		for range 6 {
			p.Userinfo(tokens.Access).WantStatus(http.StatusOK)
			if state := p.Introspect(tokens.Access).WantStatus(http.StatusOK).JSON(); state["active"] != true {
				t.Errorf("introspection says %v", state)
			}
			if got := p.Verify(tokens.Access).Claims; time.Unix(int64(got["iat"].(float64)), 0).After(time.Now().Add(250 * time.Millisecond)) {
				t.Errorf("issued at %v, which is yet to come", got["iat"])
			}
			tokens = rp.Refresh(tokens.Refresh).OK()
		}
		if !isSignedIn(t, browser, rp) {
			t.Error("a replica does not know the session")
		}
		tokens = wantOneSuccessor(t, p, rp, tokens.Refresh)
		p.Revoke(tokens.Refresh).WantStatus(http.StatusOK)
		for range 5 {
			wantRevoked(t, p, rp, tokens)
		}
	}
	wantCodeOnce(t, rp, browser.Authorize(rp, "openid"), 5)
}

// wantCodeOnce swaps a code and then tries it again on each of n replicas.
func wantCodeOnce(t *testing.T, rp *providertest.RP, code string, n int) *providertest.Tokens {
	t.Helper()
	tokens := rp.Exchange(code).OK()
	for range n {
		rp.Exchange(code).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
	}
	return tokens
}

// Replicas whose clocks are minutes and days off get no requests from a proxy that
// asks for readiness. What comes to them all the same they answer by the database's
// clock: nothing is taken early or twice, nothing lapses and nothing lasts longer.
func TestReplicasWhoseClocksAreFarOffGoByTheDatabases(t *testing.T) {
	off := []time.Duration{0, 5 * time.Minute, -5 * time.Minute, 24 * time.Hour, -24 * time.Hour}
	p := providertest.ReplicasOff(t, off...)
	rp := p.Client("web", providertest.FirstParty, goodbye)
	browser := p.Browser().SignIn("ada")
	for range 6 { // it takes a turn more or less, so that each step comes to each replica
		tokens := signedIn(browser, rp)
		p.Get("/readyz")
		for range 6 {
			p.Userinfo(tokens.Access).WantStatus(http.StatusOK)
			issued, expires := claimTime(t, p, tokens.Access, "iat"), claimTime(t, p, tokens.Access, "exp")
			if age := time.Since(issued); age < -2*time.Second || age > time.Minute || expires.Sub(issued) != 10*time.Minute {
				t.Errorf("issued %s ago, for %s", age, expires.Sub(issued))
			}
			tokens = rp.Refresh(tokens.Refresh).OK()
		}
		if !isSignedIn(t, browser, rp) {
			t.Error("a replica does not know the session")
		}
		tokens = wantOneSuccessor(t, p, rp, tokens.Refresh)
		p.Revoke(tokens.Refresh).WantStatus(http.StatusOK)
		for range off {
			wantRevoked(t, p, rp, tokens)
		}
		wantCodeOnce(t, rp, browser.Authorize(rp, "openid"), len(off))
	}
}

func claimTime(t *testing.T, p *providertest.P, token, name string) time.Time {
	t.Helper()
	seconds, ok := p.Verify(token).Claims[name].(float64)
	if !ok {
		t.Fatalf("no %s", name)
	}
	return time.Unix(int64(seconds), 0)
}

// warned counts what the log warns of: a job's name.
type warned struct {
	slog.Handler
	job  string
	told chan string
}

func (h warned) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		if a.Key == "job" {
			h.job = a.Value.String()
		}
	}
	return h
}

func (h warned) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		select {
		case h.told <- h.job:
		default: // nobody listens any more
		}
	}
	return nil
}

// While the machine's clock and the database's are apart nothing is swept, since by
// one of the two everything may have lapsed: here the database is a day ahead, and a
// spent id would be taken again. Once they agree, what has lapsed goes.
func TestNothingIsSweptByAClockThatMayBeWrong(t *testing.T) {
	var machine, database atomic.Int64
	at := func(ahead *atomic.Int64) func() time.Time {
		return func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	}
	store, err := storage.Open(t.Context(), providertest.Database(t), storage.WithClock(at(&database)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	log := warned{slog.NewTextHandler(io.Discard, nil), "", make(chan string)}
	p, err := provider.New(t.Context(), provider.Config{
		Issuer: &url.URL{Scheme: "http", Host: "localhost:8080"}, Keys: keys.Config{KEK: bytes.Repeat([]byte{7}, 32), Algorithms: []string{keys.ES256}},
		Server: provider.ServerConfig{Sweep: 20 * time.Millisecond},
	}, store, slog.New(log), at(&machine))
	if err != nil {
		t.Fatal(err)
	}
	id := storage.SpentID{Hash: []byte("a jti"), ExpiresAt: storage.At(time.Now().Add(time.Hour))}
	if err := store.SpendID(t.Context(), &id); err != nil {
		t.Fatal(err)
	}
	database.Store(int64(24 * time.Hour))
	ctx, stop := context.WithCancel(t.Context())
	var background sync.WaitGroup
	background.Go(func() { p.Background(ctx) })
	for heard := map[string]int{}; heard["sweep"] < 3 || heard["trim events"] < 3; {
		heard[<-log.told]++
	}
	if err := store.SpendID(t.Context(), &id); !errors.Is(err, storage.ErrSpent) {
		t.Errorf("an id that is spent for an hour yet: %v, want %v", err, storage.ErrSpent)
	}
	machine.Store(int64(24 * time.Hour))
	for store.SpendID(t.Context(), &id) != nil {
		time.Sleep(5 * time.Millisecond)
	}
	stop()
	background.Wait()
	p.Close()
}

// Nor is a client given up by such a clock that could not be told of a session's end: it
// is told once machine and database agree.
func TestNobodyIsGivenUpByAClockThatMayBeWrong(t *testing.T) {
	t.Parallel()
	database := providertest.NewClock()
	p := providertest.Start(t, providertest.DatabaseAt(database.Now))
	server := p.LogoutServer()
	rp := p.Client("web", providertest.FirstParty, server.Told)
	browser := p.Browser().SignIn("ada")
	tokens := signedIn(browser, rp)
	server.Answer(providertest.Status(http.StatusServiceUnavailable))
	browser.Get(p.URL(web.PathEndSession) + "?" + url.Values{"id_token_hint": {tokens.ID}}.Encode())
	if n := len(server.Got()); n != 1 {
		t.Fatalf("told %d times", n)
	}
	database.Advance(25 * time.Hour) // by this clock the notice has lapsed
	if status, said := askOps(t, p.Ops, "/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("readiness %d %s", status, said)
	}
	if p.TellClients(); len(server.Got()) != 0 {
		t.Error("told by a clock that may be wrong")
	}
	database.Advance(-25 * time.Hour)
	if status, said := askOps(t, p.Ops, "/readyz"); status != http.StatusOK {
		t.Errorf("readiness %d %s", status, said)
	}
	server.Answer(nil)
	p.Clock.Advance(time.Minute)
	database.Advance(time.Minute)
	p.TellClients()
	toldOnce(t, p, server)
}

// A replica whose clock is further off is not ready, and says why.
func TestReplicaWhoseClockIsFarOffIsNotReady(t *testing.T) {
	p := providertest.ReplicasOff(t, 0, 3*time.Second, -3*time.Second)
	ready := 0
	for range 3 {
		switch a := p.Get("/readyz"); {
		case a.Status == http.StatusOK:
			ready++
		case a.Status != http.StatusServiceUnavailable || !strings.Contains(string(a.Body), `"clock":"this machine's clock is`):
			t.Errorf("not ready: %s", a)
		}
	}
	if ready != 1 {
		t.Errorf("%d of 3 replicas are ready, want the one whose clock is right", ready)
	}
}

package proof_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// house is the origin of the pages.
const house = "https://login.example"

// A replica has a store of its own on a database that others use.
type replica struct {
	*proof.TOTP
	recovery *proof.Recovery
	passkeys *proof.Passkey
	events   *events.Service
	store    *storage.Store
}

func newReplica(t *testing.T, url string, now func() time.Time, opts ...storage.Option) replica {
	t.Helper()
	store, err := storage.Open(t.Context(), url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	k, err := keys.New(t.Context(), keys.Config{KEK: []byte(strings.Repeat("k", 32)), Algorithms: []string{keys.ES256}}, store, now)
	if err != nil {
		t.Fatal(err)
	}
	ev := events.New(store, k, now)
	totp, err := proof.NewTOTP("House", store, k, ev, now)
	if err != nil {
		t.Fatal(err)
	}
	passkeys, err := proof.NewPasskey(proof.PasskeyConfig{RPID: "login.example", Name: "House", Origins: []string{house}}, store, ev, k.Derive("webauthn challenge"), now)
	if err != nil {
		t.Fatal(err)
	}
	return replica{totp, proof.NewRecovery(store, k.Derive("recovery-codes"), ev, now), passkeys, ev, store}
}

func (r replica) person(t *testing.T, sub string) *storage.Person {
	t.Helper()
	p := &storage.Person{ID: storage.NewID(), Sub: sub, Claims: storage.Document(storage.Raw("{}")), CreatedAt: storage.At(noon), UpdatedAt: storage.At(noon)}
	if err := r.store.CreatePerson(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return p
}

// enrol gives a person an authenticator, and returns its secret.
func (r replica) enrol(t *testing.T, person *storage.Person, at time.Time) string {
	t.Helper()
	e, err := r.Begin(t.Context(), person, "phone")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Confirm(t.Context(), person, e.ID, code(t, e.Secret, at), events.ActorPerson); err != nil {
		t.Fatal(err)
	}
	return e.Secret
}

// code is what an app shows that has this secret.
func code(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	code, err := hotp.GenerateCodeCustom(strings.ReplaceAll(secret, " ", ""), uint64(at.Unix()/30), hotp.ValidateOpts{Digits: otp.DigitsSix})
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// nothing is done when an authenticator is stopped.
func nothing(context.Context, string) error { return nil }

// TestOathtoolShowsTheSame: what a program of others makes of what we show is right here.
func TestOathtoolShowsTheSame(t *testing.T) {
	program := providertest.Oathtool(t)
	at := noon
	r := newReplica(t, providertest.SQLite(t), func() time.Time { return at })
	person := r.person(t, "ada")
	secret := r.enrol(t, person, at)
	for _, later := range []time.Duration{30 * time.Second, 59 * time.Second, time.Hour, 30 * 365 * 24 * time.Hour} {
		at = at.Add(later)
		out, err := exec.Command(program, "--totp", "--base32", "--now", at.Format("2006-01-02 15:04:05 UTC"), secret).Output()
		if err != nil {
			t.Fatal(err)
		}
		ev, err := r.Verify(t.Context(), person, string(out), nothing)
		want := policy.Evidence{Method: policy.OneTime, At: at, Credential: ev.Credential}
		if err != nil || ev != want || ev.Credential == "" {
			t.Errorf("at %v: %q: %+v, %v", at, out, ev, err)
		}
	}
}

// one reports how many of 60 tries on three replicas got in, where the others have to be wrong.
func one(t *testing.T, replicas []replica, try func(ctx context.Context, r replica) error) {
	t.Helper()
	var (
		won atomic.Int64
		all sync.WaitGroup
	)
	begin := make(chan struct{})
	for i := range 60 {
		all.Go(func() {
			<-begin
			switch err := try(t.Context(), replicas[i%len(replicas)]); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, proof.ErrWrong):
				t.Error(err)
			}
		})
	}
	close(begin)
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 60 got in, want 1", won.Load())
	}
}

// TestAttack61CodesWorkOnceOverReplicas: attack case 61, and the same of recovery codes.
func TestAttack61CodesWorkOnceOverReplicas(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		var at atomic.Int64
		at.Store(noon.Unix())
		now := func() time.Time { return time.Unix(at.Load(), 0).UTC() }
		var replicas []replica
		for range 3 {
			replicas = append(replicas, newReplica(t, url, now))
		}
		person := replicas[0].person(t, "ada")
		secret := replicas[0].enrol(t, person, now())
		codes, err := replicas[1].recovery.Generate(t.Context(), person.ID, rand.Text(), events.ActorPerson)
		if err != nil {
			t.Fatal(err)
		}
		for _, later := range []int64{30, 3600, 1e9} {
			at.Add(later)
			shown := code(t, secret, now())
			one(t, replicas, func(ctx context.Context, r replica) error {
				_, err := r.Verify(ctx, person, shown, nothing)
				return err
			})
		}
		one(t, replicas, func(ctx context.Context, r replica) error {
			_, err := r.recovery.Verify(ctx, person, codes[3])
			return err
		})
		if n, err := replicas[2].recovery.Remaining(t.Context(), person.ID); err != nil || n != 9 {
			t.Errorf("%d left, %v", n, err)
		}
	})
}

// TestAttack61TriesAreCountedOverReplicas: attack case 61, NIST SP 800-63B-4 section 3.2.2. A
// hundred codes are looked at, whatever comes at the same moment: 99 wrong ones leave the right one
// right, a hundred do not. Each authenticator is stopped once, and its owner told once.
func TestAttack61TriesAreCountedOverReplicas(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		var at atomic.Int64
		at.Store(noon.Unix())
		now := func() time.Time { return time.Unix(at.Load(), 0).UTC() }
		var replicas []replica
		for range 3 {
			replicas = append(replicas, newReplica(t, url, now))
		}
		r := replicas[0]
		ada := r.person(t, "ada")
		secrets := []string{r.enrol(t, ada, now()), r.enrol(t, ada, now())}
		var told atomic.Int64
		try := func(r replica, typed string) error {
			_, err := r.Verify(t.Context(), ada, typed, func(context.Context, string) error { told.Add(1); return nil })
			return err
		}
		right := func() string { at.Add(60); return code(t, secrets[1], now()) }
		wrong := func(n int) {
			t.Helper()
			var all sync.WaitGroup
			for i := range n {
				all.Go(func() {
					if err := try(replicas[i%len(replicas)], "none"); !errors.Is(err, proof.ErrWrong) {
						t.Errorf("a wrong code: %v", err)
					}
				})
			}
			all.Wait()
		}
		wrong(50)
		wrong(49)
		if err := try(r, right()); err != nil {
			t.Errorf("the right code after 99 wrong ones: %v", err)
		}
		wrong(50)
		wrong(50)
		for _, secret := range secrets {
			at.Add(60)
			if err := try(r, code(t, secret, now())); !errors.Is(err, proof.ErrWrong) {
				t.Errorf("the right code after a hundred wrong ones: %v", err)
			}
		}
		wrong(50)
		if told.Load() != 2 {
			t.Errorf("it was told %d times that one of two was stopped", told.Load())
		}
		kinds := map[string]int{}
		recorded, err := r.store.Events(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range recorded {
			kinds[e.Kind]++
		}
		if kinds[string(events.FactorStopped)] != 2 {
			t.Errorf("events %v", kinds)
		}
		secrets = append(secrets, r.enrol(t, ada, now())) // in their place
		at.Add(60)
		if err := try(r, code(t, secrets[2], now())); err != nil {
			t.Errorf("another authenticator: %v", err)
		}
	})
}

// TestAStopThatCannotBeToldOfHolds: no further code is looked at, and the next try tells.
func TestAStopThatCannotBeToldOfHolds(t *testing.T) {
	at := noon
	r := newReplica(t, providertest.SQLite(t), func() time.Time { return at })
	ada := r.person(t, "ada")
	secret := r.enrol(t, ada, at)
	for range proof.MaxWrong - 1 {
		_, _ = r.Verify(t.Context(), ada, "none", nothing)
	}
	full := errors.New("the mailbox is full")
	fails := func(context.Context, string) error { return full }
	at = at.Add(time.Hour)
	for _, typed := range []string{"none", code(t, secret, at)} {
		if _, err := r.Verify(t.Context(), ada, typed, fails); !errors.Is(err, full) {
			t.Errorf("%q: %v, want what failed", typed, err)
		}
	}
	told := 0
	for range 3 {
		if _, err := r.Verify(t.Context(), ada, code(t, secret, at), func(context.Context, string) error { told++; return nil }); !errors.Is(err, proof.ErrWrong) {
			t.Errorf("a right code, too late: %v", err)
		}
	}
	if told != 1 {
		t.Errorf("told %d times", told)
	}
}

// TestWrongCodesCostTheSameStatements for somebody who has such a proof, who has none,
// who is disabled, and for nobody.
func TestWrongCodesCostTheSameStatements(t *testing.T) {
	var counted providertest.Statements
	r := newReplica(t, providertest.Postgres(t), func() time.Time { return noon }, storage.WithTracer(&counted))
	ada, bare, disabled := r.person(t, "ada"), r.person(t, "bare"), r.person(t, "disabled")
	for _, person := range []*storage.Person{ada, disabled} {
		r.enrol(t, person, noon)
		if _, err := r.recovery.Generate(t.Context(), person.ID, rand.Text(), events.ActorPerson); err != nil {
			t.Fatal(err)
		}
	}
	disabled.DisabledAt = storage.At(noon)
	tries := map[string]func(*storage.Person) error{
		"one-time code": func(p *storage.Person) error { _, err := r.Verify(t.Context(), p, "none", nothing); return err },
		"recovery code": func(p *storage.Person) error {
			_, err := r.recovery.Verify(t.Context(), p, "0000-0000-0000-0000")
			return err
		},
	}
	for what, try := range tries {
		_ = try(ada) // what is counted is prepared once before
		for who, person := range map[string]*storage.Person{"ada": ada, "one without": bare, "a disabled one": disabled, "nobody": nil} {
			sent := counted.During(func() {
				if err := try(person); !errors.Is(err, proof.ErrWrong) {
					t.Errorf("%s of %s: %v", what, who, err)
				}
			})
			if len(sent) != 1 {
				t.Errorf("%s of %s: %d statements, want 1: %q", what, who, len(sent), sent)
			}
		}
	}
}

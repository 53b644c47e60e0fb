package storage_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// What a race could break.
var raceTests = map[string]func(*testing.T, fixture){
	"one of 50 spends a code":                testRaceCode,
	"one of 50 spends an interaction":        testRaceInteraction,
	"one of 50 rotates a refresh token":      testRaceRefresh,
	"one of 50 renews a session":             testRaceSession,
	"twenty end what a person has":           testRaceEnds,
	"a session relies on a password":         testRelies,
	"one of 50 uses a passkey's count":       testRacePasskey,
	"one of 50 is the last passkey":          testRacePasskeys,
	"one of 50 updates a client":             testRaceClient,
	"one of 50 takes a scope":                testRaceScope,
	"no client has a scope of nobody":        testRaceScopeGoes,
	"one of 50 takes an address":             testRaceIdentifier,
	"one of 50 makes the root secret":        testRaceSecret,
	"one of 50 spends an id":                 testRaceSpentID,
	"one of 50 changes an algorithm's keys":  testRaceKeys,
	"a throttle gives its burst and no more": testThrottle,
	"a throttle may be emptied while taken":  testThrottleEmptied,
	"32 writers wait for each other":         testWriters,
}

const racers = 50

// Each loser's event is undone with its spending.
func testRaceCode(t *testing.T, f fixture) {
	g := f.grant(f.person("ada"), "code")
	f.oneWins(storage.ErrSpent, race(racers, func(i int) error {
		mine := *g
		mine.CodeUsedAt, mine.RefreshHash, mine.RefreshGen = after(time.Duration(i)*time.Second), hash(fmt.Sprint(i)), 1
		ctx := storage.WithUnit(f.ctx)
		return errors.Join(f.CreateEvent(ctx, event("code.spent")), f.SpendCode(ctx, &mine), f.Flush(ctx))
	}))
	if kinds := f.eventKinds(); len(kinds) != 1 {
		t.Errorf("%d events of one spending", len(kinds))
	}
}

// Alone and in a unit alike; another id is spent as if the first were not there,
// and one that has lapsed stays spent until it is swept.
func testRaceSpentID(t *testing.T, f fixture) {
	spend := func(id string) error {
		return f.SpendID(f.ctx, &storage.SpentID{Hash: hash(id), ExpiresAt: after(-time.Minute)})
	}
	f.oneWins(storage.ErrSpent, race(racers, func(int) error { return spend("jti") }))
	f.must(spend("another jti"))
	f.oneWins(storage.ErrSpent, race(racers, func(int) error {
		ctx := storage.WithUnit(f.ctx)
		return errors.Join(f.CreateEvent(ctx, event("spent")), f.SpendID(ctx, &storage.SpentID{Hash: hash("in a unit"), ExpiresAt: now}), f.Flush(ctx))
	}))
	if kinds := f.eventKinds(); len(kinds) != 1 {
		t.Errorf("%d events of one spending", len(kinds))
	}
	f.want(storage.ErrSpent, spend("jti"))
}

// Whichever of the keys each of them changes, and whether it adds one.
func testRaceKeys(t *testing.T, f fixture) {
	f.must(f.CreateKey(f.ctx, &storage.Key{KID: "k1", Alg: "ES256", Sealed: []byte{1}, CreatedAt: now, ActiveAt: now}))
	f.must(f.CreateKey(f.ctx, &storage.Key{KID: "k2", Alg: "ES256", Sealed: []byte{1}, CreatedAt: now, ActiveAt: after(time.Hour)}))
	for left := 2; left <= 4; left++ {
		was, err := f.Keys(f.ctx)
		f.must(err)
		f.oneWins(storage.ErrStale, race(racers, func(i int) error {
			mine := was[i%2]
			mine.ExpiresAt = after(time.Duration(1+i) * time.Minute)
			fresh := &storage.Key{KID: fmt.Sprint(left, i), Alg: "ES256", Sealed: []byte{1}, CreatedAt: after(time.Second), ActiveAt: now}
			ctx := storage.WithUnit(f.ctx)
			return errors.Join(f.CreateEvent(ctx, event("key.rotated")), f.ReplanKeys(ctx, was, now, fresh, mine), f.Flush(ctx))
		}))
		got, err := f.Keys(f.ctx)
		f.must(err)
		if kinds := f.eventKinds(); len(kinds) != left-1 || len(got) != left+1 {
			t.Errorf("%d events and %d keys after %d changes", len(kinds), len(got), left-1)
		}
	}
}

func testRaceInteraction(t *testing.T, f fixture) {
	p, i := f.person("ada"), f.interaction(after(time.Hour))
	f.oneWins(storage.ErrSpent, race(racers, func(n int) error {
		ctx := storage.WithUnit(f.ctx)
		return errors.Join(f.CreateGrant(ctx, newGrant(p, fmt.Sprint(n))), f.SpendInteraction(ctx, i.ID, now), f.Flush(ctx))
	}))
	var grants int
	f.must(f.SQL().QueryRowContext(f.ctx, "SELECT count(*) FROM grants").Scan(&grants))
	if grants != 1 {
		t.Errorf("%d grants of one interaction", grants)
	}
}

func testRaceRefresh(t *testing.T, f fixture) {
	g := newGrant(f.person("ada"), "code")
	g.RefreshHash, g.RefreshGen = hash("refresh"), 1
	f.must(f.CreateGrant(f.ctx, g))
	for from := int64(1); from <= 3; from++ {
		f.oneWins(storage.ErrStale, race(racers, func(int) error { return f.RotateRefresh(f.ctx, g, from) }))
	}
	got, err := f.GrantByID(f.ctx, g.ID)
	f.must(err)
	if got.Grant.RefreshGen != 4 {
		t.Errorf("generation %d after three rotations of the first", got.Grant.RefreshGen)
	}
}

func testRaceSession(_ *testing.T, f fixture) {
	se := f.session(f.person("ada"), "secret")
	f.oneWins(storage.ErrStale, race(racers, func(i int) error {
		mine := *se
		mine.SecretHash = hash(fmt.Sprint(i))
		return f.RenewSession(f.ctx, &mine, hash("secret"))
	}))
}

func testRaceClient(_ *testing.T, f fixture) {
	c := &storage.Client{ID: "web", Version: 1, CreatedAt: now, UpdatedAt: now}
	f.must(f.CreateClient(f.ctx, c))
	f.oneWins(storage.ErrStale, race(racers, func(int) error {
		mine := *c
		return f.UpdateClient(f.ctx, &mine)
	}))
}

// Whether it is made with it or changed to have it, and whatever else they have.
func testRaceScope(t *testing.T, f fixture) {
	var made [racers]*storage.Resource
	for i := range made {
		made[i] = &storage.Resource{Audience: fmt.Sprint("https://old.example/", i), Version: 1, Scopes: storage.Strings{fmt.Sprint("own", i)}, CreatedAt: now, UpdatedAt: now}
		f.must(f.CreateResource(f.ctx, made[i]))
	}
	f.oneWins(storage.ErrStale, race(racers, func(i int) error {
		if i%2 == 0 {
			changed := *made[i]
			changed.Scopes = storage.Strings{fmt.Sprint("own", i), "cars"}
			return f.UpdateResource(f.ctx, &changed)
		}
		ctx := storage.WithUnit(f.ctx)
		r := &storage.Resource{Audience: fmt.Sprint("https://new.example/", i), Version: 1, Scopes: storage.Strings{"cars", fmt.Sprint("new", i)}, CreatedAt: now, UpdatedAt: now}
		return errors.Join(f.CreateResource(ctx, r), f.CreateEvent(ctx, event("made")), f.Flush(ctx))
	}))
	all, err := f.Resources(f.ctx)
	f.must(err)
	for i := range all {
		if all[i].Scopes.Has("cars") { // what it has itself is in nobody's way
			f.must(f.UpdateResource(f.ctx, &all[i]))
		}
	}
	if kinds := f.eventKinds(); len(all) != racers+len(kinds) {
		t.Errorf("%d resources with %d events", len(all), len(kinds))
	}
}

// A client is given a scope, new or as it is, or the scope goes, with its resource or
// out of it.
func testRaceScopeGoes(t *testing.T, f fixture) {
	f.must(f.CreateClient(f.ctx, &storage.Client{ID: "web", Version: 1, CreatedAt: now, UpdatedAt: now}))
	given := func(c *storage.Client, scope string) *storage.Client {
		c.Metadata = storage.Document(storage.ClientMetadata{Scope: "openid " + scope})
		return c
	}
	for round := range racers {
		scope := fmt.Sprint("s", round)
		r := &storage.Resource{Audience: "https://api.example/" + scope, Version: 1, Scopes: storage.Strings{scope, "other" + scope}, CreatedAt: now, UpdatedAt: now}
		f.must(f.CreateResource(f.ctx, r))
		web, err := f.Client(f.ctx, "web")
		f.must(err)
		for i, err := range race(4, func(i int) error {
			mine := *r
			switch i {
			case 0:
				return f.CreateClient(f.ctx, given(&storage.Client{ID: scope, Version: 1, CreatedAt: now, UpdatedAt: now}, scope), scope)
			case 1:
				return f.UpdateClient(f.ctx, given(web, scope), scope)
			case 2:
				mine.Scopes = storage.Strings{"other" + scope}
				return f.UpdateResource(f.ctx, &mine, scope)
			}
			return f.DeleteResource(f.ctx, &mine)
		}) {
			if err != nil && !errors.Is(err, storage.ErrStale) {
				t.Fatalf("%d: %v", i, err)
			}
		}
		users, err := f.ClientsWith(f.ctx, []string{scope}, 5)
		f.must(err)
		left, err := f.Resource(f.ctx, r.Audience)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			t.Fatal(err)
		}
		if stays := err == nil && left.Scopes.Has(scope); stays != (len(users) > 0) {
			t.Fatalf("round %d: %v have the scope, and it is there: %t", round, users, stays)
		}
	}
}

func testRaceIdentifier(_ *testing.T, f fixture) {
	p := f.person("ada")
	f.oneWins(storage.ErrConflict, race(racers, func(int) error {
		return f.CreateIdentifier(f.ctx, &storage.Identifier{Kind: "email", Value: "ada@example.com", PersonID: p.ID, CreatedAt: now})
	}))
}

// All of them succeed, and all read what the first one wrote.
func testRaceSecret(t *testing.T, f fixture) {
	var seen [racers]string
	for _, err := range race(racers, func(i int) error {
		if err := f.CreateSecret(f.ctx, &storage.Secret{Name: "root", Sealed: []byte(fmt.Sprint(i)), CreatedAt: now}); err != nil {
			return err
		}
		s, err := f.SecretNamed(f.ctx, "root")
		if err == nil {
			seen[i] = string(s.Sealed)
		}
		return err
	}) {
		f.must(err)
	}
	for _, s := range seen {
		if s != seen[0] {
			t.Fatalf("replicas read different secrets: %q", seen)
		}
	}
}

// The generic cell rate algorithm: burst at once, then one each interval.
func testThrottle(t *testing.T, f fixture) {
	const burst = 7
	key := []byte{0, 255, '\''}
	take := func(at time.Duration) time.Duration {
		t.Helper()
		wait, err := f.TakeThrottle(f.ctx, key, time.Minute, burst, now.Add(at))
		f.must(err)
		return wait
	}
	var given atomic.Int64
	for _, err := range race(100, func(int) error {
		wait, err := f.TakeThrottle(f.ctx, key, time.Minute, burst, now.Time)
		if err == nil && wait == 0 {
			given.Add(1)
		}
		return err
	}) {
		f.must(err)
	}
	if given.Load() != burst {
		t.Errorf("%d of 100 parallel takes succeeded, want %d", given.Load(), burst)
	}
	if wait := take(0); wait != time.Minute {
		t.Errorf("wait %v, want one interval", wait)
	}
	if wait := take(20 * time.Second); wait != 40*time.Second {
		t.Errorf("wait %v after 20 s, want 40 s", wait)
	}
	if wait := take(time.Minute - time.Millisecond); wait != time.Second {
		t.Errorf("wait %v just before, want the least: 1 s", wait)
	}
	if wait := take(time.Minute); wait != 0 {
		t.Errorf("wait %v after one interval, want none", wait)
	}
	if wait := take(time.Minute); wait == 0 {
		t.Error("one interval gave two tokens")
	}
	for range burst {
		if wait := take(24 * time.Hour); wait != 0 {
			t.Errorf("after a day the burst is not full again: wait %v", wait)
		}
	}
	if wait := take(24 * time.Hour); wait == 0 {
		t.Error("a day filled the bucket beyond its burst")
	}
	f.must(f.ReturnThrottle(f.ctx, key, time.Minute))
	if first, second := take(24*time.Hour), take(24*time.Hour); first != 0 || second == 0 {
		t.Errorf("one token put back: waits %v and %v, want none and some", first, second)
	}
	f.must(f.GiveThrottle(f.ctx, key))
	if wait := take(24 * time.Hour); wait != 0 {
		t.Errorf("an emptied bucket makes wait %v", wait)
	}
	if wait, err := f.TakeThrottle(f.ctx, []byte("other"), time.Minute, 1, now.Time); err != nil || wait != 0 {
		t.Errorf("another key: wait %v, error %v", wait, err)
	}
}

// A right password empties the bucket between another's refusal and the
// reading of how long to wait: that is no error.
func testThrottleEmptied(_ *testing.T, f fixture) {
	key := []byte("key")
	for _, err := range race(20, func(i int) error {
		for range 20 {
			if i%2 == 0 {
				if err := f.GiveThrottle(f.ctx, key); err != nil {
					return err
				}
			} else if _, err := f.TakeThrottle(f.ctx, key, time.Minute, 1, now.Time); err != nil {
				return err
			}
		}
		return nil
	}) {
		f.must(err)
	}
}

// Writers wait for each other: none is told that the database is locked.
func testWriters(t *testing.T, f fixture) {
	const writers, each = 32, 10
	p := f.person("ada")
	for _, err := range race(writers, func(i int) error {
		for n := range each {
			ctx := storage.WithUnit(f.ctx)
			err := errors.Join(f.CreateGrant(ctx, newGrant(p, fmt.Sprint(i, n))), f.CreateEvent(ctx, event("grant.made")), f.Flush(ctx))
			if err != nil {
				return err
			}
		}
		return nil
	}) {
		f.must(err)
	}
	if kinds := f.eventKinds(); len(kinds) != writers*each {
		t.Errorf("%d events, want %d", len(kinds), writers*each)
	}
}

// Whoever changes much of one person's at once waits for others who do, and none for each
// other: passwords set, factors disowned, signed out everywhere or from one browser, codes
// made anew, browsers seen and an account closed.
func testRaceEnds(t *testing.T, f fixture) {
	ada := f.person("ada")
	f.must(f.CreatePassword(f.ctx, &storage.Password{PersonID: ada.ID, Hash: "h", ChangedAt: now}))
	f.backchannel("web", "https://web.example/bye")
	for round := range 6 {
		var sessions [20]*storage.Session
		var devices [20]storage.ID
		f.passkey(ada, fmt.Sprint(round), now)
		for i := range sessions {
			name := fmt.Sprint(round, ".", i)
			sessions[i], devices[i] = f.session(ada, name), storage.NewID()
			f.used(sessions[i], "web")
			f.grant(ada, name)
			f.must(f.SeeDevice(f.ctx, &storage.Device{ID: devices[i], PersonID: ada.ID, CreatedAt: now, SeenAt: now, ExpiresAt: after(time.Hour), RememberedUntil: after(time.Hour)}))
		}
		for i, err := range race(len(sessions), func(i int) error {
			ctx, mine := storage.WithUnit(f.ctx), *sessions[i]
			mine.SecretHash = hash(fmt.Sprint("fresh", round, i))
			var err error
			what := round // half of them the same
			if i%2 == 0 {
				what = i / 2 % 6
			}
			switch what {
			case 0:
				err = errors.Join(f.SetPassword(ctx, &storage.Password{PersonID: ada.ID, Hash: fmt.Sprint(i), ChangedAt: now}), f.SignOutEverywhere(ctx, ada.ID, "password set", now))
			case 1:
				err = errors.Join(f.RenewSession(ctx, &mine, sessions[i].SecretHash), f.Disown(ctx, storage.Disowning{PersonID: ada.ID, Keep: mine.ID, Device: devices[i], Since: now, Why: "disowned", Now: now}))
			case 2:
				err = errors.Join(
					f.RenewSession(ctx, &mine, sessions[i].SecretHash),
					f.SetPassword(ctx, &storage.Password{PersonID: ada.ID, Hash: fmt.Sprint(i), ChangedAt: now}),
					f.SignOutElsewhere(ctx, ada.ID, mine.ID, "password set", now),
				)
			case 3:
				err = f.EndSessionsOf(ctx, ada.ID, now)
			case 4:
				err = errors.Join(f.SeeDevice(ctx, &storage.Device{ID: devices[i], PersonID: ada.ID, CreatedAt: now, SeenAt: now, ExpiresAt: after(time.Hour)}), f.RenewSession(ctx, &mine, sessions[i].SecretHash))
			default:
				err = errors.Join(f.EndSession(ctx, mine.ID, now), f.UnrememberDevices(ctx, ada.ID))
			}
			return errors.Join(err, f.Flush(ctx))
		}) {
			if err != nil && !errors.Is(err, storage.ErrStale) {
				t.Errorf("%d of round %d: %v", i, round, err)
			}
		}
	}
}

// A session that begins, or goes on, by a password is none where another one was set since
// that was read, also at the same moment; and whoever sets one ends all that began before.
func testRelies(t *testing.T, f fixture) {
	ada := f.person("ada")
	first := &storage.Password{PersonID: ada.ID, Hash: "first", ChangedAt: now}
	f.must(f.CreatePassword(f.ctx, first))
	begin := func(name string, by storage.Time) (*storage.Session, error) {
		se := &storage.Session{ID: storage.NewID(), SecretHash: hash(name), PersonID: ada.ID, CreatedAt: now, SeenAt: now, ExpiresAt: after(time.Hour)}
		return se, f.CreateSession(f.ctx, se, storage.PasswordOf(ada.ID, by))
	}
	se, err := begin("one", now)
	f.must(err)
	f.must(f.RehashPassword(f.ctx, ada.ID, "first", "dearer")) // it is the same one
	se.SecretHash = hash("two")
	f.must(f.RenewSession(f.ctx, se, hash("one"), storage.PasswordOf(ada.ID, now)))
	f.must(f.SetPassword(f.ctx, &storage.Password{PersonID: ada.ID, Hash: "second", ChangedAt: now}))
	_, err = begin("late", now)
	f.want(storage.ErrStale, err)
	se.SecretHash = hash("three")
	f.want(storage.ErrStale, f.RenewSession(f.ctx, se, hash("two"), storage.PasswordOf(ada.ID, now)))

	set := func(i int) error {
		ctx := storage.WithUnit(f.ctx)
		return errors.Join(f.SetPassword(ctx, &storage.Password{PersonID: ada.ID, Hash: fmt.Sprint(i), ChangedAt: now}), f.SignOutEverywhere(ctx, ada.ID, "set", now), f.Flush(ctx))
	}
	for round := range 10 {
		was, err := f.PasswordOf(f.ctx, ada.ID)
		f.must(err)
		for i, err := range race(10, func(i int) error {
			if i == 5 {
				return set(i)
			}
			_, err := begin(fmt.Sprint(round, i), was.ChangedAt)
			return err
		}) {
			if err != nil && !errors.Is(err, storage.ErrStale) {
				t.Errorf("%d: %v", i, err)
			}
		}
		if left, err := f.NewestSessionsOf(f.ctx, ada.ID, now, 10); err != nil || len(left) != 0 {
			t.Fatalf("round %d: %d sessions began by the password before, %v", round, len(left), err)
		}
	}
}

package storage_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// What is short-lived goes when it lapsed, and not before.
var sweepTests = map[string]func(*testing.T, fixture){
	"a sweep takes what lapsed":                 testSweep,
	"a sweep takes no more than its batch":      testSweepBatch,
	"sweepers do not stand in each other's way": testSweepRace,
}

var sweptTables = []string{"interactions", "revocations", "access_tokens", "throttles", "spent_ids", "idempotency_keys", "setup_links", "disown_links", "totps", "mails", "sent_codes", "wrong_tries", "devices", "sessions", "grants"}

func testSweep(t *testing.T, f fixture) {
	p := f.person("ada")
	for i, expires := range []storage.Time{after(-time.Microsecond), now, after(time.Hour)} {
		n := fmt.Sprint(i)
		f.interaction(expires)
		f.must(f.Revoke(f.ctx, &storage.Revocation{Kind: storage.RevokedJTI, ID: n, NotBefore: now, ExpiresAt: expires}))
		f.must(f.SpendID(f.ctx, &storage.SpentID{Hash: hash(n), ExpiresAt: expires}))
		f.must(f.ClaimIdempotencyKey(f.ctx, &storage.IdempotencyKey{Hash: hash(n), Request: hash(n), BegunAt: after(-time.Hour), ExpiresAt: expires}))
		f.group("group " + n)
		f.must(f.ReplaceSetupLink(f.ctx, &storage.SetupLink{Name: "group " + n, SecretHash: hash(n), CreatedAt: now, ExpiresAt: expires}))
		f.must(f.CreateDisownLink(f.ctx, &storage.DisownLink{SecretHash: hash(n), PersonID: p.ID, Address: "ada@example.com", Kind: "factor_added", Since: now, CreatedAt: now, ExpiresAt: expires}))
		app := totp(f.person("app "+n), "phone")
		app.ExpiresAt = expires
		f.must(f.BeginTOTP(f.ctx, app, 5))
		f.must(f.CreateMail(f.ctx, &storage.Mail{ID: storage.NewID(), Channel: storage.ByMail, Recipient: "ada@example.com", Kind: "code", Lang: "en", LapsesAt: now, CreatedAt: now, ExpiresAt: expires}))
		f.must(f.CountWrongTry(f.ctx, storage.WrongTry{PersonID: p.ID, Method: "pwd", Browser: n, ExpiresAt: expires}, now.Time))
		f.must(f.PutSentCode(f.ctx, sentCode(storage.NewID(), "", expires)))
		f.must(f.CreateAccessToken(f.ctx, &storage.AccessToken{Hash: hash(n), ClientID: "web", Claims: doc(`{}`), CreatedAt: now, ExpiresAt: expires}))
		f.must(f.SeeDevice(f.ctx, &storage.Device{ID: storage.NewID(), PersonID: p.ID, CreatedAt: now, SeenAt: now, ExpiresAt: expires}))
		f.must(f.CreateSession(f.ctx, &storage.Session{ID: storage.NewID(), SecretHash: hash(n), PersonID: p.ID, CreatedAt: now, SeenAt: now, ExpiresAt: expires}))
		g := newGrant(p, n)
		g.ExpiresAt = expires
		f.must(f.CreateGrant(f.ctx, g))
		if wait, err := f.TakeThrottle(f.ctx, []byte(n), time.Minute, 1, expires.Add(-time.Minute)); err != nil || wait != 0 {
			t.Fatalf("throttle: %v, %v", wait, err)
		}
	}
	f.must(f.Revoke(f.ctx, &storage.Revocation{Kind: storage.RevokedKey, ID: "kid", NotBefore: after(-time.Hour), ExpiresAt: after(-time.Hour)}))
	f.must(f.CreateEvent(f.ctx, event("stays")))
	swept, err := f.Sweep(f.ctx, now, 100)
	f.must(err)
	if swept != int64(len(sweptTables)) {
		t.Errorf("%d rows swept, want one of each of %v", swept, sweptTables)
	}
	db := f.SQL()
	revoked, err := f.RevokedKeys(f.ctx)
	f.must(err)
	if !slices.Equal(revoked, []string{"kid"}) {
		t.Errorf("revoked keys %v: they stay revoked", revoked)
	}
	_, err = db.ExecContext(f.ctx, "DELETE FROM revocations WHERE kind = 'key'")
	f.must(err)
	for _, table := range sweptTables {
		var left int
		f.must(db.QueryRowContext(f.ctx, "SELECT count(*) FROM "+table).Scan(&left))
		if left != 2 {
			t.Errorf("%s: %d rows left, want the two that have not lapsed", table, left)
		}
	}
	if kinds := f.eventKinds(); len(kinds) != 1 {
		t.Errorf("events %v: they are never swept", kinds)
	}
}

func testSweepBatch(t *testing.T, f fixture) {
	for range 5 {
		f.interaction(after(-time.Hour))
	}
	for _, want := range []int64{2, 2, 1, 0} {
		got, err := f.Sweep(f.ctx, now, 2)
		f.must(err)
		if got != want {
			t.Errorf("%d rows swept, want %d", got, want)
		}
	}
}

// Every replica sweeps: together they take each row once, and none fails.
func testSweepRace(t *testing.T, f fixture) {
	const rows = 400
	p := f.person("ada")
	ctx := storage.WithUnit(f.ctx)
	for i := range rows {
		f.must(f.Revoke(ctx, &storage.Revocation{Kind: storage.RevokedJTI, ID: fmt.Sprint(i), NotBefore: now, ExpiresAt: after(-time.Duration(i%7) * time.Hour)}))
		f.must(f.SeeDevice(ctx, &storage.Device{ID: storage.NewID(), PersonID: p.ID, CreatedAt: now, SeenAt: now, ExpiresAt: after(-time.Duration(i%7) * time.Hour)}))
		if i%50 == 49 {
			f.must(f.Flush(ctx))
		}
	}
	var total atomic.Int64
	for _, err := range race(6, func(int) error {
		for range 4 {
			n, err := f.Sweep(f.ctx, after(time.Hour), 150)
			if err != nil {
				return err
			}
			total.Add(n)
		}
		return nil
	}) {
		f.must(err)
	}
	n, err := f.Sweep(f.ctx, after(time.Hour), 2*rows)
	f.must(err)
	if total.Load()+n != 2*rows {
		t.Errorf("%d rows swept, want %d", total.Load()+n, 2*rows)
	}
}

package storage_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// What is taken from whoever acted in somebody's name.
var disownTests = map[string]func(*testing.T, fixture){
	"a link is for its person, its address and its time": testDisownLink,
	"all is taken but from who says so":                  testDisown,
	"a link is spent once, with all of its time":         testDisownSpends,
	"an address is believed no more":                     testDisownAddresses,
	"proofs are older than a moment or not":              testProofsSince,
}

func (f fixture) disownLink(p *storage.Person, address, secret string, since storage.Time) *storage.DisownLink {
	f.t.Helper()
	l := &storage.DisownLink{SecretHash: hash(secret), PersonID: p.ID, Address: address, Kind: "factor_added", Since: since, CreatedAt: since, ExpiresAt: storage.At(since.Add(time.Hour))}
	f.must(f.CreateDisownLink(f.ctx, l))
	return l
}

func (f fixture) passkey(p *storage.Person, name string, at storage.Time) *storage.Passkey {
	f.t.Helper()
	k := &storage.Passkey{ID: storage.NewID(), PersonID: p.ID, CredentialID: []byte(name), PublicKey: []byte("key"), RPID: "login.example", AAGUID: "x", Name: name, CreatedAt: at}
	f.must(f.CreatePasskey(f.ctx, k, 10))
	return k
}

func testDisownLink(t *testing.T, f fixture) {
	ada, bob := f.person("ada"), f.person("bob")
	f.email(ada, "ada@example.com", now)
	young := f.email(ada, "young@example.com", after(time.Minute))
	unverified := &storage.Identifier{Kind: "email", Value: "unverified@example.com", PersonID: ada.ID, CreatedAt: now}
	f.must(f.CreateIdentifier(f.ctx, unverified))
	f.email(bob, "bob@example.com", now)
	link := f.disownLink(ada, "ada@example.com", "right", after(time.Minute))
	got, err := f.DisownLink(f.ctx, link.SecretHash, after(time.Hour))
	f.must(err)
	same(t, link, got)
	for address, why := range map[string]string{
		young.Value: "verified no earlier than the change", unverified.Value: "never verified", "bob@example.com": "another person's", "gone@example.com": "nobody's",
	} {
		f.disownLink(ada, address, address, after(time.Minute))
		if _, err := f.DisownLink(f.ctx, hash(address), now); err == nil {
			t.Errorf("%s: a link to an address that is %s", address, why)
		}
	}
	_, err = f.DisownLink(f.ctx, link.SecretHash, link.ExpiresAt)
	f.want(storage.ErrNotFound, err)
	_, err = f.DisownLink(f.ctx, hash("wrong"), now)
	f.want(storage.ErrNotFound, err)
	f.must(f.DisablePerson(f.ctx, ada.ID, now))
	_, err = f.DisownLink(f.ctx, link.SecretHash, now)
	f.want(storage.ErrNotFound, err)
}

func testDisown(t *testing.T, f fixture) {
	ada, bob := f.person("ada"), f.person("bob")
	f.backchannel("web", "https://web.example/bye")
	kept := f.session(ada, "kept")
	here := storage.NewID()
	type theirs struct {
		session *storage.Session
		grant   *storage.Grant
		device  storage.ID
	}
	has := func(p *storage.Person, name string) (o theirs) {
		o.session, o.grant, o.device = f.session(p, name), f.grant(p, name), storage.NewID()
		f.used(o.session, "web")
		f.must(f.SeeDevice(f.ctx, &storage.Device{ID: o.device, PersonID: p.ID, CreatedAt: now, SeenAt: now, ExpiresAt: after(time.Hour)}))
		return o
	}
	thief, other := has(ada, "thief"), has(bob, "bob")
	f.must(f.SeeDevice(f.ctx, &storage.Device{
		ID: here, PersonID: ada.ID, CreatedAt: now, SeenAt: now, ExpiresAt: after(time.Hour),
		ProvenAt: now, BoundAt: now, RememberedUntil: after(time.Hour), RememberedBy: storage.NewID(),
	}))
	// Begun before the moment and confirmed at it, it was added at it.
	old, young := f.confirmed(ada, "old"), totp(ada, "young")
	moment := after(time.Minute)
	f.must(f.BeginTOTP(f.ctx, young, 5))
	f.must(f.ConfirmTOTP(f.ctx, ada.ID, young.ID, 1, moment, 10))
	pending := totp(ada, "pending")
	f.must(f.BeginTOTP(f.ctx, pending, 5))
	oldKey, also, youngKey := f.passkey(ada, "old", now), f.passkey(ada, "also", now), f.passkey(ada, "young", moment)
	bobs, bobsKey := f.confirmed(bob, "bob's"), f.passkey(bob, "bob's", moment)
	f.phone(ada, "+46701740604", now)
	alsoPhone, youngPhone := f.phone(ada, "+46701740605", now), f.phone(ada, "+46701740606", moment)
	f.phone(bob, "+46701740606", moment)
	f.must(f.ReplaceRecoveryCodes(f.ctx, ada.ID, []storage.RecoveryCode{{Hash: hash("young"), PersonID: ada.ID, CreatedAt: moment}}))
	f.must(f.ReplaceRecoveryCodes(f.ctx, bob.ID, []storage.RecoveryCode{{Hash: hash("bob"), PersonID: bob.ID, CreatedAt: moment}}))

	for _, p := range []*storage.Person{ada, bob} {
		f.must(f.SetAsking(f.ctx, p.ID, "less"))
		f.must(f.SetConsent(f.ctx, &storage.Consent{PersonID: p.ID, ClientID: "web", Scopes: storage.Strings{"openid"}, CreatedAt: now, UpdatedAt: now}))
	}

	d := storage.Disowning{PersonID: ada.ID, Keep: kept.ID, Device: here, Since: moment, Also: also.ID, Why: "disowned", Now: after(time.Hour), Asking: "more", Lowered: "less"}
	f.must(f.Disown(f.ctx, d))
	for p, asking := range map[*storage.Person]string{ada: "more", bob: "less"} {
		c, err := f.ConsentOf(f.ctx, p.ID, "web")
		f.must(err)
		left, err := f.Person(f.ctx, p.ID)
		f.must(err)
		if c.Stands() != (p == bob) || c.Scopes.Has("openid") != (p == bob) || left.Asking != asking {
			t.Errorf("%s: a consent to %v stands: %v; asked %q", p.Sub, c.Scopes, c.Stands(), left.Asking)
		}
	}
	in, err := f.LoadSignIn(f.ctx, kept.SecretHash, "web", now)
	f.must(err)
	if in.Consent.Withdrawals != 1 {
		t.Errorf("%d withdrawals", in.Consent.Withdrawals)
	}

	ended := func(se *storage.Session) bool {
		got, err := f.Session(f.ctx, se.ID)
		f.must(err)
		return !got.EndedAt.IsZero()
	}
	revoked := func(g *storage.Grant) bool {
		return f.count("SELECT count(*) FROM grants WHERE id = '"+string(g.ID)+"' AND revoked_at IS NOT NULL") == 1
	}
	known := func(id storage.ID, p *storage.Person) bool {
		is, err := f.DeviceKnown(f.ctx, id, p.ID, now)
		f.must(err)
		return is
	}
	for name, wrong := range map[string]bool{
		"the session that says so ended": ended(kept), "the thief's session lives": !ended(thief.session), "Bob's session ended": ended(other.session),
		"the thief's grant stands": !revoked(thief.grant), "Bob's grant is revoked": revoked(other.grant),
		"this browser is forgotten": !known(here, ada), "the thief's browser is known": known(thief.device, ada), "Bob's browser is forgotten": !known(other.device, bob),
	} {
		if wrong {
			t.Error(name)
		}
	}
	ds, err := f.DevicesOf(f.ctx, ada.ID, now, 10)
	f.must(err)
	same(t, []storage.Device{{ID: here, PersonID: ada.ID, CreatedAt: now, SeenAt: now, ExpiresAt: after(time.Hour)}}, ds) // and remembers nothing
	if left, err := f.LogoutNotices(f.ctx, thief.session.ID); err != nil || len(left) != 1 {
		t.Errorf("notices of the thief's logout: %v, %v", left, err)
	}
	var doubted, doubtedPhones []storage.ID
	for _, p := range []*storage.Person{ada, bob} {
		for _, a := range f.totps(p) {
			if !a.DoubtedAt.IsZero() {
				doubted = append(doubted, a.ID)
			}
		}
		keys, err := f.PasskeysOf(f.ctx, p.ID)
		f.must(err)
		for _, k := range keys {
			if !k.DoubtedAt.IsZero() {
				doubted = append(doubted, k.ID)
			}
		}
		for _, one := range f.phones(p) {
			if !one.DoubtedAt.IsZero() {
				doubtedPhones = append(doubtedPhones, one.ID)
			}
		}
	}
	if want := []storage.ID{youngPhone.ID}; !slices.Equal(doubtedPhones, want) {
		t.Errorf("doubted phones are %v, want %v", doubtedPhones, want)
	}
	if want := []storage.ID{young.ID, also.ID, youngKey.ID}; !slices.Equal(doubted, want) {
		t.Errorf("doubted are %v, want %v; not %v", doubted, want, []storage.ID{old.ID, oldKey.ID, bobs.ID, bobsKey.ID})
	}
	_, err = f.PendingTOTP(f.ctx, ada.ID, pending.ID, now)
	f.want(storage.ErrNotFound, err)
	f.wantCodes(ada, 0)
	f.wantCodes(bob, 1)

	// What is doubted counts for nothing until its person says whose it is.
	in, err = f.LoadSignIn(f.ctx, kept.SecretHash, "", now)
	f.must(err)
	if !slices.Equal(in.TOTPs, []string{string(old.ID)}) || !slices.Equal(in.Passkeys, []string{string(oldKey.ID)}) || !slices.Equal(in.BoundPasskeys, []string{string(oldKey.ID)}) {
		t.Errorf("what counts: %v, %v, %v", in.TOTPs, in.Passkeys, in.BoundPasskeys)
	}
	f.want(storage.ErrSpent, f.SpendTOTP(f.ctx, nil, young.ID, 1000, now))
	f.want(storage.ErrStale, f.UsePasskey(f.ctx, youngKey, 0))
	f.must(f.RemoveTOTP(f.ctx, ada.ID, old.ID))
	for _, k := range []*storage.Passkey{oldKey} {
		f.must(f.DeletePasskey(f.ctx, ada.ID, k.ID))
	}
	if has, err := f.HasSecondFactor(f.ctx, ada.ID, true); err != nil || has {
		t.Errorf("what is doubted is a second factor: %v, %v", has, err)
	}
	f.want(storage.ErrNotFound, f.TrustTOTP(f.ctx, bob.ID, young.ID))
	f.want(storage.ErrNotFound, f.TrustPasskey(f.ctx, bob.ID, youngKey.ID))
	f.must(f.TrustTOTP(f.ctx, ada.ID, young.ID))
	f.must(f.TrustPasskey(f.ctx, ada.ID, youngKey.ID))
	f.want(storage.ErrNotFound, f.TrustTOTP(f.ctx, ada.ID, young.ID))
	f.must(f.SpendTOTP(f.ctx, nil, young.ID, 1000, now))
	f.must(f.UsePasskey(f.ctx, youngKey, 0))

	// A browser that is not known keeps none; a phone that was meant is doubted whenever it was added.
	f.must(f.Disown(f.ctx, storage.Disowning{PersonID: ada.ID, Keep: kept.ID, Since: after(time.Hour), Also: alsoPhone.ID, Why: "disowned", Now: after(time.Hour)}))
	if known(here, ada) {
		t.Error("a browser that nobody named is kept")
	}
	for _, one := range f.phones(ada) {
		if one.DoubtedAt.IsZero() == (one.ID == alsoPhone.ID || one.ID == youngPhone.ID) {
			t.Errorf("%s: doubted at %v", one.Number, one.DoubtedAt)
		}
	}
}

func testDisownSpends(t *testing.T, f fixture) {
	ada, bob := f.person("ada"), f.person("bob")
	f.email(ada, "ada@example.com", now)
	f.email(bob, "bob@example.com", now)
	kept := f.session(ada, "kept")
	other := f.session(ada, "other")
	earlier := f.disownLink(ada, "ada@example.com", "earlier", after(time.Minute))
	link := f.disownLink(ada, "ada@example.com", "link", after(2*time.Minute))
	f.disownLink(ada, "ada@example.com", "twin", after(2*time.Minute))
	bobs := f.disownLink(bob, "bob@example.com", "bob's", after(2*time.Minute))
	d := storage.Disowning{PersonID: ada.ID, Keep: kept.ID, Since: link.Since, Link: bobs.SecretHash, Why: "disowned", Now: after(time.Hour)}
	// As whoever disowns does: in one unit with the session in which they do.
	disown := func() error {
		before := kept.SecretHash
		kept.SecretHash = hash(string(storage.NewID()))
		ctx := storage.WithUnit(f.ctx)
		err := errors.Join(f.RenewSession(ctx, kept, before, storage.LinkOf(ada.ID, d.Link)), f.Disown(ctx, d), f.Flush(ctx))
		if err != nil {
			kept.SecretHash = before
		}
		return err
	}
	f.want(storage.ErrStale, disown()) // another person's
	if got, err := f.Session(f.ctx, other.ID); err != nil || !got.EndedAt.IsZero() {
		t.Errorf("a link that opens nothing ended a session: %v, %v", got, err)
	}
	d.Link = link.SecretHash
	f.must(disown())
	f.want(storage.ErrStale, disown())
	for secret, lives := range map[string]bool{"earlier": true, "link": false, "twin": false, "bob's": true} {
		if _, err := f.DisownLink(f.ctx, hash(secret), now); (err == nil) != lives {
			t.Errorf("%s: %v, want it to live: %v", secret, err, lives)
		}
	}
	d.Link, d.Since = nil, earlier.Since // without a link, by whoever is signed in: none is lost
	f.must(f.Disown(f.ctx, d))
	if _, err := f.DisownLink(f.ctx, earlier.SecretHash, now); err != nil {
		t.Errorf("a link of whoever reads the mails is gone: %v", err)
	}
}

// By a link, whose address was verified before, no address counts that was verified since;
// without one they stay.
func testDisownAddresses(t *testing.T, f fixture) {
	ada := f.person("ada")
	f.email(ada, "old@example.com", now)
	f.email(ada, "young@example.com", after(time.Minute))
	link := f.disownLink(ada, "old@example.com", "right", after(time.Minute))
	verified := func() (all []string) {
		t.Helper()
		ids, err := f.Identifiers(f.ctx, ada.ID)
		f.must(err)
		for _, i := range ids {
			if !i.VerifiedAt.IsZero() {
				all = append(all, i.Value)
			}
		}
		return all
	}
	what := storage.Disowning{PersonID: ada.ID, Since: after(time.Minute), Why: "disowned", Now: after(time.Hour)}
	f.must(f.Disown(f.ctx, what))
	same(t, []string{"old@example.com", "young@example.com"}, verified())
	what.Link = link.SecretHash
	f.must(f.Disown(f.ctx, what))
	same(t, []string{"old@example.com"}, verified())
}

func testProofsSince(t *testing.T, f fixture) {
	ada, bob := f.person("ada"), f.person("bob")
	old, young := f.confirmed(ada, "old"), f.passkey(ada, "young", after(time.Minute))
	f.passkey(bob, "bob's", after(time.Minute))
	phone := f.phone(ada, "+46701740605", now)
	f.phone(bob, "+46701740605", now)
	f.must(f.BeginTOTP(f.ctx, totp(ada, "pending"), 5))
	f.must(f.SetPassword(f.ctx, &storage.Password{PersonID: ada.ID, Hash: "x", ChangedAt: now}))
	for _, c := range []struct {
		since    storage.Time
		factors  []storage.ID
		password bool
	}{
		{now, []storage.ID{young.ID, old.ID, phone.ID}, true},
		{after(time.Microsecond), []storage.ID{young.ID}, false},
		{after(time.Minute), []storage.ID{young.ID}, false},
		{after(time.Hour), nil, false},
	} {
		factors, password, err := f.ProofsSince(f.ctx, ada.ID, c.since)
		f.must(err)
		if !slices.Equal(factors, c.factors) || password != c.password {
			t.Errorf("since %v: %v, %v", c.since, factors, password)
		}
	}
}

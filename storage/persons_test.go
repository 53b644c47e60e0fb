package storage_test

import (
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

func testPersons(t *testing.T, f fixture) {
	full := &storage.Person{ID: storage.NewID(), Sub: "s1", Name: "Åsa Öberg 你好", Locale: "sv", Claims: doc(`{"zoneinfo":"Europe/Stockholm","n":[1,null,true]}`),
		CreatedAt: now, UpdatedAt: now, DisabledAt: after(time.Hour)}
	empty := &storage.Person{ID: storage.NewID(), Sub: "s2", CreatedAt: now, UpdatedAt: now}
	for _, p := range []*storage.Person{full, empty} {
		f.must(f.CreatePerson(f.ctx, p))
		got, err := f.Person(f.ctx, p.ID)
		f.must(err)
		same(t, p, got)
	}
	twin := &storage.Person{ID: storage.NewID(), Sub: "s1", CreatedAt: now, UpdatedAt: now}
	f.want(storage.ErrConflict, f.CreatePerson(f.ctx, twin)) // a subject is never used again
	list, err := f.Persons(f.ctx, storage.Page{Limit: 1})
	f.must(err)
	same(t, storage.List[storage.Person]{Items: []storage.Person{*full}, Next: string(full.ID)}, list) // ids of version 7 sort by the time of their making
	list, err = f.Persons(f.ctx, storage.Page{After: list.Next, Limit: 5})
	f.must(err)
	same(t, storage.List[storage.Person]{Items: []storage.Person{*empty}}, list)
	_, err = f.Person(f.ctx, storage.NewID())
	f.want(storage.ErrNotFound, err)

	// A change is made to what was read, or not at all.
	changed := *empty
	changed.Name, changed.Locale, changed.Claims, changed.UpdatedAt = "Grace", "en", doc(`{"gender":"female"}`), after(time.Second)
	f.want(storage.ErrStale, f.UpdatePerson(f.ctx, &changed, after(time.Hour)))
	f.must(f.UpdatePerson(f.ctx, &changed, empty.UpdatedAt))
	got, err := f.Person(f.ctx, empty.ID)
	f.must(err)
	same(t, &changed, got)
	f.want(storage.ErrStale, f.UpdatePerson(f.ctx, &changed, empty.UpdatedAt))

	// What they skipped is no change of theirs, and one is not lost by the other.
	f.must(f.DeferPasskeyOffer(f.ctx, empty.ID, after(time.Minute)))
	changed.PasskeyOfferAt = after(time.Minute)
	got, err = f.Person(f.ctx, empty.ID)
	f.must(err)
	same(t, &changed, got)

	for why, end := range map[string]func(id storage.ID, at storage.Time) error{
		"person disabled": func(id storage.ID, at storage.Time) error { return f.DisablePerson(f.ctx, id, at) },
		"password set":    func(id storage.ID, at storage.Time) error { return f.SignOutEverywhere(f.ctx, id, "password set", at) },
	} {
		testEverywhere(t, f, why, end)
	}
	testElsewhere(t, f)
	f.want(storage.ErrNotFound, f.DisablePerson(f.ctx, full.ID, now))
	f.want(storage.ErrNotFound, f.DisablePerson(f.ctx, storage.NewID(), now))
}

// testEverywhere: end ends every session of a person and every grant, also what
// outlives its session, and leaves what was ended before and what is another's.
func testEverywhere(t *testing.T, f fixture, why string, end func(storage.ID, storage.Time) error) {
	t.Helper()
	p, eve := f.person(why), f.person("eve "+why)
	offline, ended := newGrant(p, "offline "+why), newGrant(p, "ended "+why)
	offline.Offline = true
	ended.RevokedAt, ended.RevokedWhy = now, "before"
	f.must(f.CreateGrant(f.ctx, offline))
	f.must(f.CreateGrant(f.ctx, ended))
	hers := f.grant(eve, "eve "+why)
	sessions := []storage.ID{f.session(p, "one "+why).ID, f.session(p, "two "+why).ID, f.session(eve, "eve "+why).ID}
	at := after(time.Minute)
	f.must(end(p.ID, at))
	for i, id := range sessions {
		se, err := f.Session(f.ctx, id)
		f.must(err)
		same(t, []storage.Time{at, at, {}}[i], se.EndedAt)
	}
	for id, want := range map[storage.ID]storage.Grant{
		hers.ID:    {},
		ended.ID:   {RevokedAt: now, RevokedWhy: "before"},
		offline.ID: {RevokedAt: at, RevokedWhy: why},
	} {
		g, err := f.GrantByID(f.ctx, id)
		f.must(err)
		same(t, want, storage.Grant{RevokedAt: g.Grant.RevokedAt, RevokedWhy: g.Grant.RevokedWhy})
	}
	got, err := f.Person(f.ctx, p.ID)
	f.must(err)
	state, err := f.GrantByID(f.ctx, offline.ID)
	f.must(err)
	disabled := storage.Time{}
	if why == "person disabled" {
		disabled = at
	}
	same(t, []storage.Time{disabled, disabled}, []storage.Time{got.DisabledAt, state.PersonDisabledAt})
}

// testElsewhere: one session and its grants live on, and nothing else of that person's.
func testElsewhere(t *testing.T, f fixture) {
	t.Helper()
	p, eve := f.person("elsewhere"), f.person("eve elsewhere")
	here, there, hers := f.session(p, "here"), f.session(p, "there"), f.session(eve, "hers")
	want := map[storage.ID]storage.Time{}
	at := after(time.Minute)
	for code, of := range map[string]*storage.Session{"of here": here, "of there": there, "of a device": nil} {
		g := newGrant(p, code)
		if want[g.ID] = at; of != nil {
			g.SessionID = of.ID
		}
		if of == here {
			want[g.ID] = storage.Time{}
		}
		g.Offline = true
		f.must(f.CreateGrant(f.ctx, g))
	}
	want[f.grant(eve, "of eve").ID] = storage.Time{}
	f.must(f.SignOutElsewhere(f.ctx, p.ID, here.ID, "password set", at))
	for se, want := range map[*storage.Session]storage.Time{here: {}, there: at, hers: {}} {
		got, err := f.Session(f.ctx, se.ID)
		f.must(err)
		same(t, want, got.EndedAt)
	}
	for id, want := range want {
		g, err := f.GrantByID(f.ctx, id)
		f.must(err)
		same(t, want, g.Grant.RevokedAt)
	}
}

// People are found by how an address begins, byte by byte on every database, in the
// order of addresses.
func testSearch(t *testing.T, f fixture) {
	names := map[storage.ID]string{}
	for _, address := range []string{"b_a@x.example", "b-c@x.example", "b.b@x.example", "bb@x.example", "a@x.example", "ba@x.example", "ö@x.example", "%b@x.example"} {
		p := f.person(address)
		f.email(p, address, now)
		names[p.ID] = address
	}
	f.must(f.CreateIdentifier(f.ctx, &storage.Identifier{Kind: "phone", Value: "b", PersonID: f.person("phone").ID, CreatedAt: now}))
	for prefix, want := range map[string][]string{
		"b":             {"b-c@x.example", "b.b@x.example", "b_a@x.example", "ba@x.example", "bb@x.example"},
		"b_":            {"b_a@x.example"},
		"%":             {"%b@x.example"},
		"ö":             {"ö@x.example"},
		"ba@x.example":  {"ba@x.example"},
		"ba@x.example ": nil,
		"B":             nil,
		"' OR '1'='1":   nil,
	} {
		for _, limit := range []int{2, 50} {
			var got []string
			for p := (storage.Page{Limit: limit}); ; {
				list, err := f.PersonsIdentified(f.ctx, "email", prefix, p)
				f.must(err)
				for _, person := range list.Items {
					got = append(got, names[person.ID])
				}
				if p.After = list.Next; list.Next == "" {
					break
				}
			}
			same(t, want, got)
		}
	}
}

// An erased person takes all that is theirs along, and leaves what clients are still
// to be told.
func testDeletePerson(t *testing.T, f fixture) {
	ada, bob := f.person("ada"), f.person("bob")
	for _, p := range []*storage.Person{ada, bob} {
		f.email(p, p.Sub+"@example.com", now)
		f.must(f.SetPassword(f.ctx, &storage.Password{PersonID: p.ID, Hash: "x", ChangedAt: now}))
		f.must(f.BeginTOTP(f.ctx, totp(p, "phone"), 5))
		f.phone(p, "+46701740605", now)
		f.must(f.ReplaceRecoveryCodes(f.ctx, p.ID, []storage.RecoveryCode{{Hash: hash(p.Sub), PersonID: p.ID, CreatedAt: now}}))
		se := f.session(p, p.Sub)
		f.grant(p, p.Sub)
		f.member("operators", p)
		f.must(f.SeeDevice(f.ctx, &storage.Device{ID: storage.NewID(), PersonID: p.ID, CreatedAt: now, SeenAt: now, ExpiresAt: after(time.Hour)}))
		f.must(f.CreateDecision(f.ctx, &storage.Decision{ID: storage.NewID(), PersonID: p.ID, Document: doc("{}"), CreatedAt: now}))
		f.must(f.CreateMail(f.ctx, newMail(p, now)))
		f.must(f.PutSentCode(f.ctx, sentCode(storage.NewID(), p.ID, after(time.Hour))))
		f.disownLink(p, p.Sub+"@example.com", p.Sub, now)
		f.must(f.CountWrongTry(f.ctx, storage.WrongTry{PersonID: p.ID, Method: "pwd", ExpiresAt: after(time.Hour)}, now.Time))
		f.must(f.SetConsent(f.ctx, &storage.Consent{PersonID: p.ID, ClientID: "web", CreatedAt: now, UpdatedAt: now}))
		f.must(f.KeepSessionClient(f.ctx, &storage.SessionClient{SessionID: se.ID, ClientID: "web", Sub: p.Sub, CreatedAt: now}))
	}
	f.must(f.CreateClient(f.ctx, &storage.Client{ID: "web", Version: 1, CreatedAt: now, UpdatedAt: now,
		Metadata: storage.Document(storage.ClientMetadata{BackchannelLogoutURI: "https://web.example/bye"})}))

	f.want(storage.ErrNotFound, f.EnablePerson(f.ctx, ada.ID, now)) // is not disabled
	f.want(storage.ErrNotFound, f.DeletePerson(f.ctx, ada.ID))      // has to be, first: or nobody would be told
	f.must(f.DisablePerson(f.ctx, ada.ID, now))
	f.must(f.EnablePerson(f.ctx, ada.ID, after(time.Second)))
	f.must(f.DisablePerson(f.ctx, ada.ID, after(2*time.Second)))
	have, err := f.HavePasswords(f.ctx, []storage.ID{ada.ID, bob.ID, storage.NewID()})
	f.must(err)
	same(t, map[storage.ID]bool{ada.ID: true, bob.ID: true}, have)
	f.must(f.DeletePerson(f.ctx, ada.ID))
	f.want(storage.ErrNotFound, f.DeletePerson(f.ctx, ada.ID))
	rows := providertest.CountRows(t, f.url)
	for _, table := range []string{"persons", "identifiers", "passwords", "totps", "phones", "recovery_codes", "disown_links", "sessions", "session_clients", "grants", "members", "devices", "decisions", "consents", "logout_notices", "mails", "sent_codes", "wrong_tries"} {
		if rows[table] != 1 {
			t.Errorf("%s: %d rows, want one", table, rows[table])
		}
	}
	if have, err = f.HavePasswords(f.ctx, nil); err != nil || len(have) != 0 {
		t.Error(have, err)
	}
	if of, err := f.IdentifiersOf(f.ctx, nil); err != nil || len(of) != 0 {
		t.Error(of, err)
	}
}

func testIdentifiers(t *testing.T, f fixture) {
	p := f.person("ada")
	second := f.email(p, "Ada.Two@Example.com", after(time.Second))
	first := f.email(p, "ada@example.com", now)
	unverified := &storage.Identifier{Kind: "phone", Value: "+46", PersonID: p.ID, CreatedAt: after(time.Minute)}
	f.must(f.CreateIdentifier(f.ctx, unverified))
	list, err := f.Identifiers(f.ctx, p.ID)
	f.must(err)
	same(t, []storage.Identifier{*first, *second, *unverified}, list)

	who, which, err := f.PersonIdentified(f.ctx, "email", "ada.two@example.com")
	f.must(err)
	same(t, p, who)
	same(t, second, which)
	for _, value := range []string{"Ada.Two@Example.com", "", "ada%", "' OR '1'='1"} {
		_, _, err = f.PersonIdentified(f.ctx, "email", value)
		f.want(storage.ErrNotFound, err)
	}
	_, _, err = f.PersonIdentified(f.ctx, "phone", "ada@example.com")
	f.want(storage.ErrNotFound, err)

	thief := f.person("eve")
	taken := *first
	taken.PersonID = thief.ID
	f.want(storage.ErrConflict, f.CreateIdentifier(f.ctx, &taken))
	nobody := &storage.Identifier{Kind: "email", Value: "new@example.com", PersonID: storage.NewID(), CreatedAt: now}
	f.want(storage.ErrNotFound, f.CreateIdentifier(f.ctx, nobody)) // its person does not exist
}

func testPasswords(t *testing.T, f fixture) {
	p := f.person("ada")
	_, err := f.PasswordOf(f.ctx, p.ID)
	f.want(storage.ErrNotFound, err)
	first := &storage.Password{PersonID: p.ID, Hash: "one", ChangedAt: now}
	f.must(f.CreatePassword(f.ctx, first))
	f.want(storage.ErrConflict, f.CreatePassword(f.ctx, first))
	second := &storage.Password{PersonID: p.ID, Hash: "two", ChangedAt: after(time.Hour)}
	f.must(f.SetPassword(f.ctx, second))
	got, err := f.PasswordOf(f.ctx, p.ID)
	f.must(err)
	same(t, second, got)

	f.want(storage.ErrStale, f.RehashPassword(f.ctx, p.ID, "one", "three")) // it was changed meanwhile
	f.must(f.RehashPassword(f.ctx, p.ID, "two", "three"))
	got, err = f.PasswordOf(f.ctx, p.ID)
	f.must(err)
	second.Hash = "three"
	same(t, second, got) // the same password still: ChangedAt stays
	nobodys := &storage.Password{PersonID: storage.NewID(), Hash: "x", ChangedAt: now}
	f.want(storage.ErrNotFound, f.SetPassword(f.ctx, nobodys))
	f.want(storage.ErrNotFound, f.CreatePassword(f.ctx, nobodys))
}

// One that was verified goes while another is there that was verified before it, or by the
// time settled; one that was not goes while another was verified before it was there, or by then. One that is verified anew stays as old
// as it was.
func testRemoveIdentifier(t *testing.T, f fixture) {
	ada, bob := f.person("ada"), f.person("bob")
	f.email(bob, "bob@example.com", now)
	old := f.email(ada, "old@example.com", now)
	remove := func(value string, settled storage.Time) error {
		return f.RemoveIdentifier(f.ctx, "email", value, ada.ID, settled, after(time.Hour))
	}
	f.want(storage.ErrStale, remove(old.Value, after(time.Hour)))
	f.must(f.CreateIdentifier(f.ctx, &storage.Identifier{Kind: "email", Value: "unverified@example.com", PersonID: ada.ID, CreatedAt: now}))
	f.want(storage.ErrStale, remove(old.Value, after(time.Hour)))
	f.want(storage.ErrStale, remove("unverified@example.com", storage.At(now.Add(-time.Second))))
	f.must(remove("unverified@example.com", now))
	f.must(f.CreateIdentifier(f.ctx, &storage.Identifier{Kind: "email", Value: "typo@example.com", PersonID: ada.ID, CreatedAt: after(time.Second)}))
	f.must(remove("typo@example.com", storage.At(now.Add(-time.Second))))
	young := f.email(ada, "young@example.com", after(time.Minute))
	f.want(storage.ErrStale, remove(old.Value, after(time.Second)))
	f.want(storage.ErrStale, remove("bob@example.com", after(time.Hour)))
	f.must(remove(young.Value, now))
	young = f.email(ada, "young@example.com", after(time.Minute))
	again := *young
	again.VerifiedAt = after(time.Hour)
	f.must(f.VerifyIdentifier(f.ctx, &again, 10))
	f.must(remove(old.Value, young.VerifiedAt))
}

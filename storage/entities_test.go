package storage_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// What is written is read back, with every field set and with every field that
// may be empty empty; ErrNotFound and ErrConflict mean the same everywhere.
var entityTests = map[string]func(*testing.T, fixture){
	"keys are kept":                          testKeys,
	"secrets are kept":                       testSecrets,
	"clients are kept":                       testClients,
	"clients are found by a scope":           testClientsWith,
	"resources are kept":                     testResources,
	"persons are kept":                       testPersons,
	"what is known of a person stays":        testRemoveIdentifier,
	"identifiers are kept":                   testIdentifiers,
	"passwords are kept":                     testPasswords,
	"sessions are kept":                      testSessions,
	"devices are kept":                       testDevices,
	"a browser is remembered by a new id":    testRememberedDevices,
	"passkeys are kept":                      testPasskeys,
	"interactions are kept":                  testInteractions,
	"grants are kept":                        testGrants,
	"consents are kept":                      testConsents,
	"access is the grants that live":         testAccess,
	"decisions are kept":                     testDecisions,
	"histories are kept":                     testHistories,
	"revocations are kept":                   testRevocations,
	"a token's life is one row":              testTokenState,
	"opaque tokens are kept":                 testAccessTokens,
	"events are kept":                        testEvents,
	"an id of another shape names no row":    testForeignIDs,
	"a database that is gone is unavailable": testUnavailable,
	"the clock answers":                      testClock,
}

func testKeys(t *testing.T, f fixture) {
	full := &storage.Key{KID: "k1", Alg: "ES256", Public: doc(`{"kty":"EC","x":"å\"'"}`), Sealed: []byte{0, 1, 255},
		CreatedAt: now, ActiveAt: after(time.Minute), RetiredAt: after(time.Hour), ExpiresAt: after(2 * time.Hour)}
	sparse := &storage.Key{KID: "k2", Alg: "RS256", Sealed: []byte{1}, CreatedAt: after(time.Second), ActiveAt: now}
	f.must(f.CreateKey(f.ctx, sparse))
	f.must(f.CreateKey(f.ctx, full))
	got, err := f.Keys(f.ctx)
	f.must(err)
	same(t, []storage.Key{*full, *sparse}, got) // oldest first

	f.want(storage.ErrConflict, f.CreateKey(f.ctx, full))
	// Its times are set and taken away, and another one is added; all or nothing.
	was := []storage.Key{*sparse}
	sparse.ActiveAt, sparse.RetiredAt, sparse.ExpiresAt = after(time.Second), after(time.Hour), after(3*time.Hour)
	third := &storage.Key{KID: "k3", Alg: "RS256", Sealed: []byte{1}, CreatedAt: after(time.Minute), ActiveAt: after(time.Hour)}
	f.want(storage.ErrConflict, f.ReplanKeys(f.ctx, was, now, full, *sparse))
	f.must(f.ReplanKeys(f.ctx, was, now, third, *sparse))
	got, err = f.Keys(f.ctx)
	f.must(err)
	same(t, []storage.Key{*full, *sparse, *third}, got)
	again := *third
	again.KID = "k4"
	f.want(storage.ErrStale, f.ReplanKeys(f.ctx, was, now, &again, *third))

	f.must(f.ReplanKeys(f.ctx, []storage.Key{*full}, now, nil, *full)) // another algorithm's
	f.want(storage.ErrStale, f.ReplanKeys(f.ctx, []storage.Key{*full}, now, nil))
	was = []storage.Key{*sparse, *third}
	ended := *third
	ended.RetiredAt, ended.ExpiresAt = after(time.Minute), after(time.Minute)
	sparse.RetiredAt, sparse.ExpiresAt = storage.Time{}, storage.Time{}
	f.must(f.ReplanKeys(f.ctx, was, now, nil, *sparse, ended))
	got, err = f.Keys(f.ctx)
	f.must(err)
	same(t, []storage.Key{*full, *sparse, ended}, got)

	f.must(f.Revoke(f.ctx, &storage.Revocation{Kind: storage.RevokedJTI, ID: "k1", NotBefore: now, ExpiresAt: now}))
	f.must(f.Revoke(f.ctx, &storage.Revocation{Kind: storage.RevokedKey, ID: "k2", NotBefore: now, ExpiresAt: now}))
	revoked, err := f.RevokedKeys(f.ctx)
	f.must(err)
	same(t, []string{"k2"}, revoked)
}

// Of several replicas that start at once the first one's secret stays.
func testSecrets(t *testing.T, f fixture) {
	_, err := f.SecretNamed(f.ctx, "root")
	f.want(storage.ErrNotFound, err)
	first := &storage.Secret{Name: "root", Sealed: []byte("first"), CreatedAt: now}
	f.must(f.CreateSecret(f.ctx, first))
	f.must(f.CreateSecret(f.ctx, &storage.Secret{Name: "root", Sealed: []byte("second"), CreatedAt: now}))
	got, err := f.SecretNamed(f.ctx, "root")
	f.must(err)
	same(t, first, got)
}

func testClients(t *testing.T, f fixture) {
	age := int64(0)
	full := &storage.Client{ID: "full", Version: 1, Name: "Ø'\";--", Owner: "team", RegisteredBy: storage.RegisteredByOperator,
		Metadata: storage.Document(storage.ClientMetadata{RedirectURIs: []string{"https://a.example/cb?x=1&y=<>"}, GrantTypes: []string{"authorization_code"},
			ResponseTypes: []string{"code"}, Scope: "openid", DefaultMaxAge: &age, FirstParty: true, RequirePKCE: true,
			AppleAppIDs: []string{"ABCDE12345.com.example"}, AndroidApps: []storage.AndroidApp{{Package: "com.example", Fingerprints: []string{"AB:CD"}}}}),
		Secrets:   storage.Document([]storage.ClientSecret{{SHA256: hash("s"), CreatedAt: 1, ExpiresAt: 2}}),
		CreatedAt: now, UpdatedAt: now, DisabledAt: now}
	empty := &storage.Client{ID: "empty", CreatedAt: now, UpdatedAt: now}
	f.group("team")
	for _, c := range []*storage.Client{full, empty} {
		f.must(f.CreateClient(f.ctx, c))
		got, err := f.Client(f.ctx, c.ID)
		f.must(err)
		same(t, c, got)
		f.want(storage.ErrConflict, f.CreateClient(f.ctx, c))
	}
	list, err := f.Clients(f.ctx, storage.Page{Limit: 10})
	f.must(err)
	same(t, storage.List[storage.Client]{Items: []storage.Client{*empty, *full}}, list)
	list, err = f.Clients(f.ctx, storage.Page{Limit: 1})
	f.must(err)
	same(t, storage.List[storage.Client]{Items: []storage.Client{*empty}, Next: "empty"}, list)
	list, err = f.Clients(f.ctx, storage.Page{After: "empty", Limit: 1})
	f.must(err)
	same(t, storage.List[storage.Client]{Items: []storage.Client{*full}}, list)

	places := func(after string, limit int) []storage.ClientPlaces {
		t.Helper()
		rs, err := f.Places(f.ctx, after, limit)
		f.must(err)
		return rs
	}
	same(t, []storage.ClientPlaces{{ID: "empty"}}, places("", 10)) // the other one is disabled
	marks := map[string]bool{}
	marked := func(what string) {
		t.Helper()
		mark, err := f.ClientsMark(f.ctx)
		f.must(err)
		again, err := f.ClientsMark(f.ctx)
		f.must(err)
		if marks[mark] || again != mark {
			t.Errorf("%s: the mark is %s, then %s, and was one of %v", what, mark, again, marks)
		}
		marks[mark] = true
	}
	marked("at first")

	atFull := storage.ClientPlaces{
		ID: "full", URIs: full.Metadata.V.RedirectURIs, Apple: full.Metadata.V.AppleAppIDs, Android: storage.Document(full.Metadata.V.AndroidApps),
	}
	read := *full
	full.Name, full.DisabledAt = "New", storage.Time{}
	f.must(f.UpdateClient(f.ctx, full))
	marked("after an update")
	same(t, []storage.ClientPlaces{{ID: "empty"}, atFull}, places("", 10))
	same(t, []storage.ClientPlaces{{ID: "empty"}}, places("", 1))
	same(t, []storage.ClientPlaces{atFull}, places("empty", 1))
	f.want(storage.ErrStale, f.UpdateClient(f.ctx, &read)) // somebody else was first
	got, err := f.Client(f.ctx, "full")
	f.must(err)
	same(t, full, got)
	if got.Version != 2 || !got.DisabledAt.IsZero() {
		t.Errorf("after the update: version %d, disabled at %v", got.Version, got.DisabledAt)
	}

	p := f.person("ada")
	g := f.grant(p, "code")
	g.ClientID = "full"
	other := newGrant(p, "other code")
	other.ClientID = "full"
	f.must(f.CreateGrant(f.ctx, other))
	f.must(f.SetConsent(f.ctx, &storage.Consent{PersonID: p.ID, ClientID: "full", CreatedAt: now, UpdatedAt: now}))
	f.want(storage.ErrStale, f.DeleteClient(f.ctx, &read, now)) // somebody changed it since
	f.must(f.DeleteClient(f.ctx, full, now))
	marked("after a deletion")
	f.must(f.CreateClient(f.ctx, &storage.Client{ID: "next", Version: full.Version, CreatedAt: after(time.Second), UpdatedAt: after(time.Second)}))
	marked("after another took its place")
	f.want(storage.ErrStale, f.DeleteClient(f.ctx, full, now))
	_, err = f.Client(f.ctx, "full")
	f.want(storage.ErrNotFound, err)
	_, err = f.ConsentOf(f.ctx, p.ID, "full")
	f.want(storage.ErrNotFound, err)
	revoked, err := f.GrantByID(f.ctx, other.ID)
	f.must(err)
	kept, err := f.GrantByID(f.ctx, g.ID)
	f.must(err)
	if revoked.Grant.RevokedAt.IsZero() || !kept.Grant.RevokedAt.IsZero() {
		t.Errorf("deleting a client must revoke its grants and no other: its own %v, another's %v", revoked.Grant.RevokedAt, kept.Grant.RevokedAt)
	}
}

// By the whole name of a scope, disabled or not, and no more than was asked for.
func testClientsWith(t *testing.T, f fixture) {
	for id, scope := range map[string]string{"a": "cars openid", "b": "cars.read", "c": "openid cars", "d": "CARS a%", "e": "x cars y"} {
		f.must(f.CreateClient(f.ctx, &storage.Client{ID: id, Metadata: storage.Document(storage.ClientMetadata{Scope: scope}), CreatedAt: now, UpdatedAt: now}))
	}
	for _, tc := range []struct {
		scopes []string
		limit  int
		want   []string
	}{
		{[]string{"cars"}, 9, []string{"a", "c", "e"}}, {[]string{"cars"}, 2, []string{"a", "c"}}, {[]string{"none", "cars.read", "CARS"}, 9, []string{"b", "d"}},
		{[]string{"a%"}, 9, []string{"d"}}, {[]string{"a_"}, 9, nil}, {nil, 9, nil},
	} {
		got, err := f.ClientsWith(f.ctx, tc.scopes, tc.limit)
		f.must(err)
		same(t, tc.want, got)
	}
}

func testResources(t *testing.T, f fixture) {
	full := &storage.Resource{Audience: "https://api.example/a", Version: 1, Name: "API", Owner: "team", Scopes: storage.Strings{"cars.read", "cars.write"},
		Introspects: storage.Strings{"web"}, Format: "jwt", Alg: "ES256", Lifetime: 600, CreatedAt: now, UpdatedAt: now}
	empty := &storage.Resource{Audience: "https://api.example/b", CreatedAt: now, UpdatedAt: now}
	f.group("team")
	for _, r := range []*storage.Resource{empty, full} {
		f.must(f.CreateResource(f.ctx, r))
		got, err := f.Resource(f.ctx, r.Audience)
		f.must(err)
		same(t, r, got)
		f.want(storage.ErrConflict, f.CreateResource(f.ctx, r))
	}
	list, err := f.Resources(f.ctx)
	f.must(err)
	same(t, []storage.Resource{*full, *empty}, list)
	page, err := f.PageResources(f.ctx, storage.Page{Limit: 1})
	f.must(err)
	same(t, storage.List[storage.Resource]{Items: []storage.Resource{*full}, Next: full.Audience}, page)
	page, err = f.PageResources(f.ctx, storage.Page{After: full.Audience, Limit: 2})
	f.must(err)
	same(t, storage.List[storage.Resource]{Items: []storage.Resource{*empty}}, page)
	read := *full
	full.Name, full.Scopes, full.Format, full.Lifetime = "New", storage.Strings{"cars.read"}, "opaque", 60
	f.must(f.UpdateResource(f.ctx, full))
	got, err := f.Resource(f.ctx, full.Audience)
	f.must(err)
	same(t, full, got)
	if got.Version != 2 {
		t.Errorf("after the update: version %d", got.Version)
	}
	f.want(storage.ErrStale, f.UpdateResource(f.ctx, &read)) // somebody else was first
	f.want(storage.ErrStale, f.DeleteResource(f.ctx, &read))
	f.must(f.DeleteResource(f.ctx, full))
	f.want(storage.ErrStale, f.DeleteResource(f.ctx, full))
	_, err = f.Resource(f.ctx, full.Audience)
	f.want(storage.ErrNotFound, err)
}

func testDevices(t *testing.T, f fixture) {
	p, id := f.person("ada"), storage.NewID()
	known := func(who storage.ID, at storage.Time) bool {
		t.Helper()
		ok, err := f.DeviceKnown(f.ctx, id, who, at)
		f.must(err)
		return ok
	}
	if known(p.ID, now) {
		t.Error("a device is known before it was seen")
	}
	f.must(f.SeeDevice(f.ctx, &storage.Device{ID: id, PersonID: p.ID, CreatedAt: now, SeenAt: now, ExpiresAt: after(time.Hour)}))
	if !known(p.ID, now) || known(p.ID, after(time.Hour)) {
		t.Error("a device must be known until it lapses")
	}
	f.must(f.SeeDevice(f.ctx, &storage.Device{ID: id, PersonID: p.ID, CreatedAt: after(time.Hour), SeenAt: after(time.Hour), ExpiresAt: after(2 * time.Hour)}))
	if !known(p.ID, after(time.Hour)) {
		t.Error("seeing a device again must renew it")
	}
	if known(f.person("eve").ID, now) {
		t.Error("one person's device is known for another")
	}
}

// A browser that is remembered gets another id for all who sign in with it; being seen
// again takes nothing away; removing what it was remembered by does.
func testRememberedDevices(t *testing.T, f fixture) {
	ada, bob, cy, id, fresh, by := f.person("ada"), f.person("bob"), f.person("cy"), storage.NewID(), storage.NewID(), storage.NewID()
	for _, p := range []*storage.Person{ada, bob, cy} {
		f.must(f.SeeDevice(f.ctx, &storage.Device{
			ID: id, PersonID: p.ID, CreatedAt: now, SeenAt: now, ExpiresAt: after(3 * time.Hour),
			ProvenAt: now, BoundAt: now, RememberedUntil: after(2 * time.Hour), RememberedBy: by,
		}))
	}
	d := &storage.Device{
		ID: fresh, PersonID: ada.ID, CreatedAt: now, SeenAt: now, ExpiresAt: after(3 * time.Hour), Browser: "Firefox", System: "Linux",
		ProvenAt: now, BoundAt: now, RememberedUntil: after(2 * time.Hour), RememberedBy: by,
	}
	f.must(f.RotateDevice(f.ctx, d, id, bob.ID)) // cy is not signed in there
	for who, keeps := range map[storage.ID]bool{bob.ID: true, cy.ID: false} {
		theirs, err := f.LoadArrival(f.ctx, who, fresh, now)
		f.must(err)
		if d := theirs.Device; d.Remembers(now) != keeps || d.ProvenAt.IsZero() == keeps || d.BoundAt.IsZero() == keeps || (d.RememberedBy == by) != keeps {
			t.Errorf("who is signed in there: %v, and has %+v", keeps, d)
		}
	}
	got, err := f.LoadArrival(f.ctx, ada.ID, fresh, now)
	f.must(err)
	same(t, &storage.Arrival{Device: *d}, got)
	if !d.Remembers(after(time.Hour)) || d.Remembers(after(2*time.Hour)) {
		t.Error("a device is remembered until the end of its time")
	}
	for name, who := range map[string]storage.ID{"hers": ada.ID, "his": bob.ID, "cy's": cy.ID} {
		if ok, err := f.DeviceKnown(f.ctx, id, who, now); err != nil || ok {
			t.Errorf("%s is known by the old id: %v, %v", name, ok, err)
		}
		if ok, err := f.DeviceKnown(f.ctx, fresh, who, now); err != nil || !ok {
			t.Errorf("%s is known by the new id: %v, %v", name, ok, err)
		}
	}
	f.must(f.SeeDevice(f.ctx, &storage.Device{ID: fresh, PersonID: ada.ID, CreatedAt: after(time.Hour), SeenAt: after(time.Hour), ExpiresAt: after(4 * time.Hour), Browser: "Chrome", System: "Linux"}))
	d.SeenAt, d.ExpiresAt, d.Browser = after(time.Hour), after(4*time.Hour), "Chrome"
	f.must(f.SeeDevice(f.ctx, &storage.Device{ID: id, PersonID: ada.ID, CreatedAt: now, SeenAt: after(2 * time.Hour), ExpiresAt: after(3 * time.Hour)}))
	all, err := f.DevicesOf(f.ctx, ada.ID, now, 10)
	f.must(err)
	if len(all) != 2 || all[0].ID != id {
		t.Errorf("devices %+v", all)
	}
	same(t, d, &all[1])
	if some, err := f.DevicesOf(f.ctx, ada.ID, after(3*time.Hour), 1); err != nil || len(some) != 1 || some[0].ID != fresh {
		t.Errorf("devices that did not lapse %+v, %v", some, err)
	}

	f.must(f.BeginTOTP(f.ctx, &storage.TOTP{ID: by, PersonID: ada.ID, Name: "phone", Seed: []byte("sealed"), CreatedAt: now, ExpiresAt: after(time.Hour)}, 5))
	f.must(f.ConfirmTOTP(f.ctx, ada.ID, by, 1, now, 5))
	f.must(f.RemoveTOTP(f.ctx, ada.ID, by))
	got, err = f.LoadArrival(f.ctx, ada.ID, fresh, now)
	f.must(err)
	if got.Device.Remembers(now) || got.Device.ProvenAt.IsZero() {
		t.Errorf("without what it was remembered by: %+v", got.Device)
	}

	f.want(storage.ErrNotFound, f.ForgetDevice(f.ctx, ada.ID, storage.NewID()))
	f.must(f.ForgetDevice(f.ctx, ada.ID, fresh))
	f.want(storage.ErrNotFound, f.ForgetDevice(f.ctx, ada.ID, fresh))
	if ok, err := f.DeviceKnown(f.ctx, fresh, bob.ID, now); err != nil || !ok {
		t.Errorf("she forgot her browser, and his is gone: %v, %v", ok, err)
	}
	_, err = f.LoadArrival(f.ctx, storage.NewID(), fresh, now)
	f.want(storage.ErrNotFound, err)
	f.must(f.SetAsking(f.ctx, ada.ID, "always"))
	if got, err = f.LoadArrival(f.ctx, ada.ID, fresh, now); err != nil || got.Asking != "always" {
		t.Errorf("asking %+v, %v", got, err)
	}
	f.want(storage.ErrNotFound, f.SetAsking(f.ctx, storage.NewID(), "always"))
}

func testConsents(t *testing.T, f fixture) {
	p := f.person("ada")
	_, err := f.ConsentOf(f.ctx, p.ID, "web")
	f.want(storage.ErrNotFound, err)
	f.must(f.SetConsent(f.ctx, &storage.Consent{PersonID: p.ID, ClientID: "web", CreatedAt: now, UpdatedAt: now}))
	later := &storage.Consent{PersonID: p.ID, ClientID: "web", Scopes: storage.Strings{"openid", "email"}, Resources: storage.Strings{"https://api.example"},
		Claims: storage.Strings{"birthdate"}, CreatedAt: after(time.Hour), UpdatedAt: after(time.Hour)}
	f.must(f.SetConsent(f.ctx, later))
	got, err := f.ConsentOf(f.ctx, p.ID, "web")
	f.must(err)
	later.CreatedAt = now // the row is the pair's first one
	same(t, later, got)

	eve := f.person("eve")
	other := &storage.Consent{PersonID: p.ID, ClientID: "app", CreatedAt: now, UpdatedAt: now}
	f.must(f.SetConsent(f.ctx, other))
	f.must(f.SetConsent(f.ctx, &storage.Consent{PersonID: eve.ID, ClientID: "web", CreatedAt: now, UpdatedAt: now}))
	all, err := f.ConsentsOf(f.ctx, p.ID)
	f.must(err)
	same(t, []storage.Consent{*other, *later}, all)

	// Withdrawn, the row tells that it was, and how often; one that was never there too.
	f.must(f.WithdrawConsent(f.ctx, p.ID, "web", 0, after(2*time.Hour)))
	f.want(storage.ErrStale, f.WithdrawConsent(f.ctx, p.ID, "web", 0, after(3*time.Hour)))
	f.must(f.WithdrawConsent(f.ctx, p.ID, "new", 0, now))
	none := storage.Strings{}
	gone := &storage.Consent{PersonID: p.ID, ClientID: "web", Scopes: none, Resources: none, Claims: none, Withdrawals: 1, WithdrawnAt: after(2 * time.Hour),
		CreatedAt: now, UpdatedAt: after(2 * time.Hour)}
	all, err = f.ConsentsOf(f.ctx, p.ID)
	f.must(err)
	same(t, []storage.Consent{*other, {PersonID: p.ID, ClientID: "new", Scopes: none, Resources: none, Claims: none, Withdrawals: 1, WithdrawnAt: now, CreatedAt: now, UpdatedAt: now}, *gone}, all)
	if gone.Stands() || !other.Stands() || (*storage.Consent)(nil).Stands() || new(storage.Consent).Stands() {
		t.Error("a consent stands that does not, or the other way round")
	}
	theirs, err := f.ConsentOf(f.ctx, eve.ID, "web")
	f.must(err)
	if !theirs.Stands() {
		t.Error("another person's consent was withdrawn")
	}

	// What was agreed to before a withdrawal is not written after it; what is agreed to then is.
	f.must(f.SetConsent(f.ctx, later))
	got, err = f.ConsentOf(f.ctx, p.ID, "web")
	f.must(err)
	same(t, gone, got)
	later.Withdrawals, later.CreatedAt, later.UpdatedAt = 1, after(3*time.Hour), after(3*time.Hour)
	f.must(f.SetConsent(f.ctx, later))
	got, err = f.ConsentOf(f.ctx, p.ID, "web")
	f.must(err)
	same(t, later, got)
}

// What a client may do for a person, and the end of all of it at once.
func testAccess(t *testing.T, f fixture) {
	p, eve := f.person("ada"), f.person("eve")
	living, ended := f.session(p, "living"), f.session(p, "ended")
	f.must(f.EndSession(f.ctx, ended.ID, now))
	made := map[string]*storage.Grant{}
	for name, change := range map[string]func(*storage.Grant){
		"plain":                func(*storage.Grant) {},
		"plain again":          func(g *storage.Grant) { g.CreatedAt = after(-time.Hour) },
		"of a session":         func(g *storage.Grant) { g.SessionID, g.Scopes = living.ID, storage.Strings{"openid", "email"} },
		"offline":              func(g *storage.Grant) { g.SessionID, g.Offline, g.ClientID = ended.ID, true, "app" },
		"of a code that waits": func(g *storage.Grant) { g.CodeUsedAt, g.ClientID = storage.Time{}, "code" },
		"refreshed": func(g *storage.Grant) {
			g.CodeUsedAt, g.RotatedAt, g.IdleExpiresAt, g.ClientID = after(-3*time.Hour), after(-time.Minute), now, "refreshed"
		},
		"to be refreshed": func(g *storage.Grant) {
			g.CodeUsedAt, g.RotatedAt, g.IdleExpiresAt, g.ClientID, g.Resources = after(-3*time.Hour), after(-2*time.Hour), after(time.Second), "refreshes", storage.Strings{"https://api.example"}
		},
		"of tokens that lapsed": func(g *storage.Grant) {
			g.CodeUsedAt, g.RotatedAt, g.IdleExpiresAt, g.ClientID = after(-3*time.Hour), after(-2*time.Hour), now, "idle"
		},
		"of no refresh token":      func(g *storage.Grant) { g.CodeUsedAt, g.ClientID = after(-time.Hour), "lapsed tokens" },
		"of a withdrawn client":    func(g *storage.Grant) { g.ClientID = "withdrawn" },
		"of a client let in again": func(g *storage.Grant) { g.ClientID, g.Withdrawals = "again", 1 },
		"of an ended one":          func(g *storage.Grant) { g.SessionID, g.ClientID = ended.ID, "ended" },
		"of a session gone":        func(g *storage.Grant) { g.SessionID, g.ClientID = storage.NewID(), "gone" },
		"lapsed":                   func(g *storage.Grant) { g.ExpiresAt, g.ClientID = now, "lapsed" },
		"another person's":         func(g *storage.Grant) { g.PersonID = eve.ID },
		"revoked":                  func(g *storage.Grant) { g.RevokedAt, g.RevokedWhy, g.ClientID = now, "earlier", "revoked" },
	} {
		g := newGrant(p, name)
		g.CodeUsedAt = now
		change(g)
		f.must(f.CreateGrant(f.ctx, g))
		made[name] = g
	}
	openid := storage.Strings{"openid"}
	web := []storage.Access{
		{ClientID: "web", Scopes: openid, Resources: storage.Strings{}, Used: true, Since: after(-time.Hour)},
		{ClientID: "web", Scopes: storage.Strings{"openid", "email"}, Resources: storage.Strings{}, Used: true, Since: now},
	}
	others := []storage.Access{
		{ClientID: "again", Scopes: openid, Resources: storage.Strings{}, Used: true, Since: now},
		{ClientID: "app", Scopes: openid, Resources: storage.Strings{}, Used: true, Since: now},
		{ClientID: "code", Scopes: openid, Resources: storage.Strings{}, Since: now},
		{ClientID: "idle", Scopes: openid, Resources: storage.Strings{}, Since: now},
		{ClientID: "lapsed tokens", Scopes: openid, Resources: storage.Strings{}, Since: now},
		{ClientID: "refreshed", Scopes: openid, Resources: storage.Strings{}, Used: true, Since: now},
		{ClientID: "refreshes", Scopes: openid, Resources: storage.Strings{"https://api.example"}, Used: true, Since: now},
	}
	f.must(f.WithdrawConsent(f.ctx, p.ID, "withdrawn", 0, now))
	f.must(f.WithdrawConsent(f.ctx, p.ID, "again", 0, now))
	read := func() ([]storage.Access, error) { return f.AccessTo(f.ctx, p.ID, now, after(-time.Hour)) }
	got, err := read()
	f.must(err)
	same(t, slices.Concat(others, web), got)

	f.must(f.SetConsent(f.ctx, &storage.Consent{PersonID: p.ID, ClientID: "web", CreatedAt: now, UpdatedAt: now}))
	end := func() error {
		unit := storage.WithUnit(f.ctx)
		f.must(f.WithdrawConsent(unit, p.ID, "web", 0, after(time.Minute)))
		f.must(f.RevokeGrantsOf(unit, p.ID, "web", "withdrawn", after(time.Minute), after(time.Hour)))
		return f.Flush(unit)
	}
	f.must(end())
	got, err = read()
	f.must(err)
	same(t, others, got)
	for name, revoked := range map[string]bool{"plain": true, "plain again": true, "of a session": true, "offline": false, "another person's": false, "revoked": false} {
		rows, err := f.Revocations(f.ctx, map[string]string{storage.RevokedGrant: string(made[name].ID)})
		f.must(err)
		state, err := f.GrantByID(f.ctx, made[name].ID)
		f.must(err)
		if len(rows) == 1 != revoked || (state.Grant.RevokedWhy == "withdrawn") != revoked {
			t.Errorf("%s: %v, %q", name, rows, state.Grant.RevokedWhy)
		}
		if revoked {
			same(t, storage.Revocation{Kind: storage.RevokedGrant, ID: string(made[name].ID), NotBefore: after(time.Minute), ExpiresAt: after(time.Hour)}, rows[0])
		}
	}
	// The guard holds back all of the unit: a grant made meanwhile is not theirs to end.
	late := f.grant(p, "late")
	f.want(storage.ErrStale, end())
	state, err := f.GrantByID(f.ctx, late.ID)
	f.must(err)
	if rows, err := f.Revocations(f.ctx, map[string]string{storage.RevokedGrant: string(late.ID)}); err != nil || len(rows) != 0 || !state.Grant.RevokedAt.IsZero() {
		t.Errorf("of a withdrawal that came second: %v, %v, revoked at %v", rows, err, state.Grant.RevokedAt)
	}
	// It is dead all the same: it does not know of the first. One that does lives.
	if !state.Withdrawn || state.Alive(now.Time) {
		t.Errorf("a grant that was on its way: withdrawn %v, alive %v", state.Withdrawn, state.Alive(now.Time))
	}
	again := newGrant(p, "again and again")
	again.Withdrawals = 1
	f.must(f.CreateGrant(f.ctx, again))
	state, err = f.GrantByID(f.ctx, again.ID)
	f.must(err)
	if state.Withdrawn || !state.Alive(now.Time) {
		t.Errorf("a grant of who let the client in again: withdrawn %v, alive %v", state.Withdrawn, state.Alive(now.Time))
	}
}

func testDecisions(t *testing.T, f fixture) {
	full := &storage.Decision{ID: storage.NewID(), PersonID: f.person("ada").ID, ClientID: "web", Outcome: "allow", Rule: "all",
		Document: doc(`{"v":1,"score":-0.25,"big":12345678901234567890}`), CreatedAt: now}
	empty := &storage.Decision{ID: storage.NewID(), CreatedAt: now}
	for _, d := range []*storage.Decision{full, empty} {
		f.must(f.CreateDecision(f.ctx, d))
		got, err := f.DecisionByID(f.ctx, d.ID)
		f.must(err)
		same(t, d, got)
	}
	_, err := f.DecisionByID(f.ctx, storage.NewID())
	f.want(storage.ErrNotFound, err)
	later := &storage.Decision{ID: storage.NewID(), ClientID: "later", CreatedAt: storage.At(now.Add(time.Second))}
	f.must(f.CreateDecision(f.ctx, later))
	var all []storage.ID
	var last *storage.Decision
	for {
		some, err := f.DecisionsSince(f.ctx, now.Time, last, 1)
		f.must(err)
		if len(some) == 0 {
			break
		}
		all = append(all, some[0].ID)
		last = &some[0]
	}
	same(t, []storage.ID{min(full.ID, empty.ID), max(full.ID, empty.ID), later.ID}, all)
	some, err := f.DecisionsSince(f.ctx, now.Add(time.Millisecond), nil, 10)
	f.must(err)
	if len(some) != 1 || some[0].ID != later.ID {
		t.Errorf("of later ones: %v", some)
	}
}

func testHistories(t *testing.T, f fixture) {
	p := f.person("ada")
	_, err := f.HistoryOf(f.ctx, p.ID)
	f.want(storage.ErrNotFound, err)
	f.must(f.SetHistory(f.ctx, &storage.History{PersonID: p.ID, Document: doc(`{"n":1}`), UpdatedAt: now}))
	second := &storage.History{PersonID: p.ID, Document: doc(`{"n":2}`), UpdatedAt: after(time.Hour)}
	f.must(f.SetHistory(f.ctx, second))
	got, err := f.HistoryOf(f.ctx, p.ID)
	f.must(err)
	same(t, second, got)
}

func testRevocations(t *testing.T, f fixture) {
	jti := &storage.Revocation{Kind: storage.RevokedJTI, ID: "t1", NotBefore: now, ExpiresAt: after(time.Hour)}
	client := &storage.Revocation{Kind: storage.RevokedClient, ID: "web", NotBefore: now, ExpiresAt: after(time.Hour)}
	f.must(f.Revoke(f.ctx, jti))
	f.must(f.Revoke(f.ctx, client))
	jti.NotBefore, jti.ExpiresAt = after(time.Minute), after(2*time.Hour)
	f.must(f.Revoke(f.ctx, jti)) // again, later
	for name, tc := range map[string]struct {
		ids  map[string]string
		want []storage.Revocation
	}{
		"both":              {map[string]string{storage.RevokedJTI: "t1", storage.RevokedClient: "web"}, []storage.Revocation{*client, *jti}},
		"one of two":        {map[string]string{storage.RevokedJTI: "t1", storage.RevokedClient: "other"}, []storage.Revocation{*jti}},
		"kinds stay apart":  {map[string]string{storage.RevokedGrant: "t1", storage.RevokedPerson: "web"}, nil},
		"an empty id":       {map[string]string{storage.RevokedJTI: "", storage.RevokedClient: "web"}, []storage.Revocation{*client}},
		"no id that counts": {map[string]string{storage.RevokedJTI: ""}, nil},
		"nothing asked":     {nil, nil},
	} {
		got, err := f.Revocations(f.ctx, tc.ids)
		f.must(err)
		if len(got) == 2 && got[0].Kind > got[1].Kind {
			got[0], got[1] = got[1], got[0]
		}
		t.Run(name, func(t *testing.T) { same(t, tc.want, got) })
	}
}

func testEvents(t *testing.T, f fixture) {
	full := &storage.Event{ID: storage.NewID(), Kind: "key.rotated", Actor: "operator", ActorID: "terraform", PersonID: f.person("ada").ID, ClientID: "web", RequestID: "r1",
		Origin: []byte{1, 2, 3}, Document: doc(`{"kid":"k"}`), CreatedAt: now}
	empty := &storage.Event{ID: storage.NewID(), CreatedAt: after(time.Second)}
	f.must(f.CreateEvent(f.ctx, full))
	f.must(f.CreateEvent(f.ctx, empty))
	got, err := f.Events(f.ctx, 10)
	f.must(err)
	same(t, []storage.Event{*empty, *full}, got) // newest first
	got, err = f.Events(f.ctx, 1)
	f.must(err)
	same(t, []storage.Event{*empty}, got)
}

// An id that is no UUID names no row: neither an error of the database's nor,
// as with ids that are spliced into a condition, somebody else's row (CVEs of
// string ids in gorm's First).
func testForeignIDs(t *testing.T, f fixture) {
	p := f.person("ada")
	for _, id := range []storage.ID{"", "1", "1=1) OR (1=1", "' OR '1'='1", p.ID + " ", "{" + p.ID + "}", "urn:uuid:" + p.ID, "\x00"} {
		for name, read := range map[string]func() error{
			"person":      func() error { _, err := f.Person(f.ctx, id); return err },
			"password":    func() error { _, err := f.PasswordOf(f.ctx, id); return err },
			"history":     func() error { _, err := f.HistoryOf(f.ctx, id); return err },
			"consent":     func() error { _, err := f.ConsentOf(f.ctx, id, "web"); return err },
			"session":     func() error { _, err := f.Session(f.ctx, id); return err },
			"grant":       func() error { _, err := f.GrantByID(f.ctx, id); return err },
			"decision":    func() error { _, err := f.DecisionByID(f.ctx, id); return err },
			"interaction": func() error { _, err := f.Interaction(f.ctx, id, hash("browser"), now); return err },
		} {
			if err := read(); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("%s %q: got %v, want %v", name, id, err, storage.ErrNotFound)
			}
		}
	}
}

// The database's clock is read in UTC, to the millisecond at least.
func testClock(t *testing.T, f fixture) {
	before := time.Now().Add(-time.Second)
	at, err := f.Now(f.ctx)
	f.must(err)
	if at.Before(before) || at.After(time.Now().Add(time.Second)) {
		t.Errorf("the database says it is %v", at)
	}
}

// What cannot be answered now is told apart from what was answered with no.
func testUnavailable(t *testing.T, f fixture) {
	other := open(t, f.url)
	f.must(other.Close())
	if _, err := other.Person(f.ctx, storage.NewID()); !storage.Unavailable(err) {
		t.Errorf("a closed store: %v", err)
	}
	unit := storage.WithUnit(f.ctx)
	f.must(other.CreateEvent(unit, event("a")))
	f.must(other.CreateEvent(unit, event("b")))
	if err := other.Flush(unit); !storage.Unavailable(err) {
		t.Errorf("a closed store: %v", err)
	}
	p := f.person("ada")
	f.email(p, "ada@example.com", now)
	_, notFound := f.Person(f.ctx, storage.NewID())
	conflict := f.CreateIdentifier(f.ctx, &storage.Identifier{Kind: "email", Value: "ada@example.com", PersonID: p.ID, CreatedAt: now})
	for _, err := range []error{nil, notFound, conflict} {
		if storage.Unavailable(err) {
			t.Errorf("%v is an answer", err)
		}
	}
	if !f.onPostgres() {
		return
	}
	for state, want := range map[string]bool{"40001": true, "40P01": true, "53300": true, "57P03": true, "25006": true, "22003": false, "42501": false} {
		_, err := f.SQL().ExecContext(f.ctx, "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '"+state+"'; END $$")
		if err == nil || storage.Unavailable(err) != want {
			t.Errorf("%s: %v: unavailable must be %v", state, err, want)
		}
	}
}

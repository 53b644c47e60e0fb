package storage_test

import (
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// All that a token hangs on comes back in one row, whether it is there or not.
func testTokenState(t *testing.T, f fixture) {
	p := &storage.Person{ID: storage.NewID(), Sub: "ada", Name: "Ada L", Locale: "sv", Claims: doc(`{"website":"https://ada.example"}`), CreatedAt: now, UpdatedAt: after(time.Second)}
	f.must(f.CreatePerson(f.ctx, p))
	f.email(p, "Two@example.com", after(time.Hour))
	f.email(p, "One@example.com", after(time.Minute))
	f.must(f.CreateClient(f.ctx, &storage.Client{ID: "web", Version: 1, CreatedAt: now, UpdatedAt: now}))
	f.must(f.CreateClient(f.ctx, &storage.Client{ID: "closed", Version: 1, CreatedAt: now, UpdatedAt: now, DisabledAt: now}))
	se := f.session(p, "secret")
	g := newGrant(p, "code")
	g.SessionID, g.Offline = se.ID, true
	g.Claims = storage.Document(storage.ClaimsAsked{Userinfo: map[string][]any{"email": nil}})
	f.must(f.CreateGrant(f.ctx, g))
	ids := storage.TokenIDs{JTI: "t1", GrantID: g.ID, ClientID: "web", KeyID: "k1"}

	brief := storage.TokenState{ClientEnabled: true, GrantState: storage.GrantState{
		Grant:            storage.Grant{ID: g.ID, ClientID: "web", PersonID: p.ID, SessionID: se.ID, Sub: "ada", Offline: true, ExpiresAt: g.ExpiresAt},
		SessionExpiresAt: se.ExpiresAt,
	}}
	got, err := f.TokenState(f.ctx, ids)
	f.must(err)
	same(t, &brief, got)

	full := brief
	full.PersonName, full.PersonLocale, full.PersonClaims, full.PersonUpdatedAt = p.Name, p.Locale, p.Claims, p.UpdatedAt
	full.Email, full.EmailVerifiedAt, full.Grant.Claims = "One@example.com", after(time.Minute), g.Claims
	got, err = f.TokenPerson(f.ctx, ids)
	f.must(err)
	same(t, &full, got)

	for name, c := range map[string]struct {
		ids  storage.TokenIDs
		want storage.TokenState
	}{
		"of no grant":             {storage.TokenIDs{JTI: "t1", ClientID: "web", KeyID: "k1"}, storage.TokenState{ClientEnabled: true}},
		"of a grant that is gone": {storage.TokenIDs{GrantID: storage.NewID(), ClientID: "web"}, storage.TokenState{ClientEnabled: true}},
		"of a disabled client":    {storage.TokenIDs{ClientID: "closed"}, storage.TokenState{}},
		"of nobody":               {storage.TokenIDs{}, storage.TokenState{}},
	} {
		for _, read := range []func(storage.TokenIDs) (*storage.TokenState, error){
			func(ids storage.TokenIDs) (*storage.TokenState, error) { return f.TokenState(f.ctx, ids) },
			func(ids storage.TokenIDs) (*storage.TokenState, error) { return f.TokenPerson(f.ctx, ids) },
		} {
			got, err := read(c.ids)
			f.must(err)
			t.Run(name, func(t *testing.T) { same(t, &c.want, got) })
		}
	}

	// Each kind of id counts, by its own kind; of several revocations the newest.
	for i, r := range []storage.Revocation{
		{Kind: storage.RevokedJTI, ID: "t1"}, {Kind: storage.RevokedGrant, ID: string(g.ID)}, {Kind: storage.RevokedClient, ID: "web"}, {Kind: storage.RevokedKey, ID: "k1"},
		{Kind: storage.RevokedClient, ID: "t1"}, {Kind: storage.RevokedJTI, ID: "k1"}, {Kind: storage.RevokedGrant, ID: ""},
	} {
		r.NotBefore, r.ExpiresAt = after(time.Duration(i)*time.Minute), after(time.Hour)
		f.must(f.Revoke(f.ctx, &r))
		brief.RevokedBefore = after(time.Duration(min(i, 3)) * time.Minute)
		got, err := f.TokenState(f.ctx, ids)
		f.must(err)
		same(t, &brief, got)
	}

	// A withdrawal counts without a revocation: its grant may have come too late for one.
	f.must(f.WithdrawConsent(f.ctx, p.ID, "web", 0, now))
	brief.Withdrawn = true
	got, err = f.TokenState(f.ctx, ids)
	f.must(err)
	same(t, &brief, got)
	person, err := f.TokenPerson(f.ctx, ids)
	f.must(err)
	if !person.Withdrawn || person.Alive(now.Time) || got.Alive(now.Time) {
		t.Errorf("withdrawn %v, alive %v and %v", person.Withdrawn, person.Alive(now.Time), got.Alive(now.Time))
	}
}

// An opaque token comes back with all that it hangs on, lapsed or not.
func testAccessTokens(t *testing.T, f fixture) {
	p := f.person("ada")
	f.must(f.CreateClient(f.ctx, &storage.Client{ID: "web", Version: 1, CreatedAt: now, UpdatedAt: now}))
	g := f.grant(p, "code")
	full := storage.AccessToken{Hash: hash("full"), GrantID: g.ID, ClientID: "web", Claims: doc(`{"sub":"ada"}`), CreatedAt: now, ExpiresAt: after(time.Minute)}
	own := storage.AccessToken{Hash: hash("own"), ClientID: "web", Claims: doc(`{}`), CreatedAt: now, ExpiresAt: now}
	life := storage.TokenState{ClientEnabled: true}
	of := life
	of.Grant = storage.Grant{ID: g.ID, ClientID: "web", PersonID: p.ID, Sub: "ada", ExpiresAt: g.ExpiresAt}
	for _, c := range []struct {
		token storage.AccessToken
		life  storage.TokenState
	}{{full, of}, {own, life}} {
		f.must(f.CreateAccessToken(f.ctx, &c.token))
		f.want(storage.ErrConflict, f.CreateAccessToken(f.ctx, &c.token))
		got, err := f.AccessToken(f.ctx, c.token.Hash)
		f.must(err)
		same(t, &storage.AccessTokenState{AccessToken: c.token, TokenState: c.life}, got)
	}
	for _, unknown := range [][]byte{hash("unknown"), nil, {}} {
		_, err := f.AccessToken(f.ctx, unknown)
		f.want(storage.ErrNotFound, err)
	}

	for i, r := range []storage.Revocation{
		{Kind: storage.RevokedGrant, ID: string(g.ID)}, {Kind: storage.RevokedClient, ID: "web"}, {Kind: storage.RevokedJTI, ID: "web"},
	} {
		r.NotBefore, r.ExpiresAt = after(time.Duration(i+1)*time.Minute), after(time.Hour)
		f.must(f.Revoke(f.ctx, &r))
		got, err := f.AccessToken(f.ctx, full.Hash)
		f.must(err)
		if want := after(time.Duration(min(i+1, 2)) * time.Minute); !got.RevokedBefore.Equal(want.Time) {
			t.Errorf("after %s: revoked before %v, want %v", r.Kind, got.RevokedBefore, want)
		}
	}
	f.must(f.DeleteAccessToken(f.ctx, full.Hash))
	f.want(storage.ErrNotFound, f.DeleteAccessToken(f.ctx, full.Hash))
	_, err := f.AccessToken(f.ctx, full.Hash)
	f.want(storage.ErrNotFound, err)
	_, err = f.AccessToken(f.ctx, own.Hash)
	f.must(err)
}

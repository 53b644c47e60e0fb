package storage

import (
	"context"
	"errors"
	"time"
)

// Grant is one authorization: one code and all that comes of it. One row, from
// the code to the last refresh; it outlives its last token, so that reuse is seen.
type Grant struct {
	ID            ID `gorm:"primaryKey"`
	ClientID      string
	PersonID      ID
	SessionID     ID     // the browser session it came from
	Sub           string // the subject as this client knows it
	Sid           string // the session as this client knows it
	Scopes        Strings
	Resources     Strings // every audience the grant may make tokens for
	Claims        JSON[ClaimsAsked]
	Nonce         string
	ACR           string  `gorm:"column:acr"`
	AMR           Strings `gorm:"column:amr"`
	AuthTime      Time
	CodeHash      []byte // SHA-256 of the code
	CodeExpiresAt Time
	CodeUsedAt    Time
	RedirectURI   string `gorm:"column:redirect_uri"` // as the client sent it; "" if it did not
	CodeChallenge string // S256; "" if the client did not send one
	Offline       bool   // outlives the session
	Withdrawals   int64  // how often the client's access had been withdrawn when they let it in
	RefreshHash   []byte // SHA-256 of the grant's secret, part of every refresh token
	RefreshGen    int64  // generation of the newest refresh token; 0 before the first
	RotatedAt     Time   // when the newest generation was made
	IdleExpiresAt Time
	ExpiresAt     Time
	RevokedAt     Time
	RevokedWhy    string
	CreatedAt     Time `gorm:"autoCreateTime:false"`
}

// GrantState is a grant together with the life of what it hangs on.
type GrantState struct {
	Grant            Grant
	PersonDisabledAt Time
	PersonName       string
	PersonLocale     string
	PersonClaims     JSON[Raw]
	PersonUpdatedAt  Time
	Email            string
	EmailVerifiedAt  Time
	PersonGroups     Words // names
	SessionEndedAt   Time
	SessionExpiresAt Time
	Withdrawn        bool // the client's access, since the person let it in
}

// Alive reports whether the grant may yield tokens: not revoked, not lapsed,
// not withdrawn, its person enabled, and its session living unless it is offline.
func (g *GrantState) Alive(now time.Time) bool {
	switch {
	case !g.Grant.RevokedAt.IsZero(), g.Withdrawn, !g.Grant.ExpiresAt.After(now), !g.PersonDisabledAt.IsZero():
		return false
	case g.Grant.Offline || g.Grant.SessionID == "":
		return true
	}
	return g.SessionEndedAt.IsZero() && g.SessionExpiresAt.After(now)
}

// Whether access was withdrawn since a grant's person gave it: with joinConsent.
const (
	withdrawn   = "COALESCE(g.withdrawals < k.withdrawals, FALSE)"
	joinConsent = "LEFT JOIN consents k ON k.person_id = g.person_id AND k.client_id = g.client_id"
)

// CreateGrant adds a grant.
func (s *Store) CreateGrant(ctx context.Context, g *Grant) error {
	return s.do(ctx, s.insert(ctx, g, ""))
}

// The names of the groups of a grant's person.
var personGroups = groupsOf("g.person_id")

// What is read of a grant, in the order of [GrantState.into].
var grantRow = "SELECT g.id, g.client_id, g.person_id, g.session_id, g.sub, g.sid, g.scopes, g.resources, g.claims, g.nonce, g.acr, g.amr, g.auth_time" +
	", g.code_hash, g.code_expires_at, g.code_used_at, g.redirect_uri, g.code_challenge, g.offline, g.withdrawals, g.refresh_hash, g.refresh_gen, g.rotated_at" +
	", g.idle_expires_at, g.expires_at, g.revoked_at, g.revoked_why, g.created_at" +
	", p.disabled_at, p.name, p.locale, p.claims, p.updated_at, COALESCE(i.display, ''), i.verified_at, s.ended_at, s.expires_at, " + withdrawn + ", " + personGroups +
	" FROM grants g JOIN persons p ON p.id = g.person_id LEFT JOIN sessions s ON s.id = g.session_id " + joinConsent + " "

var (
	queryGrantByCode = grantRow + joinFirstEmail("g.person_id") + " WHERE g.code_hash = $1"
	queryGrantsOf    = grantRow + joinFirstEmail("g.person_id") +
		" WHERE g.person_id = $1 AND g.id > $2 AND g.revoked_at IS NULL AND ($3 = '' OR g.client_id = $3) ORDER BY g.id LIMIT $4"
	queryGrantsFor = grantRow + joinFirstEmail("g.person_id") +
		" WHERE g.client_id = $1 AND g.id > $2 AND g.revoked_at IS NULL ORDER BY g.id LIMIT $3"
	queryGrantByID = grantRow + joinFirstEmail("g.person_id") + " WHERE g.id = $1"
)

func (g *GrantState) into() []any {
	r := &g.Grant
	return []any{
		&r.ID, &r.ClientID, &r.PersonID, &r.SessionID, &r.Sub, &r.Sid, &r.Scopes, &r.Resources, &r.Claims, &r.Nonce, &r.ACR, &r.AMR, &r.AuthTime,
		&r.CodeHash, &r.CodeExpiresAt, &r.CodeUsedAt, &r.RedirectURI, &r.CodeChallenge, &r.Offline, &r.Withdrawals, &r.RefreshHash, &r.RefreshGen, &r.RotatedAt,
		&r.IdleExpiresAt, &r.ExpiresAt, &r.RevokedAt, &r.RevokedWhy, &r.CreatedAt,
		&g.PersonDisabledAt, &g.PersonName, &g.PersonLocale, &g.PersonClaims, &g.PersonUpdatedAt, &g.Email, &g.EmailVerifiedAt, &g.SessionEndedAt, &g.SessionExpiresAt,
		&g.Withdrawn, &g.PersonGroups,
	}
}

// GrantByCode returns the grant of a code, used or not, or ErrNotFound.
func (s *Store) GrantByCode(ctx context.Context, codeHash []byte) (*GrantState, error) {
	return s.grant(ctx, queryGrantByCode, codeHash)
}

// GrantByID returns a grant, revoked or not, or ErrNotFound.
func (s *Store) GrantByID(ctx context.Context, id ID) (*GrantState, error) {
	return s.grant(ctx, queryGrantByID, id)
}

// GrantsOf returns a page of a person's grants that were not revoked, those for one
// client unless that is "", by id: the oldest first. Whether one lives is for
// [GrantState.Alive] to say.
func (s *Store) GrantsOf(ctx context.Context, person ID, client string, p Page) (List[GrantState], error) {
	after, err := p.afterID()
	if err != nil {
		return List[GrantState]{}, err
	}
	return s.grants(ctx, p, queryGrantsOf, person, after, client, p.more())
}

// GrantsFor returns a page of a client's grants that were not revoked, whosever they
// are, by id: the oldest first.
func (s *Store) GrantsFor(ctx context.Context, client string, p Page) (List[GrantState], error) {
	after, err := p.afterID()
	if err != nil {
		return List[GrantState]{}, err
	}
	return s.grants(ctx, p, queryGrantsFor, client, after, p.more())
}

func (s *Store) grants(ctx context.Context, p Page, query string, args ...any) (List[GrantState], error) {
	rows, err := s.gorm.ConnPool.QueryContext(ctx, query, args...)
	if err != nil {
		return List[GrantState]{}, translate(err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells
	var gs []GrantState
	for rows.Next() {
		var g GrantState
		if err := rows.Scan(g.into()...); err != nil {
			return List[GrantState]{}, translate(err)
		}
		gs = append(gs, g)
	}
	if err := errors.Join(rows.Err(), ctx.Err()); err != nil { // SQLite's driver may run nothing when ctx ends, and say nothing
		return List[GrantState]{}, translate(err)
	}
	return page(gs, p, func(g *GrantState) string { return string(g.Grant.ID) }), nil
}

// grant reads past gorm, whose reflection was a third of what a refresh costs.
func (s *Store) grant(ctx context.Context, query string, arg any) (*GrantState, error) {
	var g GrantState
	if err := s.readRow(ctx, query, []any{arg}, g.into()); err != nil {
		return nil, err
	}
	return &g, nil
}

// SpendCode marks a grant's code used and writes what the exchange made of the
// grant. It is the single-use gate of RFC 6749 section 4.1.2: of two concurrent
// calls exactly one returns nil, the other ErrSpent.
func (s *Store) SpendCode(ctx context.Context, g *Grant) error {
	return s.do(ctx, write{
		text: "UPDATE grants SET code_used_at = ?, refresh_hash = ?, refresh_gen = ?, rotated_at = ?, idle_expires_at = ?, expires_at = ?" +
			" WHERE id = ? AND code_used_at IS NULL AND revoked_at IS NULL",
		args:  []any{g.CodeUsedAt, g.RefreshHash, g.RefreshGen, g.RotatedAt, g.IdleExpiresAt, g.ExpiresAt, g.ID},
		guard: ErrSpent,
	})
}

// KillCode marks a code used without a token, after a wrong verifier, and so ends
// its grant. ErrSpent: it was used meanwhile.
func (s *Store) KillCode(ctx context.Context, id ID, now Time) error {
	return s.do(ctx, write{
		text:  "UPDATE grants SET code_used_at = ?, revoked_at = ?, revoked_why = 'wrong code_verifier' WHERE id = ? AND code_used_at IS NULL",
		args:  []any{now, now, id},
		guard: ErrSpent,
	})
}

// RotateRefresh moves a grant from generation from to the next one. It is the
// compare-and-set of RFC 9700 section 4.14: of two concurrent calls exactly one
// returns nil, the other ErrStale. The grant's secret and client are compared
// in the same statement.
func (s *Store) RotateRefresh(ctx context.Context, g *Grant, from int64) error {
	return s.do(ctx, write{
		text: "UPDATE grants SET refresh_gen = ?, rotated_at = ?, idle_expires_at = ?" +
			" WHERE id = ? AND refresh_gen = ? AND refresh_hash = ? AND client_id = ? AND revoked_at IS NULL",
		args:  []any{from + 1, g.RotatedAt, g.IdleExpiresAt, g.ID, from, g.RefreshHash, g.ClientID},
		guard: ErrStale,
	})
}

// RevokeGrant revokes a grant and, by a row that lasts until the last access
// token could, every token that came of it. It may be called again.
func (s *Store) RevokeGrant(ctx context.Context, id ID, why string, now, until Time) error {
	return s.Together(ctx, func(ctx context.Context) error {
		if err := s.do(ctx, write{
			text: "UPDATE grants SET revoked_at = ?, revoked_why = ? WHERE id = ? AND revoked_at IS NULL",
			args: []any{now, why, id},
		}); err != nil {
			return err
		}
		return s.Revoke(ctx, &Revocation{Kind: RevokedGrant, ID: string(id), NotBefore: now, ExpiresAt: until})
	})
}

// RevokeGrantsOf revokes every grant that a person made for a client, with
// offline_access or without, and, by rows that last until the last access token
// could, every token that came of them.
func (s *Store) RevokeGrantsOf(ctx context.Context, person ID, client, why string, now, until Time) error {
	return s.doAll(ctx,
		write{ // before the grants are revoked, or on SQLite it would find none
			text: "INSERT INTO revocations (kind, id, not_before, expires_at) SELECT '" + RevokedGrant + "', CAST(id AS text), ?, ? FROM grants" +
				" WHERE person_id = ? AND client_id = ? AND revoked_at IS NULL",
			args: []any{now, until, person, client},
			rest: onRevokedBefore,
		},
		write{
			text: "UPDATE grants SET revoked_at = ?, revoked_why = ? WHERE person_id = ? AND client_id = ? AND revoked_at IS NULL",
			args: []any{now, why, person, client},
		},
	)
}

// Access is what living grants let a client do for a person: one row for each set
// of scopes, resources and claims, however many grants there are.
type Access struct {
	ClientID  string
	Scopes    Strings
	Resources Strings
	Claims    JSON[ClaimsAsked]
	Used      bool // it has tokens by them; else a code that waits, or nothing any more
	Since     Time // when the oldest of them was made
}

// AccessTo returns what living grants of a person let clients do, by client. A
// client that has no refresh token, or one that lapsed, has tokens if it got its last
// ones after since.
func (s *Store) AccessTo(ctx context.Context, person ID, now, since Time) ([]Access, error) {
	var rows []Access
	err := s.db(ctx).Table("grants g").
		Select("g.client_id, g.scopes, g.resources, g.claims, min(g.created_at) AS since,"+
			" COALESCE(g.idle_expires_at > ?, FALSE) OR COALESCE(COALESCE(g.rotated_at, g.code_used_at) > ?, FALSE) AS used", now, since).
		Joins("LEFT JOIN sessions s ON s.id = g.session_id").
		Joins(joinConsent).
		Where("g.person_id = ? AND g.revoked_at IS NULL AND g.expires_at > ? AND NOT "+withdrawn, person, now).
		Where("(g.offline OR g.session_id IS NULL OR s.ended_at IS NULL AND s.expires_at > ?)", now). // as GrantState.Alive has it
		Group("g.client_id, g.scopes, g.resources, g.claims, used").Order("g.client_id, since").
		Find(&rows).Error
	return rows, translate(err)
}

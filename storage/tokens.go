package storage

import "context"

// TokenIDs are what an access token can be revoked by, whatever its form.
type TokenIDs struct {
	JTI      string
	GrantID  ID // "" for client credentials
	ClientID string
	KeyID    string // of the key that signed it
}

// TokenState is what the life of an access token hangs on. It is read across
// entities, the named exception to one file each, in one statement and past
// gorm, whose reflection costs more than the query: services ask it all day.
type TokenState struct {
	// RevokedBefore is the newest revocation of one of the token's ids: made at or
	// before it, a token is dead. Zero for none.
	RevokedBefore Time
	ClientEnabled bool // registered, and not disabled
	// GrantState has of the grant what Alive and its client ask for; without an id
	// if there is none.
	GrantState
}

const (
	// The row that is read for every token: its revocations, its client, its grant.
	lifeStart = "SELECT (SELECT max(r.not_before) FROM revocations r WHERE "
	lifeState = "), c.id IS NOT NULL AND c.disabled_at IS NULL, g.id, COALESCE(g.client_id, ''), g.person_id, g.session_id, COALESCE(g.sub, '')" +
		", COALESCE(g.offline, FALSE), g.expires_at, g.revoked_at, p.disabled_at, s.ended_at, s.expires_at, " + withdrawn
	lifePerson = ", COALESCE(p.name, ''), COALESCE(p.locale, ''), p.claims, p.updated_at, COALESCE(i.display, ''), i.verified_at, g.claims, "
	lifeJoins  = " LEFT JOIN persons p ON p.id = g.person_id LEFT JOIN sessions s ON s.id = g.session_id " + joinConsent + " "

	// $2 and $5 are one id: the one is text, the other a UUID.
	revokedJWT = "(r.kind = 'jti' AND r.id = $1) OR (r.kind = 'grant' AND r.id = $2) OR (r.kind = 'client' AND r.id = $3) OR (r.kind = 'key' AND r.id = $4)"
	fromJWT    = " FROM (SELECT 1) one LEFT JOIN clients c ON c.id = $3 LEFT JOIN grants g ON g.id = $5" + lifeJoins
)

var (
	queryToken       = lifeStart + revokedJWT + lifeState + fromJWT
	queryTokenPerson = lifeStart + revokedJWT + lifeState + lifePerson + personGroups + fromJWT + joinFirstEmail("g.person_id")
)

// dest lists where the columns of lifeState go.
func (t *TokenState) dest() []any {
	g := &t.Grant
	return append(make([]any, 0, 24), &t.RevokedBefore, &t.ClientEnabled, &g.ID, &g.ClientID, &g.PersonID, &g.SessionID, &g.Sub,
		&g.Offline, &g.ExpiresAt, &g.RevokedAt, &t.PersonDisabledAt, &t.SessionEndedAt, &t.SessionExpiresAt, &t.Withdrawn)
}

// TokenState returns what the life of a token hangs on.
func (s *Store) TokenState(ctx context.Context, ids TokenIDs) (*TokenState, error) {
	var t TokenState
	return &t, s.readRow(ctx, queryToken, ids.args(), t.dest())
}

// TokenPerson is TokenState with what there is to tell of the grant's person, and
// which claims its client asked for by name.
func (s *Store) TokenPerson(ctx context.Context, ids TokenIDs) (*TokenState, error) {
	var t TokenState
	return &t, s.readRow(ctx, queryTokenPerson, ids.args(),
		append(t.dest(), &t.PersonName, &t.PersonLocale, &t.PersonClaims, &t.PersonUpdatedAt, &t.Email, &t.EmailVerifiedAt, &t.Grant.Claims, &t.PersonGroups))
}

func (ids TokenIDs) args() []any {
	return []any{ids.JTI, string(ids.GrantID), ids.ClientID, ids.KeyID, ids.GrantID}
}

// readRow scans the one row of a query that both databases understand, past
// gorm; ErrNotFound: there is none.
func (s *Store) readRow(ctx context.Context, query string, args, into []any) error {
	rows, err := s.gorm.ConnPool.QueryContext(ctx, query, args...)
	if err != nil {
		return translate(err)
	}
	defer rows.Close() //nolint:errcheck // closed below; here only after an error
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return translate(err)
		}
		if err := ctx.Err(); err != nil { // SQLite's driver may run nothing then, and say nothing
			return err
		}
		return ErrNotFound
	}
	if err := rows.Scan(into...); err != nil {
		return translate(err)
	}
	return translate(rows.Close())
}

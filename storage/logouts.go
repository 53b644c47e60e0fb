package storage

import (
	"context"
	"time"
)

// SessionClient is a client that something was issued to in a session. It is
// written at the first issue, and lives as long as the session. Sub is the one
// that it got last.
type SessionClient struct {
	SessionID ID     `gorm:"primaryKey"`
	ClientID  string `gorm:"primaryKey"`
	Sub       string // the subject as this client knows it
	Sid       string // the session as this client knows it
	CreatedAt Time   `gorm:"autoCreateTime:false"`
}

// LogoutNotice is what a client is still to be told: that a session of one of
// its people ended. The row is gone once it was told, or given up; nothing
// sweeps it, since giving up has an event.
type LogoutNotice struct {
	SessionID ID     `gorm:"primaryKey"`
	ClientID  string `gorm:"primaryKey"`
	Sub, Sid  string
	Attempts  int64 // begun so far; it is the row's version too
	DueAt     Time  // when to try, or when whoever is trying has failed
	ExpiresAt Time  // when a failed attempt is the last one
	CreatedAt Time  `gorm:"autoCreateTime:false"`
}

// How long whoever ended a session has for the first attempt before any other
// replica makes it, and for how long attempts are made at all.
const (
	noticeHead     = time.Second
	noticeLifetime = 24 * time.Hour
)

// KeepSessionClient notes that something was issued to a client in a session, and
// by which subject: a client may have been given new ones meanwhile.
func (s *Store) KeepSessionClient(ctx context.Context, c *SessionClient) error {
	return s.do(ctx, s.insert(ctx, c, "ON CONFLICT (session_id, client_id) DO UPDATE SET sub = excluded.sub WHERE session_clients.sub <> excluded.sub"))
}

// noticesOf writes a notice for each client of the chosen sessions that wants to
// hear of their end. It stands before the write that ends them.
func noticesOf(sessions string, arg any, now Time) write {
	return write{
		text: "INSERT INTO logout_notices (session_id, client_id, sub, sid, attempts, due_at, expires_at, created_at)" +
			" SELECT sc.session_id, sc.client_id, sc.sub, sc.sid, 0, ?, ?, ?" +
			" FROM session_clients sc JOIN clients c ON c.id = sc.client_id JOIN sessions s ON s.id = sc.session_id" +
			" WHERE c.metadata ->> 'backchannel_logout_uri' <> '' AND " + sessions,
		args: []any{At(now.Add(noticeHead)), At(now.Add(noticeLifetime)), now, arg},
		rest: " ON CONFLICT (session_id, client_id) DO NOTHING",
	}
}

// LogoutNotices returns what is to be told of the end of one session and was not
// tried yet.
func (s *Store) LogoutNotices(ctx context.Context, session ID) ([]LogoutNotice, error) {
	var out []LogoutNotice
	err := s.db(ctx).Where("session_id = ? AND attempts = 0", session).Find(&out).Error
	return out, translate(err)
}

// DueLogoutNotices returns up to limit notices that are due and no more than each
// of any client: every client's oldest before any client's second, so that many of
// some clients never hide another's.
func (s *Store) DueLogoutNotices(ctx context.Context, now Time, each, limit int) ([]LogoutNotice, error) {
	var out []LogoutNotice
	err := s.db(ctx).Raw("SELECT session_id, client_id, sub, sid, attempts, due_at, expires_at, created_at FROM ("+
		"SELECT n.*, row_number() OVER (PARTITION BY client_id ORDER BY due_at) AS place FROM logout_notices n WHERE due_at <= ?"+
		") ranked WHERE place <= ? ORDER BY place, due_at LIMIT ?", now, each, limit).Scan(&out).Error
	return out, translate(err)
}

// ClaimLogoutNotice begins an attempt, which is the caller's until lease: of two
// replicas that saw the same row one returns nil, the other ErrStale.
func (s *Store) ClaimLogoutNotice(ctx context.Context, n *LogoutNotice, lease Time) error {
	err := s.changeNotice(ctx, "UPDATE logout_notices SET attempts = attempts + 1, due_at = ?", n, lease)
	if err == nil {
		n.Attempts++
	}
	return err
}

// PostponeLogoutNotice says when to try again, after a claimed attempt failed.
// ErrStale: its lease had ended, and somebody else tries.
func (s *Store) PostponeLogoutNotice(ctx context.Context, n *LogoutNotice, due Time) error {
	return s.changeNotice(ctx, "UPDATE logout_notices SET due_at = ?", n, due)
}

// EndLogoutNotice removes a notice that was told or given up, after a claimed
// attempt. ErrStale: its lease had ended, and somebody else tries.
func (s *Store) EndLogoutNotice(ctx context.Context, n *LogoutNotice) error {
	return s.changeNotice(ctx, "DELETE FROM logout_notices", n)
}

func (s *Store) changeNotice(ctx context.Context, text string, n *LogoutNotice, args ...any) error {
	return s.do(ctx, write{
		text:  text + " WHERE session_id = ? AND client_id = ? AND attempts = ?",
		args:  append(args, n.SessionID, n.ClientID, n.Attempts),
		guard: ErrStale,
	})
}

package storage

import (
	"context"
	"fmt"
	"time"
)

// SessionClient is a client that something was issued to in a session. It is
// written at the first issue; the end of the session turns it into a
// [LogoutNotice], or nothing if the client does not want to hear of it. Sub is the
// one that it got last.
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
// replica makes it, for how long attempts are made at all, and how long after its
// end something may yet be issued in a session: by a request that read it before,
// which lives for seconds, on a machine whose clock is a second away at most.
const (
	noticeHead     = time.Second
	noticeLifetime = 24 * time.Hour
	sessionSettles = time.Minute
)

// KeepSessionClient notes that something was issued to a client in a session, and
// by which subject: a client may have been given new ones meanwhile.
func (s *Store) KeepSessionClient(ctx context.Context, c *SessionClient) error {
	return s.do(ctx, s.insert(ctx, c, "ON CONFLICT (session_id, client_id) DO UPDATE SET sub = excluded.sub WHERE session_clients.sub <> excluded.sub"))
}

// SessionClients returns the clients of these sessions, by session and client.
func (s *Store) SessionClients(ctx context.Context, sessions []ID) ([]SessionClient, error) {
	if len(sessions) == 0 {
		return nil, nil
	}
	var cs []SessionClient
	err := s.db(ctx).Where(s.among("session_id"), JSON[[]ID]{sessions}).Order("session_id, client_id").Find(&cs).Error
	return cs, translate(err)
}

// noticesOf takes the clients of the chosen sessions, and writes a notice for each
// that wants to hear of their end. What it takes is what it tells of, although
// others write at the same time: on Postgres the notices are made of the rows that
// it removed, and SQLite has one writer. A client that is just given something is
// not waited for, since who gives may wait for the session: it is late.
//
// A notice that is there already is of something issued before: who is telling it
// by now has lost it, and it is told again.
func (s *Store) noticesOf(due, now Time, sessions string, args ...any) []write {
	take := write{text: "DELETE FROM session_clients WHERE session_id " + sessions, args: args}
	tell := write{
		text: "INSERT INTO logout_notices (session_id, client_id, sub, sid, attempts, due_at, expires_at, created_at)" +
			" SELECT t.session_id, t.client_id, t.sub, t.sid, 0, ?, ?, ? FROM %s t JOIN clients c ON c.id = t.client_id" +
			" WHERE c.metadata ->> 'backchannel_logout_uri' <> ''",
		args: []any{due, At(now.Add(noticeLifetime)), now},
		rest: " ON CONFLICT (session_id, client_id) DO UPDATE SET sub = excluded.sub, attempts = logout_notices.attempts + 1," +
			" due_at = excluded.due_at, expires_at = excluded.expires_at",
	}
	if s.dialect == onPostgres {
		take.text = "DELETE FROM session_clients WHERE (session_id, client_id) IN" +
			" (SELECT session_id, client_id FROM session_clients WHERE session_id " + sessions + " FOR UPDATE SKIP LOCKED)"
		take.as, take.returns = "taken", "session_id, client_id, sub, sid"
		tell.text = fmt.Sprintf(tell.text, take.as)
		return []write{take, tell}
	}
	tell.text = fmt.Sprintf(tell.text, "session_clients") + " AND t.session_id " + sessions
	tell.args = append(tell.args, args...)
	return []write{tell, take}
}

// sessionsWithLateClients picks few of few: the index has only sessions that just
// ended, and of each its clients are asked for by their key, which a join might not.
const sessionsWithLateClients = "SELECT id FROM sessions s WHERE settles_at IS NOT NULL" +
	" AND (SELECT 1 FROM session_clients sc WHERE sc.session_id = s.id LIMIT 1) = 1 ORDER BY settles_at LIMIT ?"

// NoticeLateClients writes notices, due now, for the clients of up to limit sessions
// that something was issued to in the moment of their end, unseen by whoever ended
// them. Every replica may call it at any time: each client is noticed once.
func (s *Store) NoticeLateClients(ctx context.Context, now Time, limit int) error {
	var late []ID
	if err := s.db(ctx).Raw(sessionsWithLateClients, limit).Scan(&late).Error; err != nil {
		return translate(err)
	}
	for _, id := range late {
		if err := s.doAll(ctx, s.noticesOf(now, now, "= ?", id)...); err != nil {
			return err
		}
	}
	return nil
}

// settle lets go of up to batch sessions in which nothing can be issued any more,
// and whose late clients were noticed.
func (s *Store) settle(ctx context.Context, now Time, batch int) (int64, error) {
	res := s.db(ctx).Exec("UPDATE sessions SET settles_at = NULL WHERE id IN (SELECT id FROM sessions s WHERE settles_at < ?"+
		" AND NOT EXISTS (SELECT 1 FROM session_clients sc WHERE sc.session_id = s.id) ORDER BY settles_at LIMIT ?)", now, batch)
	return res.RowsAffected, translate(res.Error)
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

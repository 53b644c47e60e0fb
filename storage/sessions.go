package storage

import "context"

// Session is one person signed in with one browser.
type Session struct {
	ID         ID     `gorm:"primaryKey"`
	SecretHash []byte // SHA-256 of the cookie's secret
	PersonID   ID
	Evidence   JSON[Raw] // policy's []Evidence
	DecisionID ID        // the last decision about it
	CreatedAt  Time      `gorm:"autoCreateTime:false"`
	SeenAt     Time      // touched at most once a minute
	ExpiresAt  Time
	EndedAt    Time
	Browser    string // with which it was begun, in words such as "Firefox"; "" if it was not told
	System     string // and its system, such as "Linux"
	SettlesAt  Time   // ended, and until then somebody may yet get something in it: see [Store.NoticeLateClients]
}

// CreateSession adds a session. ErrStale: what it relies on is not so any more.
func (s *Store) CreateSession(ctx context.Context, se *Session, relies ...Provided) error {
	w := s.insert(ctx, se, "").provided(relies)
	if len(relies) > 0 {
		w.guard, w.locks = ErrStale, []waitFor{personAlone(se.PersonID)}
	}
	return s.do(ctx, w)
}

// Session returns the session with this id, ended or not, or ErrNotFound.
func (s *Store) Session(ctx context.Context, id ID) (*Session, error) {
	var se Session
	if err := take(s.db(ctx).Where("id = ?", id), &se); err != nil {
		return nil, err
	}
	return &se, nil
}

// KeepSession notes that a session was used, until when it lives by that, and
// the last decision about it. One that ended, or whose secret was replaced
// meanwhile, stays as it is: newer evidence is never written over.
func (s *Store) KeepSession(ctx context.Context, se *Session) error {
	return s.do(ctx, write{
		text: "UPDATE sessions SET evidence = ?, decision_id = ?, seen_at = ?, expires_at = ?" +
			" WHERE id = ? AND secret_hash = ? AND ended_at IS NULL",
		args: []any{se.Evidence, se.DecisionID, se.SeenAt, se.ExpiresAt, se.ID, se.SecretHash},
	})
}

// RenewSession gives a living session a new secret, new evidence and a new
// lifetime. ErrStale: it ended, its secret was replaced meanwhile, or what it relies on is
// not so any more.
func (s *Store) RenewSession(ctx context.Context, se *Session, oldHash []byte, relies ...Provided) error {
	return s.do(ctx, write{
		text: "UPDATE sessions SET secret_hash = ?, evidence = ?, decision_id = ?, seen_at = ?, expires_at = ?" +
			" WHERE id = ? AND secret_hash = ? AND ended_at IS NULL",
		args:  []any{se.SecretHash, se.Evidence, se.DecisionID, se.SeenAt, se.ExpiresAt, se.ID, oldHash},
		guard: ErrStale, locks: []waitFor{personAlone(se.PersonID)},
	}.provided(relies))
}

// EndSession ends a session, revokes the grants that live by it (those without
// offline_access) and notes which clients have to be told. ErrStale: it ended
// before.
func (s *Store) EndSession(ctx context.Context, id ID, now Time) error {
	alone := waitFor{"SELECT 1 FROM persons WHERE id = (SELECT person_id FROM sessions WHERE id = ?) FOR NO KEY UPDATE", []any{id}} // as personAlone
	return s.doAll(ctx, s.endSession(id, now, []waitFor{alone}, ErrStale)...)
}

// EndSessionBeside is EndSession in the unit of another person, which has a guard of its own:
// it should rely on [Living].
func (s *Store) EndSessionBeside(ctx context.Context, id ID, now Time) error {
	return s.doAll(ctx, s.endSession(id, now, nil, nil)...)
}

// Living is that a session has not ended.
func Living(id ID) Provided {
	return Provided{"EXISTS (SELECT 1 FROM sessions WHERE id = ? AND ended_at IS NULL)", []any{id}}
}

func (s *Store) endSession(id ID, now Time, locks []waitFor, guard error) []write {
	return append(s.endSessions(now, locks, guard, "id = ?", id), write{
		text: "UPDATE grants SET revoked_at = ?, revoked_why = 'session ended' WHERE session_id = ? AND revoked_at IS NULL" + andNot("offline"),
		args: []any{now, id},
	})
}

// endSessionsOf is [Store.endSessions] for those of a person, but for one; "" for none.
func (s *Store) endSessionsOf(now Time, person, but ID) []write {
	if but == "" {
		return s.endSessions(now, []waitFor{personAlone(person)}, nil, "person_id = ?", person)
	}
	return s.endSessions(now, []waitFor{personAlone(person)}, nil, "person_id = ? AND id <> ?", person, but)
}

// endSessions ends the living sessions of which where holds, and notes which clients
// have to be told. Sessions come first: who waits for one holds none of its clients.
func (s *Store) endSessions(now Time, locks []waitFor, guard error, where string, args ...any) []write {
	end := write{
		text: "UPDATE sessions SET ended_at = ?, settles_at = ? WHERE " + where + " AND ended_at IS NULL",
		args: append([]any{now, At(now.Add(sessionSettles))}, args...), guard: guard, locks: locks,
	}
	due := At(now.Add(noticeHead))
	if s.dialect == onPostgres {
		end.as, end.returns = "ended", "id"
		return append([]write{end}, s.noticesOf(due, now, "IN (SELECT id FROM ended)")...)
	}
	return append([]write{end}, s.noticesOf(due, now, "IN (SELECT id FROM sessions WHERE "+where+" AND settles_at IS NOT NULL)", args...)...)
}

// SessionsOf returns a page of a person's living sessions, by id: the oldest first.
func (s *Store) SessionsOf(ctx context.Context, person ID, now Time, p Page) (List[Session], error) {
	after, err := p.afterID()
	if err != nil {
		return List[Session]{}, err
	}
	var ss []Session
	err = s.db(ctx).Where("person_id = ? AND id > ? AND ended_at IS NULL AND expires_at > ?", person, after, now).
		Order("id").Limit(p.more()).Find(&ss).Error
	return page(ss, p, func(se *Session) string { return string(se.ID) }), translate(err)
}

// NewestSessionsOf returns a person's living sessions, at most that many: the newest first.
func (s *Store) NewestSessionsOf(ctx context.Context, person ID, now Time, limit int) ([]Session, error) {
	var ss []Session
	err := s.db(ctx).Where("person_id = ? AND ended_at IS NULL AND expires_at > ?", person, now).Order("id DESC").Limit(limit).Find(&ss).Error
	return ss, translate(err)
}

// EndSessionsOf ends every session of a person as [Store.EndSession] does: grants
// with offline_access live on.
func (s *Store) EndSessionsOf(ctx context.Context, person ID, now Time) error {
	return s.doAll(ctx, append(s.endSessionsOf(now, person, ""), write{
		text: "UPDATE grants SET revoked_at = ?, revoked_why = 'session ended' WHERE person_id = ? AND session_id IS NOT NULL AND revoked_at IS NULL" + andNot("offline"),
		args: []any{now, person},
	}, signedOut(person, now))...)
}

// andNot is a condition on a boolean column that both databases understand.
func andNot(column string) string { return " AND NOT " + column }

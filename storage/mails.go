package storage

import (
	"context"
	"time"
)

// The channels that messages go by.
const (
	ByMail = "mail"
	BySMS  = "sms"
)

// Mail is one message to one address: to be sent (it is due), sent, or dead, which is
// given up. A row is kept for a while after its end, so that somebody can ask what became of it.
type Mail struct {
	ID        ID     `gorm:"primaryKey"` // and what its Message-ID is made of
	Channel   string // ByMail or BySMS
	Recipient string // the address, or the number
	PersonID  ID     // whose it is; "" for nobody's
	Kind      string // what it tells
	Lang      string
	Sealed    []byte // what it says; nothing once it was sent, or is of no use any more
	Attempts  int64  // begun so far; it is the row's version too
	DueAt     Time   // when to try, or when whoever is trying has failed; zero: never again
	LapsesAt  Time   // when it is of no use any more
	SentAt    Time
	DeadAt    Time
	Reason    string // why the last attempt failed, in bounded words; "" if none did
	CreatedAt Time   `gorm:"autoCreateTime:false"`
	ExpiresAt Time   // when the row is swept
}

// CreateMail adds a mail.
func (s *Store) CreateMail(ctx context.Context, m *Mail) error {
	return s.do(ctx, s.insert(ctx, m, ""))
}

// MailDue says whether a mail of a channel is due.
func (s *Store) MailDue(ctx context.Context, channel string, now Time) (due bool, err error) {
	err = s.db(ctx).Raw("SELECT EXISTS (SELECT 1 FROM mails WHERE channel = ? AND due_at <= ?)", channel, now).Scan(&due).Error
	return due, translate(err)
}

// ClaimMails begins an attempt for up to limit mails of a channel that are due, those that are due
// longest first, and returns them. They are the caller's until lease: no two callers,
// on whatever replica, get the same one before that.
func (s *Store) ClaimMails(ctx context.Context, channel string, now, lease Time, limit int) ([]Mail, error) {
	passing := ""
	if s.dialect == onPostgres {
		passing = " FOR UPDATE SKIP LOCKED"
	}
	var out []Mail
	err := s.db(ctx).Raw("WITH due AS MATERIALIZED (SELECT id FROM mails WHERE channel = ? AND due_at <= ? ORDER BY due_at LIMIT ?"+passing+")"+
		" UPDATE mails SET attempts = attempts + 1, due_at = ? FROM due WHERE mails.id = due.id"+
		" RETURNING "+columns(Mail{}, "mails", ""), channel, now, limit, lease).Scan(&out).Error
	return out, translate(err)
}

// PostponeMail says when to try again after a claimed attempt failed, and why it
// failed. ErrStale: its lease had ended and somebody else tries, or it is gone.
func (s *Store) PostponeMail(ctx context.Context, m *Mail, due Time, reason string) error {
	return s.changeMail(ctx, "UPDATE mails SET due_at = ?, reason = ?", m, due, reason)
}

// SentMail notes that a claimed attempt succeeded, and forgets what the mail said.
// ErrStale as for [Store.PostponeMail].
func (s *Store) SentMail(ctx context.Context, m *Mail, now, expires Time) error {
	return s.changeMail(ctx, "UPDATE mails SET sent_at = ?, due_at = NULL, sealed = NULL, reason = '', expires_at = ?", m, now, expires)
}

// BuryMail gives a mail up after a claimed attempt, and says why; forget what it says
// if that is of no use any more. ErrStale as for [Store.PostponeMail].
func (s *Store) BuryMail(ctx context.Context, m *Mail, now, expires Time, reason string, forget bool) error {
	text := "UPDATE mails SET dead_at = ?, due_at = NULL, reason = ?, expires_at = ?"
	if forget {
		text += ", sealed = NULL"
	}
	return s.changeMail(ctx, text, m, now, reason, expires)
}

func (s *Store) changeMail(ctx context.Context, text string, m *Mail, args ...any) error {
	return s.do(ctx, write{
		text:  text + " WHERE id = ? AND attempts = ? AND due_at IS NOT NULL",
		args:  append(args, m.ID, m.Attempts),
		guard: ErrStale,
	})
}

// ReviveMail makes a dead mail due, unless it has lapsed: ErrStale.
func (s *Store) ReviveMail(ctx context.Context, id ID, now Time) error {
	return s.do(ctx, write{
		text:  "UPDATE mails SET dead_at = NULL, due_at = ? WHERE id = ? AND dead_at IS NOT NULL AND sealed IS NOT NULL AND lapses_at > ?",
		args:  []any{now, id, now},
		guard: ErrStale,
	})
}

// DeleteMail removes a mail, or returns ErrNotFound. One that is just being sent
// arrives all the same.
func (s *Store) DeleteMail(ctx context.Context, id ID) error {
	return s.do(ctx, write{text: "DELETE FROM mails WHERE id = ?", args: []any{id}, guard: ErrNotFound})
}

// Mail returns one mail, or ErrNotFound.
func (s *Store) Mail(ctx context.Context, id ID) (*Mail, error) {
	var m Mail
	if err := take(s.db(ctx).Where("id = ?", id), &m); err != nil {
		return nil, err
	}
	return &m, nil
}

// Mails returns a page of mails, those that are dead alone or all, the oldest first.
func (s *Store) Mails(ctx context.Context, dead bool, p Page) (List[Mail], error) {
	after, err := p.afterID()
	if err != nil {
		return List[Mail]{}, err
	}
	query := s.db(ctx).Where("id > ?", after).Order("id").Limit(p.more())
	if dead {
		query = query.Where("dead_at IS NOT NULL")
	}
	var rows []Mail
	if err := query.Find(&rows).Error; err != nil {
		return List[Mail]{}, translate(err)
	}
	return page(rows, p, func(m *Mail) string { return string(m.ID) }), nil
}

// MailQueue is how things stand with the mails of a channel.
type MailQueue struct {
	Waiting int64 // to be sent
	Oldest  Time  // when the oldest of these was made; zero for none
	Dead    int64
}

// MailQueue counts what waits and what is dead.
func (s *Store) MailQueue(ctx context.Context, channel string) (MailQueue, error) {
	var q MailQueue
	err := s.db(ctx).Raw("SELECT w.waiting, w.oldest, d.dead FROM"+
		" (SELECT count(*) AS waiting, min(created_at) AS oldest FROM mails WHERE channel = ? AND due_at IS NOT NULL) w,"+
		" (SELECT count(*) AS dead FROM mails WHERE channel = ? AND dead_at IS NOT NULL) d", channel, channel).Scan(&q).Error
	return q, translate(err)
}

// Age is for how long the oldest one has been waiting.
func (q MailQueue) Age(now time.Time) time.Duration {
	if q.Oldest.IsZero() {
		return 0
	}
	return max(0, now.Sub(q.Oldest.Time))
}

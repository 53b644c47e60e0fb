package storage

import (
	"cmp"
	"context"
)

// DisownLink is the single-use link by which who was told of a change says that it was
// not them.
type DisownLink struct {
	SecretHash []byte `gorm:"primaryKey"`
	PersonID   ID
	Address    string // where it was sent, canonical: verified before the change
	Kind       string // of the mail that it was sent in
	Since      Time   // when the change was
	CreatedAt  Time   `gorm:"autoCreateTime:false"`
	ExpiresAt  Time
}

// CreateDisownLink adds a link.
func (s *Store) CreateDisownLink(ctx context.Context, l *DisownLink) error {
	return s.do(ctx, s.insert(ctx, l, ""))
}

// DisownLink returns the link with this secret whose address is still its person's, and
// was verified before the change; ErrNotFound: there is none, it lapsed, or the person is disabled.
func (s *Store) DisownLink(ctx context.Context, secretHash []byte, now Time) (*DisownLink, error) {
	var l DisownLink
	err := take(s.db(ctx).Table("disown_links l").Select("l.*").
		Joins("JOIN persons p ON p.id = l.person_id AND p.disabled_at IS NULL").
		Joins("JOIN identifiers i ON i.kind = 'email' AND i.value = l.address AND i.person_id = l.person_id AND i.verified_at < l.since").
		Where("l.secret_hash = ? AND l.expires_at > ?", secretHash, now), &l)
	if err != nil {
		return nil, err
	}
	return &l, nil
}

// Disowning is all that is taken from whoever acted in a person's name.
type Disowning struct {
	PersonID ID
	Keep     ID     // the session that says so; "" for none
	Device   ID     // the browser that says so; "" if it is not known
	Since    Time   // proofs that were added then or later are doubted
	Also     ID     // a proof that is doubted whenever it was added; "" for none
	Link     []byte // by which it is said, as its hash; nil for none; see [LinkOf]
	Why      string // for the audit
	// Asking is what takes the place of Lowered, if that is how often the person is asked
	// for a second factor.
	Asking, Lowered string
	Now             Time
}

// Disown ends every session of a person but one, notes which clients have to be told,
// revokes every grant, and what apps were allowed without being asked again, forgets every other browser, and of this one what was proven in it,
// doubts the proofs that were added since, and takes recovery codes away that were made since. A link is spent by it, with all
// links about what happened since, and no address counts as verified that was since; without one they live, and the addresses
// stay as they are, for who says so may not be who reads their mails. The unit relies on the
// link: see [LinkOf].
func (s *Store) Disown(ctx context.Context, d Disowning) error {
	device := cmp.Or(d.Device, NewID()) // compared with nothing, none would be another one
	writes := s.endSessionsOf(d.Now, d.PersonID, d.Keep)
	if d.Link != nil {
		writes = append(writes, write{
			text: "DELETE FROM disown_links WHERE person_id = ? AND (since >= ? OR secret_hash = ?)", args: []any{d.PersonID, d.Since, d.Link},
		}, write{
			text: "UPDATE identifiers SET verified_at = NULL WHERE person_id = ? AND verified_at >= ?", args: []any{d.PersonID, d.Since},
		})
	}
	return s.doAll(ctx, append(writes,
		write{text: "UPDATE grants SET revoked_at = ?, revoked_why = ? WHERE person_id = ? AND revoked_at IS NULL", args: []any{d.Now, d.Why, d.PersonID}},
		write{ // whenever it was given: sessions of whoever it was may be older than what was seen of them
			text: "UPDATE consents SET scopes = ?, resources = ?, claims = ?, withdrawals = withdrawals + 1, withdrawn_at = ?, updated_at = ?" +
				" WHERE person_id = ? AND withdrawn_at IS NULL",
			args: []any{Strings{}, Strings{}, Strings{}, d.Now, d.Now, d.PersonID},
		},
		write{ // as touchPerson does: one row is written once
			text: "UPDATE persons SET signed_out_at = ?, asking = CASE WHEN asking = ? THEN ? ELSE asking END," +
				" updated_at = CASE WHEN updated_at >= ? THEN updated_at + 1 ELSE ? END WHERE id = ?",
			args: []any{d.Now, d.Lowered, d.Asking, d.Now, d.Now, d.PersonID},
		},
		write{text: "DELETE FROM devices WHERE person_id = ? AND id <> ?", args: []any{d.PersonID, device}},
		write{text: "UPDATE devices SET proven_at = NULL, bound_at = NULL, remembered_until = NULL, remembered_by = NULL WHERE person_id = ? AND id = ?", args: []any{d.PersonID, device}},
		write{
			text: "UPDATE totps SET doubted_at = ? WHERE person_id = ? AND doubted_at IS NULL AND confirmed_at IS NOT NULL AND (confirmed_at >= ? OR id = ?)",
			args: []any{d.Now, d.PersonID, d.Since, d.Also},
		},
		write{text: "DELETE FROM totps WHERE person_id = ? AND confirmed_at IS NULL", args: []any{d.PersonID}},
		write{
			text: "UPDATE passkeys SET doubted_at = ? WHERE person_id = ? AND doubted_at IS NULL AND (created_at >= ? OR id = ?)",
			args: []any{d.Now, d.PersonID, d.Since, d.Also},
		},
		write{
			text: "UPDATE phones SET doubted_at = ? WHERE person_id = ? AND doubted_at IS NULL AND (verified_at >= ? OR id = ?)",
			args: []any{d.Now, d.PersonID, d.Since, d.Also},
		},
		write{text: "DELETE FROM recovery_codes WHERE person_id = ? AND created_at >= ?", args: []any{d.PersonID, d.Since}},
	)...)
}

// LinkOf is that a link of a person's was not used.
func LinkOf(person ID, secretHash []byte) Provided {
	return Provided{"EXISTS (SELECT 1 FROM disown_links WHERE person_id = ? AND secret_hash = ?)", []any{person, secretHash}}
}

// ProofsSince are the ids of the passkeys, authenticators and phones that a person added at a
// time or later, and whether their password was set then or later.
func (s *Store) ProofsSince(ctx context.Context, person ID, since Time) (factors []ID, password bool, err error) {
	err = s.db(ctx).Raw("SELECT id FROM passkeys WHERE person_id = ? AND created_at >= ?"+
		" UNION ALL SELECT id FROM totps WHERE person_id = ? AND confirmed_at >= ?"+
		" UNION ALL SELECT id FROM phones WHERE person_id = ? AND verified_at >= ?"+
		" UNION ALL SELECT person_id FROM passwords WHERE person_id = ? AND changed_at >= ?", person, since, person, since, person, since, person, since).
		Scan(&factors).Error
	for i, id := range factors {
		if id == person {
			return append(factors[:i], factors[i+1:]...), true, nil
		}
	}
	return factors, false, translate(err)
}

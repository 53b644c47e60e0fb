package storage

import "context"

// Passkey is the credential record of a passkey (WebAuthn Level 3 section 4).
type Passkey struct {
	ID             ID `gorm:"primaryKey"`
	PersonID       ID
	CredentialID   []byte  // chosen by the authenticator; at most 1023 bytes
	PublicKey      []byte  // COSE_Key
	RPID           string  `gorm:"column:rp_id"` // the relying-party id that it was made for
	AAGUID         string  `gorm:"column:aaguid"`
	Transports     Strings // as the browser told them
	Name           string  // the person's
	SignCount      int64   // 0 for one that does not count
	BackupEligible bool    // it may leave its device; never changes
	BackedUp       bool    // it had, when it was last used
	CreatedAt      Time    `gorm:"autoCreateTime:false"`
	UsedAt         Time
	DoubtedAt      Time // since then it counts for nothing, until its person says whose it is
}

// CreatePasskey adds a passkey; ErrConflict where somebody has the credential, ErrStale
// where its person has most of them.
func (s *Store) CreatePasskey(ctx context.Context, p *Passkey, most int) error {
	w := s.insert(ctx, p, "").onlyIf("(SELECT count(*) FROM passkeys o WHERE o.person_id = ?) < ?", p.PersonID, most)
	w.guard, w.locks = ErrStale, []waitFor{personAlone(p.PersonID)}
	return s.do(ctx, w)
}

// PasskeysOf returns a person's passkeys, those that are doubted among them, the oldest first.
func (s *Store) PasskeysOf(ctx context.Context, person ID) ([]Passkey, error) {
	var ps []Passkey
	err := s.db(ctx).Where("person_id = ?", person).Order("created_at, id").Find(&ps).Error
	return ps, translate(err)
}

// passkeysOf is the ids of a person's passkeys that count, as [Words], for a read of the person.
func passkeysOf(person, which string) string {
	return "(SELECT string_agg(CAST(k.id AS text), ' ') FROM passkeys k WHERE k.doubted_at IS NULL AND k.person_id = " + person + which + ")"
}

// PasskeyByCredential returns the passkey of a credential with its person, or
// ErrNotFound.
func (s *Store) PasskeyByCredential(ctx context.Context, credential []byte) (*Passkey, *Person, error) {
	var row struct {
		Passkey Passkey `gorm:"embedded;embeddedPrefix:k_"`
		Person  Person  `gorm:"embedded;embeddedPrefix:p_"`
	}
	err := s.db(ctx).Table("passkeys k").Select(columns(Passkey{}, "k", "k_")+", "+columns(Person{}, "p", "p_")).
		Joins("JOIN persons p ON p.id = k.person_id").Where("k.credential_id = ?", credential).Take(&row).Error
	if err != nil {
		return nil, nil, translate(err)
	}
	return &row.Passkey, &row.Person, nil
}

// UsePasskey notes that p was used: its SignCount, BackedUp and UsedAt. was is the
// count that p had when it was read: ErrStale if it is another by now, or p is gone or doubted.
func (s *Store) UsePasskey(ctx context.Context, p *Passkey, was int64) error {
	return s.do(ctx, write{
		text: "UPDATE passkeys SET sign_count = ?, backed_up = ?, used_at = ? WHERE id = ? AND sign_count = ? AND doubted_at IS NULL",
		args: []any{p.SignCount, p.BackedUp, p.UsedAt, p.ID, was}, guard: ErrStale,
	})
}

// RenamePasskey gives a person's passkey another name; ErrNotFound if they have none
// such.
func (s *Store) RenamePasskey(ctx context.Context, person, id ID, name string) error {
	return s.do(ctx, write{
		text: "UPDATE passkeys SET name = ? WHERE id = ? AND person_id = ?", args: []any{name, id, person}, guard: ErrNotFound,
	})
}

// DeletePasskey takes a passkey from its person, and no browser is remembered by it any
// more; ErrNotFound if they have none such.
func (s *Store) DeletePasskey(ctx context.Context, person, id ID) error {
	return s.doAll(ctx, write{
		text: "DELETE FROM passkeys WHERE id = ? AND person_id = ?", args: []any{id, person}, guard: ErrNotFound, locks: []waitFor{personAlone(person)},
	}, unremember(person, id))
}

// TrustPasskey has a passkey count again; ErrNotFound: the person has none of this id that
// is doubted.
func (s *Store) TrustPasskey(ctx context.Context, person, id ID) error {
	return s.do(ctx, write{
		text: "UPDATE passkeys SET doubted_at = NULL WHERE id = ? AND person_id = ? AND doubted_at IS NOT NULL", args: []any{id, person}, guard: ErrNotFound,
	})
}

// PasskeysElsewhere returns a relying-party id other than this one that passkeys were
// made for, "" if there is none.
func (s *Store) PasskeysElsewhere(ctx context.Context, rpID string) (string, error) {
	var other string
	err := s.db(ctx).Table("passkeys").Select("coalesce(min(rp_id), '')").Where("rp_id < ? OR rp_id > ?", rpID, rpID).Scan(&other).Error
	return other, translate(err)
}

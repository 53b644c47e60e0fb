package storage

import "context"

// SignIn is what the authorization endpoint must know about a browser before it
// answers: one read across entities, the named exception to one file each.
type SignIn struct {
	Session    Session   `gorm:"embedded;embeddedPrefix:session_"`
	Person     Person    `gorm:"embedded;embeddedPrefix:person_"`
	Identifier string    // the person's first address, for display
	Consent    Consent   `gorm:"embedded;embeddedPrefix:consent_"`
	History    JSON[Raw] // policy's History
	Verified   Time      // when Identifier was verified
	Groups     Words     // names of the person's groups
	// The ids of the person's passkeys, of those that stay in their device, of their
	// authenticators and of their phones, and how many recovery codes they have left.
	Passkeys, BoundPasskeys Words
	TOTPs                   Words `gorm:"column:totps"`
	StoppedTOTPs            Words `gorm:"column:stopped_totps"` // those of them whose codes are not looked at
	Phones                  Words
	RecoveryCodes           int64
	Password                Time // when it was set; zero: they have none
	// Factors is how many passkeys and authenticators they have, those in doubt too, and AllPhones
	// how many phones: read by [Store.LoadRecovering] alone.
	Factors, AllPhones int64
}

// HasConsent reports whether the person agreed to anything for the client, and
// did not withdraw it.
func (s *SignIn) HasConsent() bool { return s.Consent.Stands() }

// LoadSignIn returns the living session behind a cookie's secret with its
// person, what that person agreed to for the client, and their history; or
// ErrNotFound when the session ended or lapsed or the person is disabled.
func (s *Store) LoadSignIn(ctx context.Context, secretHash []byte, client string, now Time) (*SignIn, error) {
	rows, err := s.loadSignIns(ctx, [][]byte{secretHash}, client, now)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, ErrNotFound
	}
	return &rows[0], nil
}

// LoadSignIns is LoadSignIn for every session of a browser, in no order.
func (s *Store) LoadSignIns(ctx context.Context, secretHashes [][]byte, now Time) ([]SignIn, error) {
	if len(secretHashes) == 0 {
		return nil, nil
	}
	return s.loadSignIns(ctx, secretHashes, "", now)
}

// signInOf is what a sign-in tells of a person p, beside their session and consent.
func signInOf(person string) string {
	return columns(Person{}, "p", "person_") + ", h.document AS history, i.display AS identifier, i.verified_at AS verified, w.changed_at AS password, " + groupsOf(person) + " AS groups, " +
		passkeysOf(person, "") + " AS passkeys, " + passkeysOf(person, " AND NOT k.backup_eligible") + " AS bound_passkeys, " +
		totpsOf(person, "") + " AS totps, " + totpsOf(person, " AND a.stopped_at IS NOT NULL") + " AS stopped_totps, " + phonesOf(person) + " AS phones, (SELECT count(*) FROM recovery_codes r WHERE r.person_id = " + person + ") AS recovery_codes"
}

// isRecovering is that a person p, whose password is w, may choose another one by the address
// that they proved then: they are not disabled, the password was not changed since, nor were
// they signed out of all that is theirs, and the address is one that was verified.
const isRecovering = "p.id = ? AND p.disabled_at IS NULL AND (w.changed_at IS NULL OR w.changed_at <= ?) AND (p.signed_out_at IS NULL OR p.signed_out_at < ?)" +
	" AND EXISTS (SELECT 1 FROM identifiers a WHERE a.kind = 'email' AND a.value = ? AND a.person_id = p.id AND a.verified_at IS NOT NULL)"

// LoadRecovering is LoadSignIn of somebody who has no session yet, and will have one once
// they chose another password; or ErrNotFound when they may not any more, who proved the
// address then.
func (s *Store) LoadRecovering(ctx context.Context, person ID, address string, since Time) (*SignIn, error) {
	var rows []SignIn
	err := s.db(ctx).Table("persons p").
		Select(signInOf("p.id")+", (SELECT count(*) FROM passkeys k WHERE k.person_id = p.id)"+
			" + (SELECT count(*) FROM totps a WHERE a.person_id = p.id AND a.confirmed_at IS NOT NULL) AS factors"+
			", (SELECT count(*) FROM phones n WHERE n.person_id = p.id) AS all_phones").
		Joins("LEFT JOIN histories h ON h.person_id = p.id").
		Joins("LEFT JOIN passwords w ON w.person_id = p.id").
		Joins(joinFirstEmail("p.id")).
		Where(isRecovering, person, since, since, address).
		Find(&rows).Error
	switch {
	case err != nil:
		return nil, translate(err)
	case len(rows) == 0:
		return nil, ErrNotFound
	}
	return &rows[0], nil
}

// Recovering is that somebody whom [Store.LoadRecovering] returned still has the password that they
// had then, and may choose another one.
func Recovering(in *SignIn, address string, since Time) Provided {
	had, args := "w.changed_at IS NULL", []any{in.Person.ID, since, since, address}
	if !in.Password.IsZero() {
		had, args = "w.changed_at = ?", append(args, in.Password)
	}
	return Provided{"EXISTS (SELECT 1 FROM persons p LEFT JOIN passwords w ON w.person_id = p.id WHERE " + isRecovering + " AND " + had + ")", args}
}

func (s *Store) loadSignIns(ctx context.Context, hashes [][]byte, client string, now Time) ([]SignIn, error) {
	var rows []SignIn
	err := s.db(ctx).Table("sessions s").
		Select(columns(Session{}, "s", "session_")+", "+columns(Consent{}, "c", "consent_")+", "+signInOf("s.person_id")).
		Joins("JOIN persons p ON p.id = s.person_id").
		Joins("LEFT JOIN consents c ON c.person_id = s.person_id AND c.client_id = ?", client).
		Joins("LEFT JOIN histories h ON h.person_id = s.person_id").
		Joins("LEFT JOIN passwords w ON w.person_id = s.person_id").
		Joins(joinFirstEmail("s.person_id")).
		Where("s.secret_hash IN ? AND s.ended_at IS NULL AND s.expires_at > ? AND p.disabled_at IS NULL", hashes, now).
		Find(&rows).Error
	return rows, translate(err)
}

// Arrival is what is remembered of somebody who just proved who they are, and of the
// browser that they did it with: a read across entities, as SignIn is.
type Arrival struct {
	Asking   string
	History  JSON[Raw]
	Device   Device `gorm:"embedded;embeddedPrefix:device_"` // zero: they did not sign in with it before, or it lapsed
	Passkeys Words
	TOTPs    Words `gorm:"column:totps"`
	Phones   Words
	Password Time  // when it was set; zero: they have none
	Groups   Words // names of the person's groups
}

// LoadArrival returns the person's arrival with this device, "" for none; or ErrNotFound.
func (s *Store) LoadArrival(ctx context.Context, person, device ID, now Time) (*Arrival, error) {
	var rows []Arrival
	err := s.db(ctx).Table("persons p").
		Select("p.asking, h.document AS history, "+columns(Device{}, "d", "device_")+", "+passkeysOf("p.id", "")+" AS passkeys, "+totpsOf("p.id", "")+" AS totps, "+phonesOf("p.id")+" AS phones, w.changed_at AS password, "+groupsOf("p.id")+" AS groups").
		Joins("LEFT JOIN histories h ON h.person_id = p.id").
		Joins("LEFT JOIN passwords w ON w.person_id = p.id").
		Joins("LEFT JOIN devices d ON d.person_id = p.id AND d.id = ? AND d.expires_at > ?", device, now).
		Where("p.id = ?", person).Find(&rows).Error
	if err != nil {
		return nil, translate(err)
	}
	if len(rows) == 0 {
		return nil, ErrNotFound
	}
	return &rows[0], nil
}

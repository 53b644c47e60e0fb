package storage

import "context"

// Consent is what one person agreed to for one client: one row a pair. It stays
// when they withdraw it, with nothing that they agreed to: what was on its way
// then is told by it from what they agree to afterwards.
type Consent struct {
	PersonID    ID     `gorm:"primaryKey"`
	ClientID    string `gorm:"primaryKey"`
	Scopes      Strings
	Resources   Strings
	Claims      Strings // names of claims, beside those that the scopes stand for
	Withdrawals int64   // how often the client's access was taken away
	WithdrawnAt Time    // zero while they agree
	CreatedAt   Time    `gorm:"autoCreateTime:false"` // since when they agree
	UpdatedAt   Time    `gorm:"autoUpdateTime:false"`
}

// Stands reports whether there is a consent, and nobody withdrew it.
func (c *Consent) Stands() bool {
	return c != nil && !c.CreatedAt.IsZero() && c.WithdrawnAt.IsZero()
}

// SetConsent writes what the person agreed to, in place of what was there. It
// changes nothing if access was withdrawn since c.Withdrawals was read: what they
// agreed to was agreed to before.
func (s *Store) SetConsent(ctx context.Context, c *Consent) error {
	return s.do(ctx, s.insert(ctx, c, "ON CONFLICT (person_id, client_id) DO UPDATE SET scopes = excluded.scopes,"+
		" resources = excluded.resources, claims = excluded.claims, withdrawn_at = NULL, updated_at = excluded.updated_at,"+
		" created_at = CASE WHEN consents.withdrawn_at IS NULL THEN consents.created_at ELSE excluded.created_at END"+
		" WHERE consents.withdrawals = excluded.withdrawals"))
}

// ConsentsOf returns everything that a person agreed to, by client, and what they
// withdrew.
func (s *Store) ConsentsOf(ctx context.Context, person ID) ([]Consent, error) {
	var cs []Consent
	err := s.db(ctx).Where("person_id = ?", person).Order("client_id").Find(&cs).Error
	return cs, translate(err)
}

// WithdrawConsent forgets what a person agreed to for a client, and kills every
// grant of the two that was made, or is being made, without knowing of it; also
// when they never agreed to anything. seen is how often that had happened:
// ErrStale if it happened again meanwhile. To revoke the grants is for
// [Store.RevokeGrantsOf].
func (s *Store) WithdrawConsent(ctx context.Context, person ID, client string, seen int64, now Time) error {
	w := s.insert(ctx, &Consent{PersonID: person, ClientID: client, Withdrawals: seen + 1, WithdrawnAt: now, CreatedAt: now, UpdatedAt: now},
		"ON CONFLICT (person_id, client_id) DO UPDATE SET scopes = excluded.scopes, resources = excluded.resources, claims = excluded.claims,"+
			" withdrawals = excluded.withdrawals, withdrawn_at = excluded.withdrawn_at, updated_at = excluded.updated_at"+
			" WHERE consents.withdrawals = excluded.withdrawals - 1")
	w.guard = ErrStale
	return s.do(ctx, w)
}

// ConsentOf returns what a person agreed to for a client, or withdrew, or
// ErrNotFound.
func (s *Store) ConsentOf(ctx context.Context, person ID, client string) (*Consent, error) {
	var c Consent
	if err := take(s.db(ctx).Where("person_id = ? AND client_id = ?", person, client), &c); err != nil {
		return nil, err
	}
	return &c, nil
}

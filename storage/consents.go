package storage

import "context"

// Consent is what one person agreed to for one client: one row a pair.
type Consent struct {
	PersonID  ID     `gorm:"primaryKey"`
	ClientID  string `gorm:"primaryKey"`
	Scopes    Strings
	Resources Strings
	Claims    Strings // names of claims, beside those that the scopes stand for
	CreatedAt Time    `gorm:"autoCreateTime:false"`
	UpdatedAt Time    `gorm:"autoUpdateTime:false"`
}

// SetConsent writes what the person agreed to, in place of what was there.
func (s *Store) SetConsent(ctx context.Context, c *Consent) error {
	return s.do(ctx, s.insert(ctx, c, "ON CONFLICT (person_id, client_id) DO UPDATE SET scopes = excluded.scopes,"+
		" resources = excluded.resources, claims = excluded.claims, updated_at = excluded.updated_at"))
}

// ConsentsOf returns everything that a person agreed to, by client.
func (s *Store) ConsentsOf(ctx context.Context, person ID) ([]Consent, error) {
	var cs []Consent
	err := s.db(ctx).Where("person_id = ?", person).Order("client_id").Find(&cs).Error
	return cs, translate(err)
}

// DeleteConsent forgets what a person agreed to for a client; ErrNotFound: there
// is nothing. What came of it is for [Store.RevokeGrantsOf].
func (s *Store) DeleteConsent(ctx context.Context, person ID, client string) error {
	return s.do(ctx, write{
		text: "DELETE FROM consents WHERE person_id = ? AND client_id = ?", args: []any{person, client}, guard: ErrNotFound,
	})
}

// ConsentOf returns what a person agreed to for a client, or ErrNotFound.
func (s *Store) ConsentOf(ctx context.Context, person ID, client string) (*Consent, error) {
	var c Consent
	if err := take(s.db(ctx).Where("person_id = ? AND client_id = ?", person, client), &c); err != nil {
		return nil, err
	}
	return &c, nil
}

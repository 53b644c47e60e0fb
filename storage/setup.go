package storage

import "context"

// SetupLink is the one-time link by which the first member of a group comes in.
type SetupLink struct {
	Name       string `gorm:"primaryKey"` // of the group that it leads into: one link each
	SecretHash []byte
	CreatedAt  Time `gorm:"autoCreateTime:false"`
	ExpiresAt  Time
}

// ReplaceSetupLink makes l the link into its group, in the place of the one there
// was; ErrSpent: somebody is in the group.
func (s *Store) ReplaceSetupLink(ctx context.Context, l *SetupLink) error {
	return s.do(ctx, setupLinkOf(l, ""))
}

// CreateSetupLink makes l the link into its group where there is none that lives: of any
// number of calls at once one returns nil, all others ErrSpent; so do all where somebody
// is in the group.
func (s *Store) CreateSetupLink(ctx context.Context, l *SetupLink) error {
	return s.do(ctx, setupLinkOf(l, " WHERE setup_links.expires_at <= excluded.created_at"))
}

func setupLinkOf(l *SetupLink, inPlaceOf string) write {
	return write{
		text: "INSERT INTO setup_links (name, secret_hash, created_at, expires_at) SELECT ?, ?, ?, ?" +
			" WHERE NOT EXISTS (SELECT 1 FROM members WHERE group_name = ?)",
		args: []any{l.Name, l.SecretHash, l.CreatedAt, l.ExpiresAt, l.Name},
		rest: " ON CONFLICT (name) DO UPDATE SET secret_hash = excluded.secret_hash, created_at = excluded.created_at, expires_at = excluded.expires_at" +
			inPlaceOf,
		guard: ErrSpent, locks: []waitFor{groupAlone(l.Name)},
	}
}

// SetupLink returns the link into a group and whether somebody is in the group, in
// one statement; without a link its SecretHash is nil.
func (s *Store) SetupLink(ctx context.Context, group string) (l SetupLink, occupied bool, err error) {
	var row struct {
		Link     SetupLink `gorm:"embedded;embeddedPrefix:link_"`
		Occupied bool
	}
	err = s.db(ctx).Table("groups g").
		Select(columns(SetupLink{}, "l", "link_")+", EXISTS (SELECT 1 FROM members m WHERE m.group_name = g.name) AS occupied").
		Joins("LEFT JOIN setup_links l ON l.name = g.name").Where("g.name = ?", group).Take(&row).Error
	return row.Link, row.Occupied, translate(err)
}

// SpendSetupLink uses up the living link into a group that has nobody in it: of any
// number of calls, on any number of replicas, one returns nil, all others ErrSpent.
func (s *Store) SpendSetupLink(ctx context.Context, group string, secretHash []byte, now Time) error {
	return s.do(ctx, write{
		text: "DELETE FROM setup_links WHERE name = ? AND secret_hash = ? AND expires_at > ?" +
			" AND NOT EXISTS (SELECT 1 FROM members WHERE group_name = ?)",
		args: []any{group, secretHash, now, group}, guard: ErrSpent, locks: []waitFor{groupAlone(group)},
	})
}

// AddNewcomer puts a person into a group who is made in the same unit, and so is in
// none yet.
func (s *Store) AddNewcomer(ctx context.Context, m *Member) error {
	return s.do(ctx, s.insert(ctx, m, ""))
}

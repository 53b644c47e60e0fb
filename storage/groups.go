package storage

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"
)

// Group is a set of people with a name. It owns clients and resources, by their
// Owner, and may be told to clients.
type Group struct {
	Name        string `gorm:"primaryKey"` // canonical; no spaces
	Version     int64
	Description string
	CreatedAt   Time `gorm:"autoCreateTime:false"`
	UpdatedAt   Time `gorm:"autoUpdateTime:false"`
}

// Member says that a person is in a group.
type Member struct {
	GroupName string `gorm:"primaryKey"`
	PersonID  ID     `gorm:"primaryKey"`
	CreatedAt Time   `gorm:"autoCreateTime:false"`
}

// Operators is the group of those who run the house. It is there from the first
// migration on, stays, and never loses the last member whose account is open.
const Operators = "operators"

// MaxGroups is how many groups one person is in: tokens name all of them.
const MaxGroups = 100

// Words are short texts without spaces that a query put together, sorted.
type Words []string

// Value implements driver.Valuer, without which gorm would not scan the field.
func (w Words) Value() (driver.Value, error) { return strings.Join(w, " "), nil }

// Scan implements sql.Scanner.
func (w *Words) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*w = nil
	case string:
		*w = strings.Fields(v)
	case []byte:
		*w = strings.Fields(string(v))
	default:
		return fmt.Errorf("storage: words from %T", src)
	}
	slices.Sort(*w)
	return nil
}

// groupsOf is the names of a person's groups, as [Words], for a read of the person.
func groupsOf(person string) string {
	return "(SELECT string_agg(m.group_name, ' ') FROM members m WHERE m.person_id = " + person + ")"
}

// Group returns the group of this name, or ErrNotFound.
func (s *Store) Group(ctx context.Context, name string) (*Group, error) {
	var g Group
	if err := take(s.db(ctx).Where("name = ?", name), &g); err != nil {
		return nil, err
	}
	return &g, nil
}

// Groups returns a page of all groups, by name.
func (s *Store) Groups(ctx context.Context, p Page) (List[Group], error) {
	after, err := p.afterText()
	if err != nil {
		return List[Group]{}, err
	}
	var gs []Group
	err = s.db(ctx).Where("name > ?", after).Order("name").Limit(p.more()).Find(&gs).Error
	return page(gs, p, func(g *Group) string { return g.Name }), translate(err)
}

// GroupsOf returns a page of the groups of a person, by name.
func (s *Store) GroupsOf(ctx context.Context, person ID, p Page) (List[Group], error) {
	after, err := p.afterText()
	if err != nil {
		return List[Group]{}, err
	}
	var gs []Group
	err = s.db(ctx).Table("members m").Select(columns(Group{}, "g", "")).Joins("JOIN groups g ON g.name = m.group_name").
		Where("m.person_id = ? AND m.group_name > ?", person, after).Order("m.group_name").Limit(p.more()).Find(&gs).Error
	return page(gs, p, func(g *Group) string { return g.Name }), translate(err)
}

// MemberEntry is a member with the person.
type MemberEntry struct {
	Member Member `gorm:"embedded;embeddedPrefix:member_"`
	Person Person `gorm:"embedded;embeddedPrefix:person_"`
	Email  string // the person's first address, for display; "" if they have none
}

// Members returns a page of the members of a group, by the person's id, the oldest
// account first.
func (s *Store) Members(ctx context.Context, group string, p Page) (List[MemberEntry], error) {
	after, err := p.afterID()
	if err != nil {
		return List[MemberEntry]{}, err
	}
	var ms []MemberEntry
	err = s.db(ctx).Table("members m").
		Select(columns(Member{}, "m", "member_")+", "+columns(Person{}, "p", "person_")+", COALESCE(i.display, '') AS email").
		Joins("JOIN persons p ON p.id = m.person_id").Joins(joinFirstEmail("m.person_id")).
		Where("m.group_name = ? AND m.person_id > ?", group, after).Order("m.person_id").Limit(p.more()).Find(&ms).Error
	return page(ms, p, func(m *MemberEntry) string { return string(m.Member.PersonID) }), translate(err)
}

// CreateGroup adds a group; ErrConflict: the name is taken.
func (s *Store) CreateGroup(ctx context.Context, g *Group) error {
	return s.do(ctx, s.insert(ctx, g, ""))
}

// UpdateGroup replaces what a group that is still at g.Version says of itself, and
// raises that by one; ErrStale: it changed since it was read, or is gone.
func (s *Store) UpdateGroup(ctx context.Context, g *Group) error {
	err := s.do(ctx, write{
		text:  "UPDATE groups SET version = version + 1, description = ?, updated_at = ? WHERE name = ? AND version = ?",
		args:  []any{g.Description, g.UpdatedAt, g.Name, g.Version},
		guard: ErrStale,
	})
	if err == nil {
		g.Version++
	}
	return err
}

// DeleteGroup removes a group that is still at g.Version and owns nothing, with its
// memberships; ErrStale: it changed since it was read, owns something, or is gone.
func (s *Store) DeleteGroup(ctx context.Context, g *Group) error {
	return s.do(ctx, write{
		text: "DELETE FROM groups WHERE name = ? AND version = ? AND NOT EXISTS (SELECT 1 FROM clients WHERE owner = ?)" +
			" AND NOT EXISTS (SELECT 1 FROM resources WHERE owner = ?)",
		args: []any{g.Name, g.Version, g.Name, g.Name}, guard: ErrStale, locks: []waitFor{groupAlone(g.Name)},
	})
}

// owned is w, by which something is given an owner, for an owner that is a group; it
// stays one meanwhile. An update may leave one as it is that never was.
func owned(w write, owner string) write {
	if owner == "" {
		return w
	}
	w.guard, w.locks = ErrStale, append(w.locks, groupStays(owner))
	const isGroup = "EXISTS (SELECT 1 FROM groups WHERE name = ?)"
	if w.table != "" {
		return w.onlyIf(isGroup, owner)
	}
	return w.onlyIf("(owner = ? OR "+isGroup+")", owner, owner)
}

// Owned returns what a group owns, up to limit of each: ids of clients and audiences
// of resources.
func (s *Store) Owned(ctx context.Context, group string, limit int) (clients, resources []string, err error) {
	err = s.db(ctx).Model(&Client{}).Where("owner = ?", group).Order("id").Limit(limit).Pluck("id", &clients).Error
	if err == nil {
		err = s.db(ctx).Model(&Resource{}).Where("owner = ?", group).Order("audience").Limit(limit).Pluck("audience", &resources).Error
	}
	return clients, resources, translate(err)
}

// AddMember puts a person into a group, into which no set-up link leads any more.
// ErrConflict: they are in it; ErrNotFound: there is no such group or person; ErrStale:
// they are in [MaxGroups] already.
func (s *Store) AddMember(ctx context.Context, m *Member) error {
	return s.doAll(ctx,
		write{
			text: "INSERT INTO members (group_name, person_id, created_at) SELECT ?, ?, ?" +
				" WHERE (SELECT count(*) FROM members WHERE person_id = ?) < ?",
			args: []any{m.GroupName, m.PersonID, m.CreatedAt, m.PersonID, MaxGroups}, guard: ErrStale, locks: []waitFor{personStays(m.PersonID), groupStays(m.GroupName)},
		},
		write{text: "DELETE FROM setup_links WHERE name = ?", args: []any{m.GroupName}},
	)
}

// personStays is the lock of who puts a person into a group: nobody has it together with
// [unlessLast], which asks whether they are in one. It is no stronger than that needs:
// rows that name the person are written beside both.
func personStays(id ID) waitFor {
	return waitFor{"SELECT 1 FROM persons WHERE id = ? FOR SHARE", []any{id}}
}

// groupStays is the lock of who needs a group to be there until the unit is done: any
// number may have it at once, but nobody together with [groupAlone].
func groupStays(name string) waitFor {
	return waitFor{"SELECT 1 FROM groups WHERE name = ? FOR KEY SHARE", []any{name}}
}

// groupAlone is the lock of who needs to know, until the unit is done, who is in a group
// or what belongs to it.
func groupAlone(name string) waitFor {
	return waitFor{"SELECT 1 FROM groups WHERE name = ? FOR UPDATE", []any{name}}
}

// IsMember reports whether a person is in a group.
func (s *Store) IsMember(ctx context.Context, group string, person ID) (bool, error) {
	var n int64
	err := s.db(ctx).Model(&Member{}).Where("group_name = ? AND person_id = ?", group, person).Count(&n).Error
	return n > 0, translate(err)
}

// RemoveMember takes a person out of a group; ErrNotFound: they are not in it, or
// [Store.LastOperator] says why not.
func (s *Store) RemoveMember(ctx context.Context, group string, person ID) error {
	w := write{text: "DELETE FROM members WHERE group_name = ? AND person_id = ?", args: []any{group, person}, guard: ErrNotFound}
	if group == Operators {
		w = unlessLast(w, person)
	}
	return s.do(ctx, w)
}

// isLast is a condition: the person is in a group, and nobody else who is has an account
// that is open.
const isLast = "EXISTS (SELECT 1 FROM members WHERE group_name = ? AND person_id = ?) AND NOT EXISTS (SELECT 1 FROM members m" +
	" JOIN persons p ON p.id = m.person_id WHERE m.group_name = ? AND m.person_id <> ? AND p.disabled_at IS NULL)"

func isLastArgs(person ID) []any { return []any{Operators, person, Operators, person} }

// unlessLast is w, by which a person ceases to be an operator, for whoever is not the
// last one: of two who go at once one stays. Who is in the group is held up by others who
// go, nobody else is; whether they are in it stays so meanwhile.
func unlessLast(w write, person ID) write {
	w.locks = []waitFor{
		personAlone(person), // see personStays
		{"SELECT 1 FROM groups WHERE name = ? AND EXISTS (SELECT 1 FROM members WHERE group_name = ? AND person_id = ?) FOR UPDATE", []any{Operators, Operators, person}},
	}
	return w.onlyIf("NOT ("+isLast+")", isLastArgs(person)...)
}

// LastOperator reports whether a person is in [Operators] and nobody else who is has an
// account that is open.
func (s *Store) LastOperator(ctx context.Context, person ID) (last bool, err error) {
	err = s.db(ctx).Raw("SELECT "+isLast, isLastArgs(person)...).Row().Scan(&last)
	return last, translate(err)
}

package storage

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// Resource is a protected API that access tokens are made for (RFC 8707).
type Resource struct {
	Audience    string `gorm:"primaryKey"` // an absolute URI without fragment
	Version     int64
	Name        string
	Owner       string  // a group's name; "" while nobody owns it
	Scopes      Strings // names that clients may be given
	Introspects Strings // ids of the clients that introspect for it
	Format      string  // "jwt" or "opaque"
	Alg         string  // how its JWTs are signed
	Lifetime    int64   // seconds an access token lives
	CreatedAt   Time    `gorm:"autoCreateTime:false"`
	UpdatedAt   Time    `gorm:"autoUpdateTime:false"`
}

// TTL returns how long this resource's access tokens live.
func (r *Resource) TTL() time.Duration { return time.Duration(r.Lifetime) * time.Second }

// Resources returns every resource, by audience: there are few.
func (s *Store) Resources(ctx context.Context) ([]Resource, error) {
	var rs []Resource
	err := s.db(ctx).Order("audience").Find(&rs).Error
	return rs, translate(err)
}

// PageResources returns a page of all resources, by audience.
func (s *Store) PageResources(ctx context.Context, p Page) (List[Resource], error) {
	after, err := p.afterText()
	if err != nil {
		return List[Resource]{}, err
	}
	var rs []Resource
	err = s.db(ctx).Where("audience > ?", after).Order("audience").Limit(p.more()).Find(&rs).Error
	return page(rs, p, func(r *Resource) string { return r.Audience }), translate(err)
}

// Resource returns the resource of this audience, or ErrNotFound.
func (s *Store) Resource(ctx context.Context, audience string) (*Resource, error) {
	var r Resource
	if err := take(s.db(ctx).Where("audience = ?", audience), &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// CreateResource adds a resource; ErrConflict: the audience is taken; ErrStale: another
// resource has one of its scopes, or its owner is no group.
func (s *Store) CreateResource(ctx context.Context, r *Resource) error {
	return s.do(ctx, owned(s.unshared(s.insert(ctx, r, ""), r), r.Owner))
}

// unshared is w, which writes r, for scopes that no other resource has: of two that take
// the same one at once the second fails.
func (s *Store) unshared(w write, r *Resource) write {
	if len(r.Scopes) == 0 {
		return w
	}
	from, args := s.scopesAmong(r.Scopes)
	w.guard, w.locks = ErrStale, append(w.locks, resourcesAlone)
	return w.onlyIf("NOT EXISTS (SELECT 1"+from+" AND o.audience <> ?)", append(args, r.Audience)...)
}

// unused is w, by which resources lose scopes, for scopes that no client is registered
// with: none is given them at once.
func (s *Store) unused(w write, scopes []string) write {
	if len(scopes) == 0 {
		return w
	}
	has, args := s.named(scopes)
	w.guard, w.locks = ErrStale, append(w.locks, resourcesAlone)
	return w.onlyIf("NOT EXISTS (SELECT 1 FROM clients WHERE "+has+")", args...)
}

// belonging is w, by which a client is given scopes, each once, that belong to resources:
// none loses them at once.
func (s *Store) belonging(w write, scopes []string) write {
	if len(scopes) == 0 {
		return w
	}
	from, args := s.scopesAmong(scopes)
	w.guard, w.locks = ErrStale, append(w.locks, resourcesStay)
	return w.onlyIf("(SELECT count(DISTINCT value)"+from+") = "+strconv.Itoa(len(scopes)), args...)
}

// scopesAmong is where the scopes of resources, as value, are read that are among these,
// with the values of that.
func (s *Store) scopesAmong(scopes []string) (from string, args []any) {
	each := "json_each(o.scopes)"
	if s.dialect == onPostgres {
		each = "jsonb_array_elements_text(o.scopes) AS s (value)"
	}
	for _, scope := range scopes {
		args = append(args, scope)
	}
	return " FROM resources o, " + each + " WHERE value IN (" + strings.TrimSuffix(strings.Repeat("?, ", len(scopes)), ", ") + ")", args
}

// resourcesAlone is the lock of who needs to know, until the unit is done, whose every
// scope is, and resourcesStay of who needs those that are there: any number may have that
// at once, but nobody together with the other.
var (
	resourcesAlone = waitFor{text: "LOCK TABLE resources IN SHARE ROW EXCLUSIVE MODE"}
	resourcesStay  = waitFor{text: "LOCK TABLE resources IN ROW EXCLUSIVE MODE"}
)

// UpdateResource replaces a resource that is still at r.Version, which it raises by
// one; gone are the scopes that it loses. ErrStale: it changed since it was read, or is
// gone, another resource has one of its scopes, a client is registered with one that it
// loses, or its new owner is no group.
func (s *Store) UpdateResource(ctx context.Context, r *Resource, gone ...string) error {
	err := s.do(ctx, owned(s.unused(s.unshared(write{
		text: "UPDATE resources SET version = version + 1, name = ?, owner = ?, scopes = ?, introspects = ?, format = ?, alg = ?," +
			" lifetime = ?, updated_at = ? WHERE audience = ? AND version = ?",
		args:  []any{r.Name, r.Owner, r.Scopes, r.Introspects, r.Format, r.Alg, r.Lifetime, r.UpdatedAt, r.Audience, r.Version},
		guard: ErrStale,
	}, r), gone), r.Owner))
	if err == nil {
		r.Version++
	}
	return err
}

// DeleteResource removes a resource that is still at r.Version; ErrStale: it changed
// since it was read, or is gone, or a client is registered with one of its scopes.
func (s *Store) DeleteResource(ctx context.Context, r *Resource) error {
	return s.do(ctx, s.unused(write{
		text: "DELETE FROM resources WHERE audience = ? AND version = ?", args: []any{r.Audience, r.Version}, guard: ErrStale,
	}, r.Scopes))
}

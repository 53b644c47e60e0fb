package storage

import (
	"context"
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

// Resource returns the resource of this audience, or ErrNotFound.
func (s *Store) Resource(ctx context.Context, audience string) (*Resource, error) {
	var r Resource
	if err := take(s.db(ctx).Where("audience = ?", audience), &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// CreateResource adds a resource; ErrConflict: the audience is taken.
func (s *Store) CreateResource(ctx context.Context, r *Resource) error {
	return s.do(ctx, s.insert(ctx, r, ""))
}

// DeleteResource removes a resource; ErrNotFound: there is none.
func (s *Store) DeleteResource(ctx context.Context, audience string) error {
	return s.do(ctx, write{text: "DELETE FROM resources WHERE audience = ?", args: []any{audience}, guard: ErrNotFound})
}

package clients

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/storage"
)

// Defaults and limits of a resource's access tokens.
const (
	formatJWT       = "jwt"
	FormatOpaque    = "opaque" // a row each; only introspection tells what it is worth
	defaultAlg      = "ES256"
	defaultLifetime = 10 * time.Minute
	minLifetime     = 30 * time.Second
)

// Entry is one resource that a client may use, with the scopes that it may use
// there.
type Entry struct {
	Resource *storage.Resource
	Scopes   []string
}

// resourceSet is every resource at one moment; it is never changed.
type resourceSet struct {
	read    moment
	all     map[string]*storage.Resource // by audience
	byScope map[string]*storage.Resource
}

// resourcesNow returns the resources as they are in memory.
func (s *Service) resourcesNow(ctx context.Context) (*resourceSet, error) {
	if set := s.resources.Load(); set != nil && s.fresh(set.read, &s.eras.resources) {
		return set, nil
	}
	read := s.begin(&s.eras.resources)
	return shared(ctx, &s.reads, read.reading("resources"), func(ctx context.Context) (*resourceSet, error) {
		set := &resourceSet{read: read, all: map[string]*storage.Resource{}, byScope: map[string]*storage.Resource{}}
		rows, err := s.allResources(ctx)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			r := &rows[i]
			set.all[r.Audience] = r
			for _, scope := range r.Scopes {
				// Of two that a house has from before the store refused it the older keeps it.
				if other := set.byScope[scope]; other == nil || r.CreatedAt.Before(other.CreatedAt.Time) {
					set.byScope[scope] = r
				}
			}
		}
		s.resources.Store(set)
		return set, nil
	})
}

// Resource returns the resource of this audience, which the caller must not
// change, or storage.ErrNotFound. It may have been removed meanwhile.
func (s *Service) Resource(ctx context.Context, audience string) (*storage.Resource, error) {
	set, err := s.resourcesNow(ctx)
	if err != nil {
		return nil, err
	}
	r, ok := set.all[audience]
	if !ok {
		return nil, storage.ErrNotFound
	}
	return r, nil
}

// Entries returns the resources that a client may use: those that a scope of its
// registration belongs to, each with these scopes. A client with one entry has it
// as its default.
func (s *Service) Entries(ctx context.Context, c *storage.Client) ([]Entry, error) {
	set, err := s.resourcesNow(ctx)
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for scope := range strings.SplitSeq(c.Metadata.V.Scope, " ") {
		r, ok := set.byScope[scope]
		if !ok {
			continue
		}
		i := slices.IndexFunc(entries, func(e Entry) bool { return e.Resource == r })
		if i < 0 {
			i = len(entries)
			entries = append(entries, Entry{Resource: r})
		}
		entries[i].Scopes = append(entries[i].Scopes, scope)
	}
	return entries, nil
}

// ResourceNames returns, for each scope of a client that belongs to a resource, what
// people read that resource called.
func (s *Service) ResourceNames(ctx context.Context, c *storage.Client) (map[string]string, error) {
	entries, err := s.Entries(ctx, c)
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, e := range entries {
		for _, scope := range e.Scopes {
			names[scope] = e.Resource.Name
		}
	}
	return names, nil
}

// ResourceView is a resource in JSON, in and out.
type ResourceView struct {
	Audience    string   `json:"audience"` // an absolute URI without fragment (RFC 8707 section 2)
	Name        string   `json:"name,omitempty"`
	Owner       string   `json:"owner,omitempty"` // a group's name
	Scopes      []string `json:"scopes"`
	Introspects []string `json:"introspects,omitempty"` // ids of the clients that introspect for it
	Format      string   `json:"format,omitempty"`      // "jwt", "opaque"
	Algorithm   string   `json:"algorithm,omitempty"`
	Lifetime    int64    `json:"lifetime,omitempty"` // seconds that an access token lives
}

// NewResourceView shows a resource.
func NewResourceView(r *storage.Resource) ResourceView {
	return ResourceView{
		Audience: r.Audience, Name: r.Name, Owner: r.Owner, Scopes: r.Scopes, Introspects: r.Introspects,
		Format: r.Format, Algorithm: r.Alg, Lifetime: r.Lifetime,
	}
}

// DecodeResource reads a resource in JSON, as strictly as [DecodeRegistration].
func DecodeResource(r io.Reader) (*storage.Resource, error) {
	var in ResourceView
	text, err := readDocument(r)
	if err != nil {
		return nil, err
	}
	if err := decodeDocument(text, &in); err != nil {
		return nil, err
	}
	return in.Resource(), nil
}

// Resource returns the resource that would be shown so.
func (v ResourceView) Resource() *storage.Resource {
	return &storage.Resource{
		Audience: v.Audience, Name: v.Name, Owner: v.Owner, Scopes: v.Scopes, Introspects: v.Introspects,
		Format: v.Format, Alg: v.Algorithm, Lifetime: v.Lifetime,
	}
}

// setResourceDefaults fills in what was left out.
func setResourceDefaults(r *storage.Resource) {
	if r.Name == "" {
		r.Name = r.Audience
	}
	if r.Format == "" {
		r.Format = formatJWT
	}
	if r.Alg == "" {
		r.Alg = defaultAlg
	}
	if r.Lifetime == 0 {
		r.Lifetime = int64(defaultLifetime.Seconds())
	}
}

// CreateResource registers a resource, with its event: of in everything counts
// but the times and the version; format, algorithm, lifetime and name have
// defaults. What is wrong is one fault that names every field; a taken audience
// and a scope that another resource has are faults of kind Conflict.
func (s *Service) CreateResource(ctx context.Context, in *storage.Resource, by events.Actor) (*storage.Resource, error) {
	r := *in
	r.Version, r.CreatedAt = 1, storage.At(s.now())
	r.UpdatedAt = r.CreatedAt
	setResourceDefaults(&r)
	if err := s.checkResource(ctx, &r, nil); err != nil {
		return nil, err
	}
	unit := storage.WithUnit(ctx)
	if err := s.store.CreateResource(unit, &r); err != nil {
		return nil, fmt.Errorf("create resource %s: %w", r.Audience, err)
	}
	err := s.flush(unit, events.Event{Kind: events.ResourceCreated, Actor: by, Data: NewResourceView(&r)})
	switch {
	case errors.Is(err, storage.ErrConflict):
		return nil, fault.Conflict("audience", "is taken")
	case errors.Is(err, storage.ErrStale):
		return nil, s.overtaken(ctx, &r, nil)
	case err != nil:
		return nil, fmt.Errorf("create resource %s: %w", r.Audience, err)
	}
	s.Forget(storage.Changes{Resources: true})
	return &r, nil
}

var errResourceMeanwhile = &fault.Error{
	Kind: fault.KindConflict, Code: "conflict", Message: "the resource was changed by somebody else at the same time: read it again", Err: storage.ErrStale,
}

// overtaken says why a resource that was right could not be written: what somebody else
// wrote meanwhile is in its way.
func (s *Service) overtaken(ctx context.Context, r, was *storage.Resource) error {
	if err := s.checkResource(ctx, r, was); err != nil {
		return err
	}
	return errResourceMeanwhile
}

// UpdateResource changes a resource, as it was read, by a JSON merge patch (RFC
// 7396), with its event: null gives a member its default again. The audience stays.
// A scope that a client's registration names can only go when no client has it any
// more: a fault of kind Conflict, which names the clients; so is, and it is
// storage.ErrStale as well, a change by somebody else since r was read. Tokens that
// were made before are as they are until they end.
func (s *Service) UpdateResource(ctx context.Context, r *storage.Resource, patch []byte, by events.Actor) error {
	var in ResourceView
	if err := mergePatch(NewResourceView(r), patch, &in); err != nil {
		return err
	}
	if in.Audience != r.Audience {
		return fault.Invalid("audience", "cannot be changed: register another resource")
	}
	was := *r
	r.Name, r.Owner, r.Scopes, r.Introspects, r.Format, r.Alg, r.Lifetime = in.Name, in.Owner, in.Scopes, in.Introspects, in.Format, in.Algorithm, in.Lifetime
	r.UpdatedAt = storage.At(s.now())
	setResourceDefaults(r)
	if err := s.checkResource(ctx, r, &was); err != nil {
		return err
	}
	gone := slices.DeleteFunc(slices.Clone(was.Scopes), r.Scopes.Has)
	if err := s.checkUnused(ctx, "scopes", gone); err != nil {
		return err
	}
	unit := storage.WithUnit(ctx)
	err := s.store.UpdateResource(unit, r, gone...)
	if err == nil {
		err = s.flush(unit, events.Event{Kind: events.ResourceUpdated, Actor: by, Data: NewResourceView(r)})
	}
	if errors.Is(err, storage.ErrStale) {
		return cmp.Or(s.checkUnused(ctx, "scopes", gone), s.overtaken(ctx, r, &was))
	}
	return s.settleResource(r, err)
}

// settleResource forgets the resources after a change and says what became of it.
func (s *Service) settleResource(r *storage.Resource, err error) error {
	if errors.Is(err, storage.ErrStale) {
		return errResourceMeanwhile
	}
	if err != nil {
		return fmt.Errorf("change resource %s: %w", r.Audience, err)
	}
	s.Forget(storage.Changes{Resources: true})
	return nil
}

// checkResource says what is wrong with r, all of it; was is what it was before, nil
// for a new one.
func (s *Service) checkResource(ctx context.Context, r, was *storage.Resource) error {
	known, err := s.allResources(ctx)
	if err != nil {
		return err
	}
	var f faults
	if problem := s.audienceProblem(r.Audience); problem != "" {
		f.add("audience", "%s", problem)
	}
	if was == nil || r.Owner != was.Owner {
		if r.Owner, err = s.owner(ctx, &f, r.Owner); err != nil {
			return err
		}
	}
	if r.Name != r.Audience {
		f.text("name", r.Name)
	}
	if len(r.Scopes) == 0 {
		f.add("scopes", "must have at least one name: it is by a scope that a client is given the resource")
	}
	if len(r.Scopes) > maxList {
		f.add("scopes", "has more than %d entries", maxList)
	}
	for i, name := range r.Scopes {
		switch {
		case !isScopeToken(name) || len(name) > maxText:
			f.add("scopes", "%q is not a scope name: it must be printable ASCII without space, \" and \\", shortened(name))
		case IsOIDCScope(name):
			f.add("scopes", "%q belongs to OpenID Connect, so to the issuer", name)
		case slices.Contains(r.Scopes[:i], name):
			f.add("scopes", "%q is there twice", name)
		}
	}
	f.owned(r, known)
	f.oneOf("format", r.Format, formatJWT, FormatOpaque)
	if r.Format == FormatOpaque && len(r.Introspects) == 0 {
		f.add("introspects", "must name a client: an opaque token says nothing to the API, which has to ask")
	}
	f.oneOf("algorithm", r.Alg, s.cfg.Algorithms...)
	if ttl := r.TTL(); r.Lifetime > maxSeconds || ttl < minLifetime || ttl > MaxLifetime {
		f.add("lifetime", "must be between %d and %d seconds", int64(minLifetime.Seconds()), int64(MaxLifetime.Seconds()))
	}
	if len(r.Introspects) > maxList {
		f.add("introspects", "has more than %d entries", maxList)
		return fault.Join(f...)
	}
	for _, id := range r.Introspects {
		switch c, err := s.store.Client(ctx, id); {
		case errors.Is(err, storage.ErrNotFound):
			f.add("introspects", "there is no client %q", shortened(id))
		case err != nil:
			return fmt.Errorf("client %s: %w", id, err)
		case c.Metadata.V.TokenEndpointAuthMethod == methodNone:
			f.add("introspects", "the client %q is public: it cannot prove who it is", id)
		}
	}
	if len(f) > 0 {
		return fault.Join(f...)
	}
	// Nobody was given what belonged to nothing: those who have it would get this one.
	return s.checkUnused(ctx, "scopes", slices.DeleteFunc(slices.Clone(r.Scopes), func(name string) bool {
		return slices.ContainsFunc(known, func(k storage.Resource) bool { return k.Scopes.Has(name) })
	}))
}

// owned checks that no other resource has a scope of r: the clients that have it
// would be given both, and those that have one resource would lose their default.
func (f *faults) owned(r *storage.Resource, known []storage.Resource) {
	for i := range known {
		other := &known[i]
		if other.Audience == r.Audience {
			continue // it is taken as a whole, which the database says
		}
		for _, name := range r.Scopes {
			if other.Scopes.Has(name) {
				*f = append(*f, fault.Conflict("scopes", fmt.Sprintf("%q belongs to the resource %s: choose another name", name, other.Audience)))
			}
		}
	}
}

// audienceProblem says what is wrong with an audience, "" if nothing is.
func (s *Service) audienceProblem(audience string) string {
	u, problem := parseURI(audience)
	switch {
	case problem != "":
		return problem
	case u.Host == "" && u.Opaque == "" && u.Path == "":
		return "is not an absolute URI"
	case strings.TrimSuffix(audience, "/") == strings.TrimSuffix(s.cfg.Issuer, "/"):
		return "is the issuer's own: tokens for it are for userinfo"
	case audience == APIAudience(s.cfg.Issuer):
		return "is the operators' API's own: its scopes are given to clients as those of any resource"
	}
	return ""
}

// ShowResource returns a resource as it is in the database, or storage.ErrNotFound.
func (s *Service) ShowResource(ctx context.Context, audience string) (*storage.Resource, error) {
	r, err := s.store.Resource(ctx, audience)
	if err != nil {
		return nil, fmt.Errorf("resource %s: %w", audience, err)
	}
	return r, nil
}

// ListResources returns every resource, by audience.
func (s *Service) ListResources(ctx context.Context) ([]storage.Resource, error) {
	all, err := s.store.Resources(ctx)
	if err != nil {
		return nil, fmt.Errorf("resources: %w", err)
	}
	return all, nil
}

// PageResources returns a page of all resources, by audience. The one that is built in
// is not among them.
func (s *Service) PageResources(ctx context.Context, p storage.Page) (storage.List[storage.Resource], error) {
	some, err := s.store.PageResources(ctx, p)
	if err != nil {
		return some, fmt.Errorf("resources: %w", err)
	}
	return some, nil
}

// DeleteResource removes a resource by its audience; see [Service.RemoveResource].
// storage.ErrNotFound: there is none.
func (s *Service) DeleteResource(ctx context.Context, audience string, by events.Actor) error {
	r, err := s.ShowResource(ctx, audience)
	if err != nil {
		return err
	}
	return s.RemoveResource(ctx, r, by)
}

// RemoveResource removes a resource, as it was read, with its event: no more tokens
// are made for it, and those that live do so until they end. While a client's
// registration names one of its scopes that is a fault of kind Conflict, which names
// the clients: they would be left with a scope that no update of theirs may keep.
// So is, and it is storage.ErrStale, a change by somebody else since it was read.
func (s *Service) RemoveResource(ctx context.Context, r *storage.Resource, by events.Actor) error {
	if err := s.checkUnused(ctx, "audience", r.Scopes); err != nil {
		return err
	}
	unit := storage.WithUnit(ctx)
	err := s.store.DeleteResource(unit, r)
	if err == nil {
		err = s.flush(unit, events.Event{Kind: events.ResourceDeleted, Actor: by, Data: map[string]string{"audience": r.Audience}})
	}
	if errors.Is(err, storage.ErrStale) {
		if used := s.checkUnused(ctx, "audience", r.Scopes); used != nil {
			return used
		}
	}
	return s.settleResource(r, err)
}

// checkUnused returns a fault of field that says which clients have one of scopes,
// and what to do about it. It is one statement.
func (s *Service) checkUnused(ctx context.Context, field string, scopes storage.Strings) error {
	const shown = 5
	users, err := s.store.ClientsWith(ctx, scopes, shown+1)
	if err != nil {
		return fmt.Errorf("clients with %s: %w", strings.Join(scopes, " "), err)
	}
	if len(users) == 0 {
		return nil
	}
	names := strings.Join(users[:min(shown, len(users))], ", ")
	if len(users) > shown {
		names += " and others"
	}
	return fault.Conflict(field, fmt.Sprintf("is in use: clients are registered with its scopes (%s): %s. Update each with a scope "+
		"that has none of them, then ask again", strings.Join(scopes, " "), names))
}

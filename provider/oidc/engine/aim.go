package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/storage"
)

// AlgDefault signs access tokens whose audience is the issuer itself.
const AlgDefault = "ES256"

// aim decides the one audience of the access token and what it may do there
// (RFC 8707 section 2.2): the resource asked for, else the client's default,
// else the issuer. OIDC scopes go with the issuer only.
func (e *Engine) aim(ctx context.Context, c *call, in *TokenRequest) (target, error) {
	entries, err := e.clients.Entries(ctx, c.client)
	if err != nil {
		return target{}, fmt.Errorf("resources of client: %w", err)
	}
	scopes := scopesOf(in.Form.Get("scope"))
	if c.grantType == GrantClientCredentials {
		return e.aimAlone(entries, scopes, in.Resource)
	}
	g, granted := &c.grant.Grant, c.scopes()
	for _, s := range scopes {
		if !granted.Has(s) {
			return target{}, Refusef("invalid_scope", "The scope %q was not granted.", s)
		}
	}
	if c.grantType == GrantCode || len(scopes) == 0 {
		scopes = granted
	}
	audience, err := e.audienceOf(g, entries, in.Resource)
	if err != nil {
		return target{}, err
	}
	if audience == e.cfg.Issuer {
		return e.atIssuer(scopes), nil
	}
	entry, ok := entryFor(entries, audience)
	if !ok {
		return target{}, Refusef("invalid_target", "The client may no longer use the resource %s.", audience)
	}
	return atResource(entry, scopes), nil
}

// aimAlone is aim for client credentials, where nobody granted anything: the
// client's own entries decide.
func (e *Engine) aimAlone(entries []clients.Entry, scopes []string, resource string) (target, error) {
	for _, s := range scopes {
		if clients.IsOIDCScope(s) {
			return target{}, Refusef("invalid_scope", "The scope %q is about a person; client_credentials has none.", s)
		}
	}
	entry, ok := entryFor(entries, resource)
	switch {
	case resource != "" && !ok:
		return target{}, Refusef("invalid_target", "The client has no access to the resource %s.", resource)
	case !ok && len(entries) == 1:
		entry = entries[0]
	case !ok && len(entries) > 1 && len(scopes) > 0:
		return target{}, Refuse("invalid_target", "The client has several resources: name one with the parameter resource.")
	case !ok:
		return target{audience: e.cfg.Issuer, alg: AlgDefault, ttl: e.cfg.AccessToken}, nil
	}
	for _, s := range scopes {
		if !slices.Contains(entry.Scopes, s) {
			return target{}, Refusef("invalid_scope", "The scope %q does not belong to the resource %s.", s, entry.Resource.Audience)
		}
	}
	if len(scopes) == 0 {
		scopes = entry.Scopes
	}
	return atResource(entry, scopes), nil
}

// audienceOf picks the audience among those that the grant may make tokens for:
// the one in this request, the only one in the authorization, the client's
// default, the issuer.
func (e *Engine) audienceOf(g *storage.Grant, entries []clients.Entry, resource string) (string, error) {
	if resource != "" {
		if !g.Resources.Has(resource) {
			return "", Refusef("invalid_target", "The resource %s was not part of the authorization.", resource)
		}
		return resource, nil
	}
	apis := slices.DeleteFunc(slices.Clone(g.Resources), func(r string) bool { return r == e.cfg.Issuer })
	switch {
	case len(apis) == 1:
		return apis[0], nil
	case len(entries) == 1 && apis.Has(entries[0].Resource.Audience):
		return entries[0].Resource.Audience, nil
	case len(apis) > 0 && !g.Resources.Has(e.cfg.Issuer):
		return apis[0], nil
	}
	return e.cfg.Issuer, nil
}

// ResourcesFor returns the audiences that a grant of these scopes is for: those
// asked for, else the client's one resource if a scope of it is asked for; and
// the issuer whenever openid is, or userinfo could not be reached. An unknown one is invalid_target.
func (e *Engine) ResourcesFor(ctx context.Context, c *storage.Client, scopes, asked []string) ([]string, error) {
	entries, err := e.clients.Entries(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("resources of client: %w", err)
	}
	for _, r := range asked {
		if _, ok := entryFor(entries, r); !ok && r != e.cfg.Issuer {
			return nil, Refusef("invalid_target", "The client has no access to the resource %s.", r)
		}
	}
	out := slices.Clone(asked)
	if len(asked) == 0 && len(entries) == 1 && slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(entries[0].Scopes, s) }) {
		out = append(out, entries[0].Resource.Audience)
	}
	if len(out) == 0 || slices.Contains(scopes, clients.ScopeOpenID) {
		out = append(out, e.cfg.Issuer)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// scopesOf splits a scope parameter: at spaces, and at nothing else (RFC 6749 section 3.3).
func scopesOf(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' })
}

func entryFor(entries []clients.Entry, audience string) (clients.Entry, bool) {
	i := slices.IndexFunc(entries, func(en clients.Entry) bool { return en.Resource.Audience == audience })
	if i < 0 {
		return clients.Entry{}, false
	}
	return entries[i], true
}

func (e *Engine) atIssuer(scopes []string) target {
	t := target{audience: e.cfg.Issuer, alg: AlgDefault, ttl: e.cfg.AccessToken, groups: slices.Contains(scopes, clients.ScopeGroups)}
	for _, s := range scopes {
		if clients.IsOIDCScope(s) {
			t.scopes = append(t.scopes, s)
		}
	}
	return t
}

// atResource tells a resource of the person's groups if the scope for them is there,
// which is the issuer's like every scope about a person: it is for the API to
// decide by them (RFC 9068 section 2.2.3.1).
func atResource(entry clients.Entry, scopes []string) target {
	r := entry.Resource
	t := target{
		audience: r.Audience, opaque: r.Format == clients.FormatOpaque, alg: r.Alg, ttl: r.TTL(),
		groups: slices.Contains(scopes, clients.ScopeGroups),
	}
	for _, s := range scopes {
		if slices.Contains(entry.Scopes, s) {
			t.scopes = append(t.scopes, s)
		}
	}
	return t
}

package clients

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/storage"
)

// Limits of a registration.
const (
	maxText    = 100  // characters of a name
	maxList    = 100  // entries of a list
	maxScope   = 4000 // bytes
	maxSeconds = 366 * 24 * 3600
)

// faults gathers what is wrong, so that it is mended in one go.
type faults []*fault.Error

func (f *faults) add(field, format string, args ...any) {
	*f = append(*f, fault.Invalid(field, fmt.Sprintf(format, args...)))
}

// accept fills in the defaults of r, a change of was if that is not nil, and
// returns the metadata to keep with those of its scopes that belong to registered
// resources, or one fault that names everything that is wrong.
func (s *Service) accept(ctx context.Context, r *Registration, was *storage.Client, by events.Actor) (metadata storage.ClientMetadata, scopes []string, err error) {
	r.setDefaults()
	known, err := s.allResources(ctx)
	if err != nil {
		return metadata, nil, err
	}
	var f faults
	if r.ClientID == CommandLine {
		f.add("client_id", "is the command line's own")
	}
	if !isClientID(r.ClientID) {
		f.add("client_id", "must be 1 to 64 letters, digits or . _ - that begin with a letter or digit, and not with %s", ident.SubPrefix)
	}
	if r.Name != r.ClientID {
		f.text("client_name", r.Name)
	}
	if was == nil || r.Owner != was.Owner {
		if r.Owner, err = s.owner(ctx, &f, r.Owner); err != nil {
			return metadata, nil, err
		}
	}
	f.grants(r)
	if r.Legacy && by != events.ActorOperator {
		f.add("legacy", "is for an operator to say")
	}
	f.keys(r)
	f.redirects("redirect_uris", r.RedirectURIs, r.ApplicationType)
	f.redirects("post_logout_redirect_uris", r.PostLogoutRedirectURIs, r.ApplicationType)
	f.backchannel(r)
	f.scope(r.Scope, known)
	f.subjects(r)
	f.initiates(r)
	f.apps(r, by)
	f.pages(r)
	f.oneOf("id_token_signed_response_alg", r.IDTokenSignedResponseAlg, s.cfg.Algorithms...)
	if age := r.DefaultMaxAge; age != nil && (*age < 0 || *age > maxSeconds) {
		f.add("default_max_age", "must be between 0 and %d seconds", maxSeconds)
	}
	f.someOf("default_acr_values", r.DefaultACRValues, policy.ACRValues()...)
	if err := fault.Join(f...); err != nil {
		return metadata, nil, err
	}
	metadata = r.ClientMetadata
	metadata.RequirePKCE = *r.RequirePKCE
	return metadata, s.registeredScopes(metadata.Scope, known), nil
}

// isClientID reports whether id has the form of a client's id. A person's sub
// never has it, see ident.SubPrefix (attack case 92 of our own list, RFC 9700
// section 4.15): its random part could be a client id, its beginning cannot.
func isClientID(id string) bool {
	if id == "" || len(id) > 64 || strings.HasPrefix(id, ident.SubPrefix) {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return false
		}
	}
	return true
}

// owner checks that an owner, if there is one, is a group, and returns its name in
// its canonical form. An owner that was taken before stays as it is.
func (s *Service) owner(ctx context.Context, f *faults, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	canonical, err := ident.Group(name)
	if err != nil {
		f.add("owner", "%q is not the name of a group: it must have 1 to %d letters a to z, digits or . _ -", shortened(name), ident.MaxGroup)
		return name, nil
	}
	switch _, err := s.store.Group(ctx, canonical); {
	case errors.Is(err, storage.ErrNotFound):
		f.add("owner", "there is no group %q: make it with 'doorstep group create %s'", canonical, canonical)
	case err != nil:
		return "", fmt.Errorf("group %s: %w", canonical, err)
	}
	return canonical, nil
}

// text checks a name that people will read on one line.
func (f *faults) text(field, value string) {
	if utf8.RuneCountInString(value) > maxText {
		f.add(field, "is longer than %d characters", maxText)
	}
	if !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) }) {
		f.add(field, "has characters that cannot be seen")
	}
}

// oneOf checks one word.
func (f *faults) oneOf(field, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		f.add(field, "%q is not supported: use %s", value, strings.Join(allowed, ", "))
	}
}

// optional checks one word that may be left out.
func (f *faults) optional(field, value string, allowed ...string) {
	if value != "" {
		f.oneOf(field, value, allowed...)
	}
}

// someOf checks a list of words.
func (f *faults) someOf(field string, values []string, allowed ...string) {
	for i, v := range values {
		f.oneOf(field, v, allowed...)
		if slices.Contains(values[:i], v) {
			f.add(field, "%q is there twice", v)
		}
	}
}

// grants checks how the client gets tokens (RFC 7591 section 2.1).
func (f *faults) grants(r *Registration) {
	f.oneOf("token_endpoint_auth_method", r.TokenEndpointAuthMethod, methodBasic, methodPost, methodPrivateKeyJWT, methodNone)
	f.oneOf("application_type", r.ApplicationType, typeWeb, typeNative)
	f.someOf("grant_types", r.GrantTypes, grantCode, grantRefresh, grantClientCredentials, grantImplicit)
	f.someOf("response_types", r.ResponseTypes, "code", "id_token", "code id_token")
	f.someOf("response_modes", r.ResponseModes, modeQuery, modeFragment, modeFormPost)
	has := func(grant string) bool { return slices.Contains(r.GrantTypes, grant) }
	if (has(grantCode) || has(grantImplicit)) && len(r.RedirectURIs) == 0 {
		f.add("redirect_uris", "must have at least one entry for the grants %s and %s", grantCode, grantImplicit)
	}
	f.correspondence(r, has)
	if has(grantRefresh) && !has(grantCode) {
		f.add("grant_types", "%s comes of %s only: register both", grantRefresh, grantCode)
	}
	if has(grantClientCredentials) && r.TokenEndpointAuthMethod == methodNone {
		f.add("grant_types", "%s needs a client that can prove who it is, not token_endpoint_auth_method none", grantClientCredentials)
	}
}

// correspondence checks that grant types and response types fit each other, as in
// the table of OpenID Connect Registration section 2, and that only a client that
// an operator marked legacy has those with an ID token in them.
func (f *faults) correspondence(r *Registration, has func(string) bool) {
	issues := func(word string) bool {
		return slices.ContainsFunc(r.ResponseTypes, func(t string) bool { return slices.Contains(strings.Split(t, " "), word) })
	}
	const forOld = "%s is for old clients, which an operator marks with legacy: use code"
	switch {
	case r.Legacy:
		if has(grantImplicit) && !issues("id_token") {
			f.add("grant_types", "%s is for the response types id_token and code id_token, and no other", grantImplicit)
		}
		if issues("id_token") && !has(grantImplicit) {
			f.add("response_types", "id_token needs the grant %s", grantImplicit)
		}
	default:
		if has(grantImplicit) {
			f.add("grant_types", forOld, grantImplicit)
		}
		if issues("id_token") {
			f.add("response_types", forOld, "id_token")
		}
		if slices.Contains(r.ResponseModes, modeFragment) {
			f.add("response_modes", forOld, modeFragment)
		}
	}
	if issues("code") && !has(grantCode) {
		f.add("response_types", "code needs the grant %s", grantCode)
	}
}

// redirects checks a list of places that a browser is sent to.
func (f *faults) redirects(field string, uris []string, applicationType string) {
	if len(uris) > maxList {
		f.add(field, "has more than %d entries", maxList)
		return
	}
	for i, uri := range uris {
		if problem := redirectProblem(uri, applicationType == typeNative); problem != "" {
			f.add(field, "%q %s", shortened(uri), problem)
		}
		if slices.Contains(uris[:i], uri) {
			f.add(field, "%q is there twice", shortened(uri))
		}
	}
}

func shortened(uri string) string {
	if len(uri) <= 200 {
		return uri
	}
	return uri[:200] + "..."
}

// backchannel checks where the client hears that a session ended (Back-Channel
// Logout section 2.2). http is for confidential clients, as the specification
// has it, and is sent to only where outbound.allow names the address.
func (f *faults) backchannel(r *Registration) {
	uri := r.BackchannelLogoutURI
	if uri == "" {
		return
	}
	problem := fetchProblem(uri)
	if problem == "" && strings.HasPrefix(uri, "http:") && r.TokenEndpointAuthMethod == methodNone {
		problem = "must be https: http is for clients that prove themselves"
	}
	if problem != "" {
		f.add("backchannel_logout_uri", "%q %s", shortened(uri), problem)
	}
}

// pages checks what people are shown of the client.
func (f *faults) pages(r *Registration) {
	for _, page := range []struct{ field, uri string }{
		{"client_uri", r.ClientURI}, {"logo_uri", r.LogoURI}, {"policy_uri", r.PolicyURI}, {"tos_uri", r.TosURI},
	} {
		if page.uri == "" {
			continue
		}
		if problem := pageProblem(page.uri); problem != "" {
			f.add(page.field, "%q %s", shortened(page.uri), problem)
		}
	}
	if len(r.Contacts) > maxList {
		f.add("contacts", "has more than %d entries", maxList)
		return
	}
	for _, contact := range r.Contacts {
		f.text("contacts", contact)
	}
}

// scope checks the scopes that a client may ask for: each is OpenID Connect's, or
// belongs to a resource, which is how a client is given that resource.
func (f *faults) scope(scope string, known []storage.Resource) {
	if len(scope) > maxScope {
		f.add("scope", "is longer than %d characters", maxScope)
		return
	}
	if scope == "" {
		return
	}
	seen := map[string]bool{}
	for name := range strings.SplitSeq(scope, " ") {
		belongs := func(r storage.Resource) bool { return r.Scopes.Has(name) }
		switch {
		case !isScopeToken(name):
			f.add("scope", "%q is not a scope name: names are printable ASCII without \" and \\, with one space between them", name)
		case seen[name]:
			f.add("scope", "%q is there twice", name)
		case !IsOIDCScope(name) && !slices.ContainsFunc(known, belongs):
			f.add("scope", "%q is neither a scope of OpenID Connect (%s) nor of a registered resource: register the resource first",
				name, strings.Join(OIDCScopes(), ", "))
		}
		seen[name] = true
	}
}

// registeredScopes returns which of a client's scopes belong to a resource that is
// registered: the others are always there.
func (s *Service) registeredScopes(scope string, known []storage.Resource) []string {
	return slices.DeleteFunc(strings.Fields(scope), func(name string) bool {
		return !slices.ContainsFunc(known, func(r storage.Resource) bool { return r.Audience != APIAudience(s.cfg.Issuer) && r.Scopes.Has(name) })
	})
}

// isScopeToken reports whether name is a scope-token of RFC 6749 section 3.3.
func isScopeToken(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r > '~' || r == '"' || r == '\\'
	})
}

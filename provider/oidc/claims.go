package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/oidc/engine"
	"github.com/doorstep-id/doorstep/storage"
)

// maxSubjects is how many people one request may name by the claim sub.
const maxSubjects = 8

// wish is an individual claim request (OIDC Core section 5.5.1): the values of
// which one will do, none for any.
type wish struct {
	essential bool
	values    []any
}

// checkClaims: the claims parameter is JSON of the form of OIDC Core section 5.5.
// What is unknown in it is ignored, as the specification asks; so is what the
// client may not learn by a scope either. A claim about the person goes on to
// userinfo and ID token; acr and sub say who may be answered about; auth_time
// is in every ID token.
func checkClaims(ctx context.Context, a *asked) error {
	text := a.params.Get("claims")
	if text == "" || !slices.Contains(a.Scopes, clients.ScopeOpenID) {
		return nil
	}
	userinfo, idToken, err := readClaims(text)
	if err != nil {
		return engine.Refusef("invalid_request", "The parameter claims is not right: %s.", printable(err.Error()))
	}
	registered := a.client.Metadata.V.Scope
	a.Claims = storage.ClaimsAsked{Userinfo: learnable(userinfo, registered), IDToken: learnable(idToken, registered)}
	if !a.code() {
		a.Claims.Userinfo = nil // there is no access token for it
	}
	if acr, ok := idToken["acr"]; ok {
		values, ok := texts(acr.values)
		switch {
		case !ok:
			return engine.Refuse("invalid_request", "The parameter claims is not right: id_token.acr: a value is a string.")
		case acr.essential:
			a.ACREssential = values
		default:
			a.ACRPreferred = values
		}
	}
	return a.among(ctx, idToken["sub"].values, userinfo["sub"].values)
}

// readClaims reads the two members that are known.
func readClaims(text string) (userinfo, idToken map[string]wish, err error) {
	if err := clients.CheckObject([]byte(text)); err != nil {
		var shown *fault.Error
		if errors.As(err, &shown) {
			return nil, nil, errors.New(shown.Shown())
		}
		return nil, nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		return nil, nil, errors.New("the document is not valid JSON")
	}
	if userinfo, err = wishes("userinfo", members["userinfo"]); err != nil {
		return nil, nil, err
	}
	idToken, err = wishes("id_token", members["id_token"])
	return userinfo, idToken, err
}

// wishes reads one member: an object of claims, each null or an object.
func wishes(member string, text json.RawMessage) (map[string]wish, error) {
	if text == nil {
		return nil, nil //nolint:nilnil // nothing is asked there
	}
	var claims map[string]json.RawMessage
	if err := json.Unmarshal(text, &claims); err != nil {
		return nil, errors.New(member + ": must be an object")
	}
	out := map[string]wish{}
	for name, text := range claims {
		w, err := oneWish(text)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", member, name, err)
		}
		out[name] = w
	}
	return out, nil
}

func oneWish(text json.RawMessage) (wish, error) {
	var w wish
	var members map[string]json.RawMessage // in a struct, names in another case would count too
	if err := json.Unmarshal(text, &members); err != nil {
		return w, errors.New("must be null or an object")
	}
	if e := members["essential"]; e != nil && json.Unmarshal(e, &w.essential) != nil {
		return w, errors.New("essential must be true or false")
	}
	if vs := members["values"]; vs != nil && json.Unmarshal(vs, &w.values) != nil {
		return w, errors.New("values must be a list")
	}
	if v := members["value"]; v != nil {
		var value any
		if err := json.Unmarshal(v, &value); err != nil {
			return w, errors.New("value cannot be read")
		}
		w.values = append(w.values, value)
	}
	if hasNUL(w.values) { // no database keeps it
		return w, errors.New("a value is not valid text")
	}
	return w, nil
}

func hasNUL(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.IndexByte(v, 0) >= 0
	case []any:
		return slices.ContainsFunc(v, hasNUL)
	case map[string]any:
		for name, member := range v {
			if hasNUL(name) || hasNUL(member) {
				return true
			}
		}
	}
	return false
}

// learnable picks the claims about a person that the client may learn.
func learnable(wishes map[string]wish, scope string) map[string][]any {
	out := map[string][]any{}
	for name, w := range wishes {
		if clients.MayLearn(scope, name) {
			out[name] = w.values
		}
	}
	return out
}

func texts(values []any) ([]string, bool) {
	var out []string
	for _, v := range values {
		s, ok := v.(string)
		if !ok {
			return nil, false
		}
		out = append(out, s)
	}
	return out, true
}

// among: a sub that is asked for by value names the only person, or people, that
// may be answered about (OIDC Core section 3.1.2.2). Asked for by both members, it
// has to be named by both.
func (a *asked) among(ctx context.Context, idToken, userinfo []any) error {
	subs, ok := texts(idToken)
	others, also := texts(userinfo)
	if !ok || !also || max(len(subs), len(others)) > maxSubjects {
		return engine.Refusef("invalid_request", "The parameter claims is not right: sub: the values are strings, at most %d of them.", maxSubjects)
	}
	switch {
	case len(subs) == 0:
		subs = others
	case len(others) > 0:
		subs = slices.DeleteFunc(subs, func(sub string) bool { return !slices.Contains(others, sub) })
		if len(subs) == 0 {
			return engine.Refuse(flow.LoginRequired, "The parameter claims asks for two people at once.")
		}
	}
	if clients.IsPairwise(a.client) {
		a.Subjects = subs // as checkHint has it
		return nil
	}
	for _, sub := range subs {
		person, err := a.h.Store.PersonBySub(ctx, sub)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("person of claims: %w", err)
		}
		a.Among = append(a.Among, person.ID)
	}
	if len(subs) > 0 && len(a.Among) == 0 {
		return engine.Refuse(flow.LoginRequired, "There is no person of the sub that the parameter claims asks for.")
	}
	return nil
}

// checkACR: acr_values is a list of alternatives, of which unknown ones are
// ignored. If none is known the request is served as if there were none, that
// is by the client's default_acr_values, which a claim acr with values overrides
// as well (OIDC Core section 3.1.2.1, Dynamic Client Registration section 2).
func checkACR(_ context.Context, a *asked) error {
	a.ACRValues = words(a.params.Get("acr_values"))
	if !slices.ContainsFunc(a.ACRValues, policy.KnownACR) && len(a.ACREssential)+len(a.ACRPreferred) == 0 {
		a.ACRValues = a.client.Metadata.V.DefaultACRValues
	}
	return nil
}

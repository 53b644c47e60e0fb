package engine

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/storage"
)

// PersonClaims returns what a client may know of the person of a grant: the
// claims that the scopes stand for (OIDC Core section 5.4) and those that were
// asked for by name (section 5.5), the latter with one of the values asked for,
// if there were any. What is not known of the person is left out.
func PersonClaims(g *storage.GrantState, scopes []string, asked map[string][]any) (map[string]any, error) {
	out := map[string]any{}
	if len(scopes) == 0 && len(asked) == 0 {
		return out, nil
	}
	all, err := known(g)
	if err != nil {
		return nil, err
	}
	for _, scope := range scopes {
		for _, name := range clients.ClaimsOf(scope) {
			if v, ok := all[name]; ok {
				out[name] = v
			}
		}
	}
	for name, values := range asked {
		if v, ok := all[name]; ok && (len(values) == 0 || slices.ContainsFunc(values, func(w any) bool { return reflect.DeepEqual(w, v) })) {
			out[name] = v
		}
	}
	return out, nil
}

// MayStillLearn leaves out of what was asked by name what the client may not
// learn any more: the scope that stands for it was taken from its registration.
func MayStillLearn(c *storage.Client, asked map[string][]any) map[string][]any {
	out := map[string][]any{}
	for name, values := range asked {
		if clients.MayLearn(c.Metadata.V.Scope, name) {
			out[name] = values
		}
	}
	return out
}

// known returns every claim that there is about the person of a grant, with its
// JSON type (OIDC Core section 5.1).
func known(g *storage.GrantState) (map[string]any, error) {
	all := map[string]any{}
	if len(g.PersonClaims.V) > 0 {
		if err := json.Unmarshal(g.PersonClaims.V, &all); err != nil {
			return nil, fmt.Errorf("claims of person: %w", err)
		}
	}
	if g.PersonName != "" {
		all["name"] = g.PersonName
	}
	if g.PersonLocale != "" {
		all["locale"] = g.PersonLocale
	}
	all["updated_at"] = float64(g.PersonUpdatedAt.Unix()) // a JSON number, as one that is asked for
	if g.Email != "" {
		all["email"], all["email_verified"] = g.Email, !g.EmailVerifiedAt.IsZero()
	}
	if len(g.PersonGroups) > 0 {
		names := make([]any, len(g.PersonGroups)) // as JSON that was asked for has them
		for i, name := range g.PersonGroups {
			names[i] = name
		}
		all["groups"] = names
	}
	return all, nil
}

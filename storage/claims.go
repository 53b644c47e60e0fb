package storage

import (
	"maps"
	"slices"
)

// ClaimsAsked is what a client asks to be told of a person by the names of
// claims (OIDC Core section 5.5), as far as there is anything to tell: for each
// name the values of which one will do, none of them for any value.
type ClaimsAsked struct {
	Userinfo map[string][]any `json:"userinfo,omitempty"`
	IDToken  map[string][]any `json:"id_token,omitempty"`
}

// Names returns every claim that is asked for, sorted, each once.
func (c ClaimsAsked) Names() []string {
	names := slices.AppendSeq(slices.Collect(maps.Keys(c.Userinfo)), maps.Keys(c.IDToken))
	slices.Sort(names)
	return slices.Compact(names)
}

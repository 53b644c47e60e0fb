package clients

import (
	"slices"
	"strings"
)

// scopeClaims lists which claims a scope stands for (OIDC Core section 5.4):
// all the standard claims of section 5.1, sub aside, and groups, whose claim is
// that of RFC 9068 section 2.2.3.1.
var scopeClaims = map[string][]string{
	ScopeProfile: {
		"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile",
		"picture", "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
	},
	ScopeEmail:   {"email", "email_verified"},
	ScopeAddress: {"address"},
	ScopePhone:   {"phone_number", "phone_number_verified"},
	ScopeGroups:  {"groups"},
}

// ClaimsOf returns the claims that a scope stands for.
func ClaimsOf(scope string) []string { return scopeClaims[scope] }

// ScopeOf returns the scope that stands for a claim about a person, "" if there
// is no such claim.
func ScopeOf(claim string) string {
	for scope, claims := range scopeClaims {
		if slices.Contains(claims, claim) {
			return scope
		}
	}
	return ""
}

// MayLearn reports whether a client that registered scope (a list) may be told a
// claim: by its name it learns no more than by the scope that stands for it.
func MayLearn(scope, claim string) bool {
	s := ScopeOf(claim)
	return s != "" && slices.Contains(strings.Fields(scope), s)
}

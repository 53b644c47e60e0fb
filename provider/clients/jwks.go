package clients

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

// maxKeys is how many keys a client may have at a time, those for other uses
// included: a few that overlap while they rotate.
const maxKeys = 20

// keySet is the keys that a client signs with.
type keySet []*keys.ForeignKey

var errNoKeySet = fault.Invalid("jwks", `must be an object with a list "keys" (RFC 7517 section 5)`)

// splitKeys returns the keys of a JWK Set (RFC 7517 section 5), each as it stands.
func splitKeys(set []byte) ([]json.RawMessage, error) {
	if !bytes.HasPrefix(bytes.TrimLeft(set, " \t\r\n"), []byte("{")) {
		return nil, errNoKeySet
	}
	if _, err := memberNames(set); err != nil {
		return nil, err
	}
	var in struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(set, &in); err != nil || in.Keys == nil {
		return nil, errNoKeySet
	}
	if len(in.Keys) > maxKeys {
		return nil, fault.Invalid("jwks", fmt.Sprintf("has more than %d keys", maxKeys))
	}
	return in.Keys, nil
}

// keys checks the keys that a client is registered with. Where they are its proof,
// one of them has to be of use.
func (f *faults) keys(r *Registration) {
	f.optional("token_endpoint_auth_signing_alg", r.TokenEndpointAuthSigningAlg, keys.ForeignAlgorithms()...)
	if r.JWKSURI != "" {
		if problem := fetchProblem(r.JWKSURI); problem != "" {
			f.add("jwks_uri", "%q %s", shortened(r.JWKSURI), problem)
		}
		if len(r.JWKS) > 0 {
			f.add("jwks_uri", "cannot be there together with jwks (RFC 7591 section 2)")
		}
		return
	}
	if len(r.JWKS) == 0 {
		if r.TokenEndpointAuthMethod == methodPrivateKeyJWT {
			f.add("jwks", "is missing: %s needs the client's public keys, or a jwks_uri", methodPrivateKeyJWT)
		}
		return
	}
	all, err := splitKeys(r.JWKS)
	if err != nil {
		*f = append(*f, fault.All(err)...)
		return
	}
	var usable keySet
	for i, text := range all {
		key, err := keys.ParseForeignKey(text)
		switch {
		case errors.Is(err, keys.ErrNotForSignatures):
		case err != nil:
			f.add("jwks", "key %d %s", i+1, err)
		case key.KID != "" && slices.ContainsFunc(usable, func(k *keys.ForeignKey) bool { return k.KID == key.KID }):
			f.add("jwks", "the kid %q is there twice", shortened(key.KID))
		default:
			usable = append(usable, key)
		}
	}
	fits := func(k *keys.ForeignKey) bool {
		return r.TokenEndpointAuthSigningAlg == "" || k.Fits(r.TokenEndpointAuthSigningAlg)
	}
	if r.TokenEndpointAuthMethod == methodPrivateKeyJWT && !slices.ContainsFunc(usable, fits) {
		f.add("jwks", "has no key that %s can be checked with", methodPrivateKeyJWT)
	}
}

// usableKeys returns those keys of a set that signatures can be verified with;
// others are passed over (RFC 7517 section 5).
func usableKeys(set []byte) (keySet, error) {
	all, err := splitKeys(set)
	if err != nil {
		return nil, err
	}
	var usable keySet
	for _, text := range all {
		if key, err := keys.ParseForeignKey(text); err == nil {
			usable = append(usable, key)
		}
	}
	return usable, nil
}

// HasKeys reports whether a client is registered with keys.
func HasKeys(c *storage.Client) bool { return len(c.Metadata.V.JWKS) > 0 || c.Metadata.V.JWKSURI != "" }

// KeysOf says for people which keys a client signs with.
func KeysOf(m *storage.ClientMetadata) []string {
	if len(m.JWKS) == 0 && m.JWKSURI == "" {
		return nil
	}
	if uri := m.JWKSURI; uri != "" {
		return []string{"jwks_uri=" + uri}
	}
	set, err := usableKeys(m.JWKS)
	if err != nil {
		return []string{"jwks=(damaged)"}
	}
	var out []string
	for _, k := range set {
		fits := slices.DeleteFunc(AssertionAlgorithms(), func(alg string) bool { return !k.Fits(alg) })
		out = append(out, "kid="+k.KID+" ("+strings.Join(fits, ", ")+")")
	}
	return out
}

// verify returns nil if one of the keys signed the token. A token that names no
// key can only be of the one that its algorithm fits (OpenID Connect Core section 10.1).
func (set keySet) verify(token *keys.Foreign) error {
	candidates := slices.DeleteFunc(slices.Clone(set), func(k *keys.ForeignKey) bool {
		return !k.Fits(token.Alg) || token.KID != "" && k.KID != token.KID
	})
	if token.KID == "" && len(candidates) > 1 {
		return errSeveralKeys
	}
	if len(candidates) == 0 {
		return errUnknownKey
	}
	for _, k := range candidates {
		if token.Verify(k) == nil {
			return nil
		}
	}
	return errSignature
}

// What can be wrong with a signature.
var (
	errUnknownKey  = errors.New("is that of no registered key that goes with its alg")
	errSeveralKeys = errors.New("is missing, and several registered keys go with its alg")
	errSignature   = errors.New("is not that key's")
)

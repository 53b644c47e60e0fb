package doorstep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// leeway forgives clocks that differ a little, in exp, nbf and iat.
const leeway = 30 * time.Second

// maxToken bounds the work that a stranger can cause with one header, in bytes.
const maxToken = 16 << 10

// algorithms are the signatures accepted: asymmetric ones only, so that a public key
// can never be taken for a shared secret (RFC 8725 section 3.1).
var algorithms = []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA, jose.PS256, jose.RS256}

// Claims are what a verified access token says (RFC 9068 section 2.2).
type Claims struct {
	Issuer   string
	Subject  string    // who the token is about: a person, or the client itself; unique only together with Issuer
	ClientID string    // who was given the token
	Audience []string  // whom it is for; this service's audience is among them
	Scope    []string  // what it allows
	Expiry   time.Time // when it ends
	ID       string    // jti
	GrantID  string    // gid: the authorization that it comes from; empty for client credentials

	ACR      string    // how sure the provider is of the person: aal1, aal2, aal3, phr or phrh; may be empty
	AMR      []string  // the proofs that were given (RFC 8176)
	AuthTime time.Time // when the newest of them was given; zero if the token does not say

	Raw map[string]any // every claim, numbers as float64
}

// HasScope tells whether the token allows scope.
func (c *Claims) HasScope(scope string) bool { return slices.Contains(c.Scope, scope) }

// refusal is why a token is refused, in fixed words that may travel to the caller.
type refusal string

func (r refusal) Error() string      { return "invalid token: " + string(r) }
func (refusal) Is(target error) bool { return target == ErrInvalidToken }

// Verify checks an access token and returns what it says. The error is ErrInvalidToken
// or ErrKeysUnavailable, or wraps one of them. Verify does not look at scope beyond
// reading it: see Require and Claims.HasScope.
func (v *Verifier) Verify(ctx context.Context, token string) (*Claims, error) {
	if len(token) > maxToken {
		return nil, refusal("the token is too long")
	}
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil {
		return nil, refusal("the token is not a JWT signed with an accepted algorithm")
	}
	header := parsed.Headers[0]
	if err := checkHeader(header); err != nil {
		return nil, err
	}
	// Only the kid chooses the key: jwk, jku, x5c and x5u in the header are not looked at.
	key, err := v.keys.find(ctx, header.KeyID)
	if err != nil {
		return nil, err
	}
	if key.Algorithm != "" && key.Algorithm != header.Algorithm {
		return nil, refusal("the token's algorithm is not its key's")
	}
	var std jwt.Claims
	var rest profile
	raw := map[string]any{}
	if err := parsed.Claims(key.Key, &std, &rest, &raw); err != nil {
		return nil, refusal("the signature or the claims are malformed")
	}
	if err := v.check(std, rest, raw); err != nil {
		return nil, err
	}
	return newClaims(std, rest, raw), nil
}

// profile holds the claims of RFC 9068 that plain JWTs do not have.
type profile struct {
	ClientID string           `json:"client_id"`
	Scope    string           `json:"scope"`
	ACR      string           `json:"acr"`
	AMR      []string         `json:"amr"`
	AuthTime *jwt.NumericDate `json:"auth_time"`
}

// checkHeader refuses what is not an access token (RFC 9068 section 4) and what asks
// for an extension: we know none, and b64 is forbidden in a JWT (RFC 7797 section 7).
func checkHeader(h jose.Header) error {
	typ, _ := h.ExtraHeaders[jose.HeaderType].(string)
	typ = strings.TrimPrefix(strings.ToLower(typ), "application/")
	if typ != "at+jwt" {
		return refusal("the token is not an access token")
	}
	if _, ok := h.ExtraHeaders["crit"]; ok {
		return refusal("the token has a critical header that is not understood")
	}
	if h.KeyID == "" {
		return refusal("the token names no key")
	}
	return nil
}

// check holds the claims of a token with a good signature against what it must say.
func (v *Verifier) check(std jwt.Claims, rest profile, raw map[string]any) error {
	if std.Expiry == nil || std.IssuedAt == nil || std.Subject == "" || std.ID == "" || rest.ClientID == "" {
		return refusal("the token lacks exp, iat, sub, jti or client_id")
	}
	// A token bound to a key is worth nothing without a proof of that key, and a bearer
	// header brings none: accepting it would undo the binding (RFC 9449 section 7.2).
	if _, ok := raw["cnf"]; ok {
		return refusal("the token is bound to a key and cannot be used as a bearer token")
	}
	err := std.ValidateWithLeeway(jwt.Expected{
		Issuer:      v.issuer,
		AnyAudience: jwt.Audience{v.audience},
		Time:        v.now(),
	}, leeway)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrInvalidIssuer):
		return refusal("the token is from another issuer")
	case errors.Is(err, jwt.ErrInvalidAudience):
		return refusal("the token is for another audience")
	case errors.Is(err, jwt.ErrExpired):
		return refusal("the token has expired")
	case errors.Is(err, jwt.ErrNotValidYet), errors.Is(err, jwt.ErrIssuedInTheFuture):
		return refusal("the token is not valid yet")
	default:
		return fmt.Errorf("%w: %w", ErrInvalidToken, err)
	}
}

func newClaims(std jwt.Claims, rest profile, raw map[string]any) *Claims {
	c := &Claims{
		Issuer:   std.Issuer,
		Subject:  std.Subject,
		ClientID: rest.ClientID,
		Audience: std.Audience,
		Scope:    strings.Fields(rest.Scope),
		Expiry:   std.Expiry.Time(),
		ID:       std.ID,
		ACR:      rest.ACR,
		AMR:      rest.AMR,
		Raw:      raw,
	}
	if rest.AuthTime != nil {
		c.AuthTime = rest.AuthTime.Time()
	}
	// An exchanged token may come from several grants and then carries a list, in Raw.
	c.GrantID, _ = raw["gid"].(string)
	return c
}

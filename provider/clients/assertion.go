package clients

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

// AssertionType is the client_assertion_type of a JWT (RFC 7523 section 2.2).
const AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// How long an assertion may live, how far ahead a client's clock may be, and how
// much longer than the assertion its id is remembered, so that a sweeper whose
// clock is ahead forgets none that another replica would still accept.
const (
	assertionLife = 5 * time.Minute
	assertionSkew = 30 * time.Second
	spentSlack    = time.Minute
)

// AssertionAlgorithms is what clients may sign assertions with.
func AssertionAlgorithms() []string { return keys.ForeignAlgorithms() }

// Assertion is a client's statement of who it is (RFC 7521 section 4.2, RFC 7523
// section 3). Nothing of it is true before AuthenticateByAssertion has said so.
type Assertion struct {
	Subject  string // the client that it says it is from
	token    *keys.Foreign
	claims   assertionClaims
	audience string // "" if it is not one string
}

type assertionClaims struct {
	Issuer    string          `json:"iss"`
	Subject   string          `json:"sub"`
	Audience  json.RawMessage `json:"aud"`
	Expires   *float64        `json:"exp"` // Unix seconds
	IssuedAt  *float64        `json:"iat"`
	NotBefore *float64        `json:"nbf"`
	ID        string          `json:"jti"`
}

// ParseAssertion reads an assertion, and looks at nothing but its form.
func ParseAssertion(compact string) (*Assertion, error) {
	token, err := keys.ParseForeign(compact)
	if err != nil {
		return nil, err
	}
	a := &Assertion{token: token}
	if err := token.Claims(&a.claims); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(a.claims.Audience, &a.audience); err != nil {
		a.audience = "" // a list, or nothing
	}
	a.Subject = a.claims.Subject
	return a, nil
}

// Arrived is what the assertion says of itself, for whoever set the client up.
func (a *Assertion) Arrived() []string {
	aud := a.audience
	if aud == "" {
		aud = string(a.claims.Audience)
	}
	return []string{"alg=" + a.token.Alg, "kid=" + a.token.KID, "aud=" + aud}
}

// Alg is the algorithm that the assertion names.
func (a *Assertion) Alg() string { return a.token.Alg }

// AssertionError says which part of an assertion is wrong, and how it would be
// right: to the log, as the client is told no more than that it failed.
type AssertionError struct {
	Part    string // "alg", "kid", "signature", or the name of a header or claim
	Problem string
}

func (e *AssertionError) Error() string { return "assertion: " + e.Part + " " + e.Problem }

// AuthenticateByAssertion returns nil if the assertion proves, this once, that the
// request is from c; an *AssertionError if it does not; any other error is the
// store's. Its id is spent last, so that a wrong assertion spends nothing.
func (s *Service) AuthenticateByAssertion(ctx context.Context, c *storage.Client, a *Assertion) error {
	if c.Metadata.V.TokenEndpointAuthMethod != methodPrivateKeyJWT {
		return &AssertionError{"alg", "is of no use: the client is not registered for " + methodPrivateKeyJWT}
	}
	if err := s.signedBy(ctx, c, a); err != nil {
		return err
	}
	if err := a.says(c.ID, s.cfg.Issuer, s.now()); err != nil {
		return err
	}
	err := s.store.SpendID(ctx, &storage.SpentID{
		Hash:      spentHash("client_assertion", c.ID, a.claims.ID),
		ExpiresAt: storage.At(unixTime(*a.claims.Expires).Add(spentSlack)),
	})
	if errors.Is(err, storage.ErrSpent) {
		return &AssertionError{"jti", "was used before: every assertion needs one of its own"}
	}
	if err != nil {
		return fmt.Errorf("spend the id of an assertion: %w", err)
	}
	return nil
}

// spentHash is the key under which an id is kept as spent. A client's id has no
// NUL, so that no two triples have one key.
func spentHash(purpose, client, id string) []byte {
	sum := sha256.Sum256([]byte(purpose + "\x00" + client + "\x00" + id))
	return sum[:]
}

// signedBy checks header and signature.
func (s *Service) signedBy(ctx context.Context, c *storage.Client, a *Assertion) error {
	m := &c.Metadata.V
	if !slices.Contains(AssertionAlgorithms(), a.token.Alg) {
		return &AssertionError{"alg", "is not supported: use " + strings.Join(AssertionAlgorithms(), ", ")}
	}
	if only := m.TokenEndpointAuthSigningAlg; only != "" && a.token.Alg != only {
		return &AssertionError{"alg", "is not the registered token_endpoint_auth_signing_alg"}
	}
	if typ := a.token.Type; typ != "" && !strings.EqualFold(typ, "JWT") && !strings.EqualFold(typ, "client-authentication+jwt") {
		return &AssertionError{"typ", "must be absent, JWT or client-authentication+jwt"}
	}
	err := s.signedByKey(ctx, c, a.token)
	switch {
	case errors.Is(err, errSignature), errors.Is(err, errNotFetched):
		return &AssertionError{"signature", err.Error()}
	case errors.Is(err, errUnknownKey), errors.Is(err, errSeveralKeys):
		return &AssertionError{"kid", err.Error()}
	}
	return err
}

// says checks the claims (RFC 7523 section 3); the audience first.
func (a *Assertion) says(client, issuer string, now time.Time) error {
	claims, at := &a.claims, float64(now.UnixMicro())/1e6
	ahead := func(claim *float64) bool { return claim != nil && *claim > at+assertionSkew.Seconds() }
	switch {
	case a.audience != issuer:
		return &AssertionError{"aud", "must be the issuer, as one string: not the endpoint's address, and not a list"}
	case claims.Issuer != client || claims.Subject != client:
		return &AssertionError{"iss", "and sub must be the client_id"}
	case claims.Expires == nil:
		return &AssertionError{"exp", "is missing"}
	case *claims.Expires <= at:
		return &AssertionError{"exp", "is over, by the clock here"}
	case *claims.Expires > at+assertionLife.Seconds():
		return &AssertionError{"exp", fmt.Sprintf("is more than %.0f seconds ahead", assertionLife.Seconds())}
	case ahead(claims.IssuedAt):
		return &AssertionError{"iat", "is in the future, by the clock here"}
	case ahead(claims.NotBefore):
		return &AssertionError{"nbf", "is in the future, by the clock here"}
	case claims.ID == "":
		return &AssertionError{"jti", "is missing"}
	}
	return nil
}

// unixTime returns the moment of a NumericDate (RFC 7519 section 2), not earlier.
func unixTime(seconds float64) time.Time { return time.Unix(int64(math.Ceil(seconds)), 0) }

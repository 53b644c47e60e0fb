package doorstep

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	fetchTimeout = 5 * time.Second // for metadata and keys together
	maxBody      = 256 << 10       // bytes of metadata or of a key set

	// How long keys stay fresh: what max-age says, within limits.
	defaultAge = 5 * time.Minute
	minAge     = time.Minute
	maxAge     = 24 * time.Hour

	// Keys that cannot be renewed serve this long past their age, so that a provider
	// that restarts takes no service down with it.
	staleIfError = 10 * time.Minute

	unknownPause = time.Minute // between fetches for a kid that the set does not hold
	failurePause = time.Second // between fetches while the provider does not answer
)

// keyCache holds the provider's public keys by kid. Reading fresh keys takes no lock;
// one goroutine at a time fetches.
type keyCache struct {
	issuer string
	client *http.Client
	now    func() time.Time
	log    *slog.Logger

	set      atomic.Pointer[keySet]
	fetching chan struct{} // holds one value while somebody fetches; guards the two below
	tried    time.Time     // when the last fetch ended; zero before the first
	failed   error         // why it failed, if it did
}

// keySet is one answer of the provider; it never changes.
type keySet struct {
	keys    map[string]jose.JSONWebKey
	expires time.Time
}

func newKeyCache(cfg Config) *keyCache {
	return &keyCache{
		issuer: cfg.Issuer,
		now:    cfg.Now,
		log:    cfg.Log,
		client: &http.Client{
			Transport:     cfg.Transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		fetching: make(chan struct{}, 1),
	}
}

// find returns the key that kid names, fetching the set when it is old, or when kid is
// new to it: a provider that rotates its keys is followed at once, and a caller who
// invents kids causes one fetch a minute.
func (c *keyCache) find(ctx context.Context, kid string) (jose.JSONWebKey, error) {
	set := c.set.Load()
	if !c.due(set, kid) {
		return set.find(kid)
	}
	select {
	case c.fetching <- struct{}{}:
		defer func() { <-c.fetching }()
	default:
		// Somebody else fetches. Only those who cannot go on without the result wait.
		if set.usable(c.now()) && set.has(kid) {
			return set.find(kid)
		}
		select {
		case c.fetching <- struct{}{}:
			defer func() { <-c.fetching }()
		case <-ctx.Done():
			return jose.JSONWebKey{}, fmt.Errorf("%w: %w", ErrKeysUnavailable, ctx.Err())
		}
	}
	set = c.renew(ctx, c.set.Load())
	// A kid that we do not know may be one that we failed to hear of.
	if c.failed != nil && !(set.usable(c.now()) && set.has(kid)) {
		return jose.JSONWebKey{}, fmt.Errorf("%w: %w", ErrKeysUnavailable, c.failed)
	}
	return set.find(kid)
}

// due tells whether kid is reason to fetch the set, if renew finds that it is time.
func (c *keyCache) due(set *keySet, kid string) bool {
	return set == nil || !c.now().Before(set.expires) || !set.has(kid)
}

// renew fetches the set and returns the newest that we have, which may still be old or
// nil; c.fetching is held. The fetch outlives a caller who gives up, since others need
// it too.
func (c *keyCache) renew(ctx context.Context, old *keySet) *keySet {
	pause := failurePause
	if old != nil && c.now().Before(old.expires) {
		pause = unknownPause // only a kid is in doubt
	}
	if !c.tried.IsZero() && c.now().Sub(c.tried) < pause {
		return old
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	set, err := c.fetch(ctx)
	c.tried, c.failed = c.now(), err
	if err != nil {
		c.log.WarnContext(ctx, "doorstep: cannot fetch the provider's keys", "issuer", c.issuer, "error", err)
		return old
	}
	c.set.Store(set)
	return set
}

// fetch reads the metadata (OpenID Connect Discovery 1.0 section 4) and then the keys.
func (c *keyCache) fetch(ctx context.Context) (*keySet, error) {
	var metadata struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	address := strings.TrimSuffix(c.issuer, "/") + "/.well-known/openid-configuration"
	if _, err := c.get(ctx, address, &metadata); err != nil {
		return nil, err
	}
	if metadata.Issuer != c.issuer {
		return nil, fmt.Errorf("%s names the issuer %q", address, metadata.Issuer)
	}
	if err := checkURL(metadata.JWKSURI); err != nil {
		return nil, fmt.Errorf("jwks_uri %q: %w", metadata.JWKSURI, err)
	}
	var body struct {
		Keys []json.RawMessage `json:"keys"`
	}
	header, err := c.get(ctx, metadata.JWKSURI, &body)
	if err != nil {
		return nil, err
	}
	return &keySet{keys: readKeys(body.Keys), expires: c.now().Add(age(header))}, nil
}

// get reads one JSON document into v.
func (c *keyCache) get(ctx context.Context, address string, v any) (http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	res, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", address, res.Status)
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, res.Body, maxBody)).Decode(v); err != nil {
		return nil, fmt.Errorf("GET %s: %w", address, err)
	}
	return res.Header, nil
}

// age is how long an answer stays fresh by its Cache-Control (RFC 9111 section 5.2.2).
func age(h http.Header) time.Duration {
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return minAge
		case "max-age":
			if seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				return min(max(time.Duration(seconds)*time.Second, minAge), maxAge)
			}
		}
	}
	return defaultAge
}

// readKeys keeps the keys that may verify a token. One that we cannot read spoils
// nothing but itself; a kid that stands for two keys stands for none.
func readKeys(raw []json.RawMessage) map[string]jose.JSONWebKey {
	keys, seen := map[string]jose.JSONWebKey{}, map[string]bool{}
	for _, r := range raw {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(r) != nil || key.KeyID == "" || !verifies(key) {
			continue
		}
		if seen[key.KeyID] {
			delete(keys, key.KeyID)
			continue
		}
		seen[key.KeyID] = true
		keys[key.KeyID] = key
	}
	return keys
}

// verifies tells whether key is a public key, for signatures, of a kind and strength
// that the accepted algorithms want.
func verifies(key jose.JSONWebKey) bool {
	if key.Use != "" && key.Use != "sig" {
		return false
	}
	switch k := key.Key.(type) {
	case *ecdsa.PublicKey:
		return k.Curve == elliptic.P256()
	case *rsa.PublicKey:
		return k.N.BitLen() >= 2048
	case ed25519.PublicKey:
		return true
	default:
		return false
	}
}

func (s *keySet) has(kid string) bool { _, ok := s.keys[kid]; return ok }

func (s *keySet) usable(now time.Time) bool {
	return s != nil && now.Before(s.expires.Add(staleIfError))
}

func (s *keySet) find(kid string) (jose.JSONWebKey, error) {
	key, ok := s.keys[kid]
	if !ok {
		return jose.JSONWebKey{}, refusal("the token's key is not one of the provider's")
	}
	return key, nil
}

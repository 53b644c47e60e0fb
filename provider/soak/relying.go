package soak

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/doorstep-id/doorstep/provider/web"
)

// Relying verifies ID tokens as the strictest client does: by the keys that it
// fetched, for exactly as long as the provider says that they may be kept, with no
// second look for a key that it does not know.
type Relying struct {
	mu      sync.Mutex
	servers *Servers
	http    *http.Client
	keys    jose.JSONWebKeySet
	until   time.Time
	failed  []string
	seen    []string // every token, to be verified once more in the end
	kids    map[string]bool
}

// Verifying has the crowd's client verify each ID token that it gets.
func (c *Crowd) Verifying() *Relying {
	c.relying = &Relying{servers: c.servers, http: &http.Client{Transport: c.servers.Front(), Timeout: 10 * time.Second}, kids: map[string]bool{}}
	return c.relying
}

// Failed returns what could not be verified.
func (r *Relying) Failed() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

// Keys returns how many keys signed what was seen.
func (r *Relying) Keys() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.kids)
}

// Again verifies every token that has not expired once more.
func (r *Relying) Again() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, token := range r.seen {
		if !expired(token) {
			r.verify(token)
		}
	}
}

func (r *Relying) take(token string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, token)
	r.verify(token)
}

func (r *Relying) verify(token string) {
	if err := r.fetch(); err != nil {
		r.failed = append(r.failed, "JWKS: "+err.Error())
		return
	}
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
	if err != nil {
		r.failed = append(r.failed, err.Error())
		return
	}
	kid := parsed.Signatures[0].Header.KeyID
	r.kids[kid] = true
	found := r.keys.Key(kid)
	if len(found) == 0 {
		r.failed = append(r.failed, "unknown key "+kid)
		return
	}
	if _, err := parsed.Verify(found[0]); err != nil {
		r.failed = append(r.failed, kid+": "+err.Error())
	}
}

// fetch gets the keys when those it has may not be kept any longer.
func (r *Relying) fetch() error {
	if time.Now().Before(r.until) {
		return nil
	}
	asked := time.Now()
	res, err := r.http.Get(r.servers.P.URL(web.PathJWKS))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(res.Body).Decode(&keys); err != nil {
		return err
	}
	_, age, _ := strings.Cut(res.Header.Get("Cache-Control"), "max-age=")
	age, _, _ = strings.Cut(age, ",")
	seconds, err := strconv.Atoi(strings.TrimSpace(age))
	if err != nil {
		return fmt.Errorf("max-age: %w", err)
	}
	r.keys, r.until = keys, asked.Add(time.Duration(seconds)*time.Second)
	return nil
}

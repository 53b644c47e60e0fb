package provider_test

import (
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/provider/web"
)

// A page asks which stolen passwords have a hash that begins as the one being typed: by
// its form's token, in no address and no log, and no faster than people type.
func TestStolenPasswordsAreAskedForByAPrefix(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t)
	b := came(t, p, setupLink(t, p))
	asks := func(prefix string) *http.Request {
		r := b.Filled(p.URL(web.PathSetup), providertest.With("prefix", prefix))
		r.URL.Path = web.PathStolen
		return r
	}
	sum := sha1.Sum([]byte("passwordpassword"))
	whole := hex.EncodeToString(sum[:])
	prefix := whole[:5]
	a := b.Send(asks(prefix)).WantStatus(http.StatusOK)
	var all []string
	if err := json.Unmarshal(a.Body, &all); err != nil || !slices.ContainsFunc(all, func(one string) bool { return strings.HasPrefix(whole, one) }) {
		t.Errorf("%s: %v", a, err)
	}
	if strings.Contains(p.Logs(), prefix) {
		t.Error("what was asked for is in the log")
	}
	b.Send(asks(whole)).WantStatus(http.StatusBadRequest)
	b.Get(p.URL(web.PathStolen) + "?prefix=" + prefix).WantStatus(http.StatusMethodNotAllowed)
	other := p.Browser()
	other.Get(p.URL(web.PathHome))
	other.Send(asks(prefix)).WantStatus(http.StatusForbidden) // its token is another browser's

	again := asks(prefix)
	for range throttle.Stolen.Burst - 2 {
		b.Send(repeated(t, again)).WantStatus(http.StatusOK)
	}
	b.Send(repeated(t, again)).WantStatus(http.StatusTooManyRequests)
}

// repeated is the same request, to be sent once more.
func repeated(t *testing.T, r *http.Request) *http.Request {
	t.Helper()
	body, err := r.GetBody()
	if err != nil {
		t.Fatal(err)
	}
	again := r.Clone(t.Context())
	again.Body = body
	return again
}

package provider_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// keyHost is where a client publishes its keys; it counts who comes.
type keyHost struct {
	*httptest.Server
	came   atomic.Int32
	mu     sync.Mutex
	answer http.HandlerFunc
}

func newKeyHost(t *testing.T, ip string, answer http.HandlerFunc) *keyHost {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		t.Fatal(err)
	}
	h := &keyHost{answer: answer}
	h.Server = &httptest.Server{Listener: l, Config: &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		now := h.answer
		h.mu.Unlock()
		now(w, r)
	}), ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			h.came.Add(1)
		}
	}}}
	h.Start()
	t.Cleanup(h.Close)
	return h
}

// says changes what it answers.
func (h *keyHost) says(answer http.HandlerFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = answer
}

// wantVisits wants that so many came since the last time that this was asked.
func (h *keyHost) wantVisits(t *testing.T, what string, want int32) {
	t.Helper()
	if got := h.came.Swap(0); got != want {
		t.Errorf("%s: %d visits, want %d", what, got, want)
	}
}

func serving(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }
}

// outside lets the provider reach these addresses, by http too, as outbound.allow does.
func outside(prefixes ...string) providertest.Option {
	return providertest.Configure(func(c *provider.Config) {
		for _, text := range prefixes {
			c.Outbound.Allow = append(c.Outbound.Allow, netip.MustParsePrefix(text))
		}
	})
}

// publishes registers a client that signs, with its keys at this address.
func publishes(uri string) func(*clients.Registration) {
	return func(r *clients.Registration) { r.JWKS, r.JWKSURI = nil, uri }
}

// RFC 7517 section 5, OIDC Core section 10.1: a client publishes its keys, and
// changes them without telling anybody.
func TestAClientPublishesItsKeys(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		first, second := providertest.NewSigningKey(t, "ES256", "first"), providertest.NewSigningKey(t, "ES256", "second")
		host := newKeyHost(t, "127.0.0.1", serving(providertest.JWKS(t, first)))
		rp := p.SigningClient("web", publishes(host.URL+"/jwks.json"))
		ask := func(key *providertest.SigningKey) *providertest.TokenAnswer {
			t.Helper()
			rp.Key = key
			return rp.ClientCredentials()
		}
		ask(first).OK()
		ask(first).OK()
		host.wantVisits(t, "two assertions", 1)

		host.says(serving(providertest.JWKS(t, first, second)))
		p.Clock.Advance(time.Minute)
		ask(second).OK() // an unknown kid: it is asked for again
		ask(first).OK()
		host.wantVisits(t, "a new key", 1)

		host.says(serving(providertest.JWKS(t, second)))
		ask(first).OK() // is not known to be gone yet
		p.Clock.Advance(15 * time.Minute)
		a := ask(first).WantStatus(http.StatusUnauthorized).WantError("invalid_client")
		if d := diagnosisOf(t, p, a); !strings.Contains(d.Problem, "Publish the key that it signs with at "+host.URL) || strings.Contains(d.Problem, "client update") {
			t.Errorf("the log says %+v", d)
		}
		ask(second).OK()
		host.wantVisits(t, "after a quarter of an hour", 1)

		// What it said last serves on while it says nothing of use, for a day.
		for i, answer := range []http.HandlerFunc{
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
			serving([]byte("<html>")), serving([]byte(`{"keys":[],"keys":[]}`)),
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) },
		} {
			host.says(answer)
			p.Clock.Advance(time.Hour)
			ask(second).OK()
			ask(second).OK()
			host.wantVisits(t, fmt.Sprintf("failure %d", i), 1)
		}
		p.Clock.Advance(24 * time.Hour)
		a = ask(second).WantStatus(http.StatusUnauthorized).WantError("invalid_client") // a day and more
		if d := diagnosisOf(t, p, a); !strings.Contains(d.Problem, "jwks_uri could not be read") || !strings.Contains(d.Problem, "status 304") {
			t.Errorf("the log says %+v", d)
		}
		host.says(serving(providertest.JWKS(t, second)))
		p.Clock.Advance(time.Minute)
		ask(second).OK()
	}, outside("127.0.0.1/32"))
}

// OWASP ASVS 5.0 15.3.2: a jwks_uri reaches nothing inside, however it is spelled,
// resolved or redirected to, unless outbound.allow names it for an operator's
// client; and no answer tells what is there (ZITADEL CVE-2026-55671).
func TestAttack47AJwksURIReachesNothingInside(t *testing.T) {
	t.Parallel()
	inside := newKeyHost(t, "127.0.0.1", serving([]byte(`{"keys":[]}`)))
	_, port, _ := net.SplitHostPort(inside.Listener.Addr().String())
	var turned atomic.Bool
	resolver := providertest.Names(func(name string) []netip.Addr {
		switch {
		case name == "rebinding.example" && !turned.Swap(true):
			return []netip.Addr{netip.MustParseAddr("127.0.0.2")}
		case name == "mapped.example":
			return []netip.Addr{netip.MustParseAddr("::ffff:127.0.0.1")}
		case name == "cloud.example":
			return []netip.Addr{netip.MustParseAddr("169.254.169.254")}
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	})
	uris := []string{
		"http://127.0.0.1:" + port, "https://127.0.0.1:" + port, "http://localhost:" + port, "http://[::ffff:127.0.0.1]:" + port, "https://[::1]:" + port,
		"http://0.0.0.0:" + port, "http://0177.0.0.1:" + port, "http://0x7f000001:" + port, "http://2130706433:" + port, "http://127.1:" + port,
		"http://inside.example:" + port, "https://inside.example:" + port, "http://mapped.example:" + port, "http://cloud.example", "http://169.254.169.254/latest/meta-data",
		"https://10.0.0.1", "http://192.168.1.1", "https://172.16.0.1", "http://[fd00:ec2::254]", "http://[fe80::1]", "http://rebinding.example:" + port,
	}
	redirects := newKeyHost(t, "127.0.0.3", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, inside.URL, http.StatusFound)
	})
	uris = append(uris, redirects.URL)
	p := providertest.Start(t, outside("127.0.0.2/31"), providertest.Configure(func(c *provider.Config) { c.Outbound.Resolver = resolver }))
	answers := map[string]string{}
	for i, uri := range uris {
		rp := p.SigningClient(fmt.Sprintf("client-%d", i), publishes(uri+"/jwks.json"))
		for range 2 { // the second time a name answers otherwise
			a := rp.ClientCredentials().WantStatus(http.StatusUnauthorized).WantError("invalid_client")
			answers[string(a.Body)] = uri
			p.Clock.Advance(time.Minute)
		}
	}
	if len(answers) != 1 {
		t.Errorf("%d answers, which tell addresses apart: %v", len(answers), answers)
	}
	inside.wantVisits(t, "everything above", 0)
	redirects.wantVisits(t, "the redirect itself", 2)

	// What is allowed is allowed to operators' clients only.
	key := providertest.NewSigningKey(t, "ES256", "k")
	allowed := newKeyHost(t, "127.0.0.3", serving(providertest.JWKS(t, key)))
	rp := p.SigningClient("allowed", publishes(allowed.URL))
	rp.Key = key
	rp.ClientCredentials().OK()
	allowed.wantVisits(t, "an operator's client", 1)
	self := p.SigningClient("self", publishes(allowed.URL))
	self.Key = key
	registeredBySelf(t, p, self.ID)
	self.ClientCredentials().WantStatus(http.StatusUnauthorized).WantError("invalid_client")
	allowed.wantVisits(t, "a client that registered itself", 0)
}

// registeredBySelf makes a client one that no operator registered, which no way in does yet.
func registeredBySelf(t *testing.T, p *providertest.P, id string) {
	t.Helper()
	c, err := p.Store.Client(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Store.DeleteClient(t.Context(), c, storage.At(p.Clock.Now())); err != nil {
		t.Fatal(err)
	}
	c.RegisteredBy = "dynamic"
	if err := p.Store.CreateClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	p.Clock.Advance(5 * time.Second)
}

// What a jwks_uri answers is cut: three seconds, 100 KB, nothing compressed, twenty
// keys; and whoever sends unknown kids makes us ask once a minute, not once each.
func TestAttack48AHostileJwksURIIsCut(t *testing.T) {
	t.Parallel()
	const patience = 300 * time.Millisecond
	p := providertest.Start(t, outside("127.0.0.1/32"), providertest.Configure(func(c *provider.Config) { c.Outbound.Timeout = patience }))
	key := providertest.NewSigningKey(t, "ES256", "k")
	set := providertest.JWKS(t, key)
	one := strings.TrimSuffix(strings.TrimPrefix(string(set), `{"keys":[`), `]}`)
	many := func(n int) []byte {
		return []byte(`{"keys":[` + one + strings.Repeat(`,{"kty":"EC"}`, n-1) + `]}`)
	}
	for what, tc := range map[string]struct {
		answer http.HandlerFunc
		fine   bool
	}{
		"as it should be": {serving(set), true},
		"twenty keys":     {serving(many(20)), true},
		"a drip": {func(w http.ResponseWriter, r *http.Request) {
			for _, b := range set {
				_, _ = w.Write([]byte{b})
				w.(http.Flusher).Flush()
				select {
				case <-r.Context().Done():
					return
				case <-time.After(patience / 20):
				}
			}
		}, false},
		"nothing at all": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, false},
		"a gigabyte": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(set)
			for i := 0; i < 1<<20 && r.Context().Err() == nil; i++ {
				_, _ = w.Write(bytes.Repeat([]byte(" "), 1<<10))
			}
		}, false},
		"a byte more than 100 KB": {serving(append(set, bytes.Repeat([]byte(" "), 100<<10+1-len(set))...)), false},
		"a gzip bomb": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write(set)
			_, _ = io.CopyN(z, spaces{}, 64<<20)
			_ = z.Close()
		}, false},
		"twenty-one keys":  {serving(many(21)), false},
		"10,000 keys":      {serving(many(10000)), false},
		"nested for ever":  {serving([]byte(`{"keys":` + strings.Repeat("[", 50000) + strings.Repeat("]", 50000) + `}`)), false},
		"an endless RSA":   {serving([]byte(`{"keys":[{"kty":"RSA","kid":"k","e":"AQAB","n":"` + strings.Repeat("A", 90000) + `"}]}`)), false},
		"its private key":  {serving([]byte(strings.Replace(string(set), `{"crv"`, `{"d":"AQ","crv"`, 1))), false},
		"a secret for all": {serving([]byte(`{"keys":[{"kty":"oct","kid":"k","k":"c2VjcmV0"}]}`)), false},
	} {
		host := newKeyHost(t, "127.0.0.1", tc.answer)
		rp := p.SigningClient(strings.ReplaceAll(strings.ReplaceAll(what, " ", "-"), ",", ""), publishes(host.URL))
		rp.Key = key
		began := time.Now()
		a := rp.ClientCredentials()
		if took := time.Since(began); took > 10*patience {
			t.Errorf("%s: took %s", what, took)
		}
		if tc.fine {
			a.OK()
		} else {
			a.WantStatus(http.StatusUnauthorized).WantError("invalid_client")
		}
	}

	host := newKeyHost(t, "127.0.0.1", serving(set))
	rp := p.SigningClient("flooded", publishes(host.URL))
	rp.Key = key
	rp.ClientCredentials().OK()
	host.wantVisits(t, "the first assertion", 1)
	flood := func() {
		t.Helper()
		requests := make([]*http.Request, 60)
		for i := range requests {
			requests[i] = asserting(t, p, rp.Assertion(providertest.Header("kid", fmt.Sprintf("unknown-%d", i))))
		}
		for _, a := range p.AtOnce(requests...) {
			a.WantStatus(http.StatusUnauthorized).WantError("invalid_client")
		}
	}
	flood()
	host.wantVisits(t, "a flood within the minute", 0)
	p.Clock.Advance(time.Minute)
	flood()
	flood()
	host.wantVisits(t, "floods of another minute", 1)
	rp.ClientCredentials().OK()
}

// A jwks_uri that hangs is asked once for all who wait, and clients of other keys
// do not wait at all.
func TestAttack48AHungJwksURIKeepsNobodyElseWaiting(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t, outside("127.0.0.1/32"))
	asked, release := make(chan struct{}, 10), make(chan struct{})
	hung := newKeyHost(t, "127.0.0.1", func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-r.Context().Done():
		case <-release:
		}
	})
	other := p.SigningClient("other")
	hangs := p.SigningClient("hangs", publishes(hung.URL))
	requests := []*http.Request{asserting(t, p, hangs.Assertion()), asserting(t, p, hangs.Assertion()), asserting(t, p, hangs.Assertion())}
	done := make(chan []*providertest.Answer)
	go func() { done <- p.AtOnce(requests...) }()
	<-asked
	other.ClientCredentials().OK()
	p.SigningClient("another").ClientCredentials().OK()
	select {
	case <-done:
		t.Error("it did not hang, so this proves nothing")
	default:
	}
	close(release)
	for _, a := range <-done {
		a.WantStatus(http.StatusUnauthorized).WantError("invalid_client")
	}
	hangs.ClientCredentials().WantStatus(http.StatusUnauthorized)
	hung.wantVisits(t, "four requests", 1)
}

// A jwks_uri that hangs keeps nobody out whose keys are known, and a client whose
// keys are not hears of it before its request is given up (OIDC Core section 10.1;
// RFC 6749 section 5.2); what asks ends by itself. It is not parallel, as it looks
// at every goroutine there is.
func TestAJwksURIThatHangsIsNotWaitedFor(t *testing.T) {
	p := providertest.Start(t, outside("127.0.0.1/32"))
	key := providertest.NewSigningKey(t, "ES256", "k")
	left := make(chan struct{}, 10)
	hangs := func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		left <- struct{}{}
	}
	ask := func(what string, rp *providertest.RP, most time.Duration) *providertest.TokenAnswer {
		t.Helper()
		began := time.Now()
		a := rp.ClientCredentials()
		if took := time.Since(began); took > most {
			t.Errorf("%s: took %s, at most %s", what, took, most)
		}
		return a
	}
	hungUp := func(what string) {
		t.Helper()
		select {
		case <-left:
		case <-time.After(10 * time.Second):
			t.Errorf("%s: is still asked", what)
		}
	}

	host := newKeyHost(t, "127.0.0.1", serving(providertest.JWKS(t, key)))
	known := p.SigningClient("known", publishes(host.URL))
	known.Key = key
	known.ClientCredentials().OK()
	host.says(hangs)
	host.wantVisits(t, "the first assertion", 1)
	p.Clock.Advance(time.Hour)
	for range 3 {
		ask("known keys", known, 2500*time.Millisecond).OK()
	}
	hungUp("known keys")
	host.wantVisits(t, "known keys", 1)
	ask("known keys, asked for just now", known, time.Second).OK()
	host.wantVisits(t, "known keys, asked for just now", 0)

	first := p.SigningClient("first", publishes(newKeyHost(t, "127.0.0.1", hangs).URL))
	a := ask("unknown keys", first, 4500*time.Millisecond).WantStatus(http.StatusUnauthorized).WantError("invalid_client")
	if d := diagnosisOf(t, p, a); !strings.Contains(d.Problem, "jwks_uri could not be read") {
		t.Errorf("the log says %+v", d)
	}
	hungUp("unknown keys")
	ask("unknown keys, asked for just now", first, time.Second).WantStatus(http.StatusUnauthorized).WantError("invalid_client")

	p.Clock.Advance(time.Minute)
	known.Key = providertest.NewSigningKey(t, "ES256", "new")
	ask("a new key", known, 4500*time.Millisecond).WantStatus(http.StatusUnauthorized).WantError("invalid_client")
	hungUp("a new key")

	asking := func() bool {
		stacks := make([]byte, 16<<20)
		return bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("fetchKeys"))
	}
	for range 100 {
		if !asking() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error("a goroutine that asks is left over")
}

// spaces is as much of nothing as is read.
type spaces struct{}

func (spaces) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

package provider_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// A mistake is one of the commonest of whoever sets up a client, with what the log
// says about it. Where command is "", the log's command is a change of the client's
// registration; applied, it mends the mistake.
type mistake struct {
	name                string
	client              string // whom the command names; "" if nobody knows
	send                func() *providertest.Answer
	problem             string // a part of it
	arrived, registered string // one of each; "" for none
	command             string
	mended              func() bool
	page                bool // the answer is a page for a person
}

// A diagnosis as the log has it.
type diagnosis struct {
	Problem, Command    string
	Arrived, Registered []string
}

// diagnosisOf is what the log says about the request that was answered by a.
func diagnosisOf(t *testing.T, p *providertest.P, a *providertest.Answer) *diagnosis {
	t.Helper()
	var found *diagnosis
	for line := range strings.SplitSeq(p.Logs(), "\n") {
		var event struct {
			RequestID string `json:"request_id"`
			Diagnosis *diagnosis
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatal(err)
		}
		if id := a.Header.Get("X-Request-ID"); id != "" && event.RequestID == id {
			found = event.Diagnosis
		}
	}
	if found == nil {
		t.Fatalf("the log has no diagnosis for %s (%s)", a, a.Header.Get("X-Request-ID"))
	}
	return found
}

// patchCommand is a change of a registration as a POSIX shell reads it.
var patchCommand = regexp.MustCompile(`^echo '((?:[^']|'\\'')*)' \| doorstep client update ([A-Za-z0-9._-]+) --file -$`)

// The first mistake mends itself: each of the commonest says in the log what
// arrived, what is registered and the command that mends it, under the id that the
// answer shows; the page shows it to a developer and to nobody else.
func TestTheFirstMistakeMendsItself(t *testing.T) {
	for _, developer := range []bool{false, true} {
		show := providertest.Configure(func(c *provider.Config) { c.Web.Developer = developer })
		t.Run(map[bool]string{false: "production", true: "developer"}[developer], func(t *testing.T) {
			t.Parallel()
			p := providertest.Start(t, show)
			p.Resource(carsAPI, "cars:read", "cars:write")
			for _, m := range slices.Concat(mistakesOfRequests(t, p), mistakesOfTokenRequests(t, p), mistakesOfAddresses(t, p)) {
				t.Run(m.name, func(t *testing.T) { wantMended(t, p.In(t), m, developer) })
			}
		})
	}
}

func wantMended(t *testing.T, p *providertest.P, m mistake, developer bool) {
	t.Helper()
	a := m.send()
	d := diagnosisOf(t, p, a)
	has := func(list []string, want string) bool {
		return want == "" && len(list) == 0 || want != "" && slices.Contains(list, want)
	}
	if !strings.Contains(d.Problem, m.problem) || !has(d.Arrived, m.arrived) || !has(d.Registered, m.registered) {
		t.Errorf("the log says %+v, want problem %q, arrived %q, registered %q", d, m.problem, m.arrived, m.registered)
	}
	if m.page {
		page := html.UnescapeString(string(a.Body))
		if !strings.Contains(page, a.Header.Get("X-Request-ID")) {
			t.Error("the page does not show the id that the log has")
		}
		if strings.Contains(page, d.Command) != developer || strings.Contains(page, d.Problem) != developer {
			t.Errorf("the page shows the diagnosis: %v, want %v: %s", !developer, developer, page)
		}
	} else if strings.Contains(string(a.Body), "doorstep client") {
		t.Errorf("the client is told what is for its operator: %s", a)
	}
	if m.command != "" {
		if d.Command != m.command {
			t.Errorf("the command is %q, want %q", d.Command, m.command)
		}
		return
	}
	command := patchCommand.FindStringSubmatch(d.Command)
	if command == nil || command[2] != m.client {
		t.Fatalf("the command %q changes no registration of %s", d.Command, m.client)
	}
	patch := strings.ReplaceAll(command[1], `'\''`, "'")
	if _, err := p.Clients.Update(t.Context(), m.client, []byte(patch), events.ActorOperator); err != nil {
		t.Fatalf("the command %q: %v", d.Command, err)
	}
	if !m.mended() {
		t.Errorf("after %q the request is refused as before", d.Command)
	}
}

// mistakesOfRequests are those at the authorization endpoint.
func mistakesOfRequests(t *testing.T, p *providertest.P) []mistake {
	browser := p.Browser()
	asks := func(rp *providertest.RP, params ...providertest.Param) func() *providertest.Answer {
		return func() *providertest.Answer { return browser.Get(rp.AuthorizationURL("openid", params...)) }
	}
	serves := func(rp *providertest.RP, params ...providertest.Param) func() bool {
		return func() bool { return nextOf(t, browser, rp.AuthorizationURL("openid", params...)) == web.PathSignIn }
	}
	redirects, pkce, spa, scopes := p.Client("redirects"), p.Client("pkce"), p.Client("spa", providertest.Public), p.Client("scopes")
	audience, implicit, leaves := p.Client("audience"), p.Client("implicit"), p.Client("leaves", bye)
	long := "https://redirects.example/it's/a/longer/way/than/the/sixty/characters/of/an/error/description"
	return []mistake{
		{
			name: "redirect", client: redirects.ID, page: true, send: asks(redirects, providertest.With("redirect_uri", long)), problem: "character by character",
			arrived: "redirect_uri=" + long, registered: redirects.RedirectURI, mended: serves(redirects, providertest.With("redirect_uri", long)),
		},
		{
			name: "no redirect", client: redirects.ID, page: true, send: asks(redirects, providertest.Without("redirect_uri")), problem: "must send redirect_uri",
			arrived: "redirect_uri=(none)", registered: redirects.RedirectURI, command: "doorstep client show redirects",
		},
		{
			name: "unknown client", page: true, send: asks(redirects, providertest.With("client_id", "nobody")), problem: "No client of this id",
			arrived: "client_id=nobody", command: "doorstep client list",
		},
		{
			name: "no PKCE", client: pkce.ID, problem: "code_challenge_method=S256", arrived: "code_challenge=(none)", registered: "require_pkce=true",
			send:   asks(pkce, providertest.Without("code_challenge"), providertest.Without("code_challenge_method")),
			mended: serves(pkce, providertest.Without("code_challenge"), providertest.Without("code_challenge_method")),
		},
		{
			name: "no PKCE in public", client: spa.ID, problem: "code_challenge_method=S256", arrived: "code_challenge=(none)", registered: "require_pkce=true",
			send: asks(spa, providertest.Without("code_challenge"), providertest.Without("code_challenge_method")), command: "doorstep client show spa",
		},
		{
			name: "scope", client: scopes.ID, send: asks(scopes, providertest.With("scope", "openid cars:read")), problem: "not registered for the client",
			arrived: "scope=cars:read", registered: "openid", mended: serves(scopes, providertest.With("scope", "openid cars:read")),
		},
		{
			name: "audience", client: audience.ID, send: asks(audience, resource(carsAPI)), problem: "no access to the resource",
			arrived: "resource=" + carsAPI, registered: "openid", mended: serves(audience, resource(carsAPI)),
		},
		{
			name: "unknown audience", client: audience.ID, send: asks(audience, resource("https://unknown.example")), problem: "no access to the resource",
			arrived: "resource=https://unknown.example", registered: "openid", command: "doorstep resource list; doorstep client show audience",
		},
		{
			name: "response type", client: implicit.ID, send: asks(implicit, providertest.With("response_type", "id_token token")), problem: "response_type=code",
			arrived: "response_type=id_token token", registered: "code", command: "doorstep client show implicit",
		},
		{
			name: "redirect after sign-out", client: leaves.ID, page: true, problem: "post_logout_redirect_uri is not registered",
			send: func() *providertest.Answer {
				return browser.Get(endSessionURL(p, "client_id", leaves.ID, "post_logout_redirect_uri", "https://leaves.example/"))
			},
			arrived: "post_logout_redirect_uri=https://leaves.example/", registered: "https://leaves.example/bye",
			mended: func() bool {
				a := browser.Get(endSessionURL(p, "client_id", leaves.ID, "post_logout_redirect_uri", "https://leaves.example/"))
				return a.Header.Get("Location") == "https://leaves.example/"
			},
		},
	}
}

// mistakesOfTokenRequests are those at the token endpoint.
func mistakesOfTokenRequests(t *testing.T, p *providertest.P) []mistake {
	t.Helper()
	browser := p.Browser().SignIn("ada")
	asks := func(form url.Values, auth string) func() *providertest.Answer {
		return func() *providertest.Answer {
			r := rawRequest(t, http.MethodPost, p.URL(web.PathToken), form)
			if auth != "" {
				r.Header.Set("Authorization", auth)
			}
			return p.Send(r)
		}
	}
	serves := func(ask func() *providertest.Answer) func() bool {
		return func() bool { return ask().Status == http.StatusOK }
	}
	own := func(more ...string) url.Values {
		form := spent(more...)
		form.Set("grant_type", "client_credentials")
		form.Del("refresh_token")
		return form
	}
	rp, public, job := p.Client("secrets"), p.Client("public", providertest.Public), p.Client("job")
	posts, grantless := p.Client("posts"), p.Client("grantless", func(r *clients.Registration) { r.GrantTypes = []string{"authorization_code"} })
	post := asks(own("client_id", posts.ID, "client_secret", posts.Secret), "")
	grant := asks(own(), basic(grantless.ID, grantless.Secret))
	late := p.Client("late", providertest.FirstParty)
	signs, keyless := p.SigningClient("signs"), p.Client("keyless")
	keyed := p.Client("keyed", func(r *clients.Registration) { r.JWKS = providertest.JWKS(t, signs.Key) })
	asserts := func(rp *providertest.RP, change ...func(*providertest.Draft)) func() *providertest.Answer {
		return func() *providertest.Answer {
			as := *signs
			as.ID = rp.ID
			assertion := as.Assertion(change...)
			a := p.Send(asserting(t, p, assertion))
			if strings.Contains(p.Logs(), assertion) {
				t.Error("an assertion is in the log")
			}
			return a
		}
	}
	only := p.Client("only", providertest.SignedBy(t, signs.Key, providertest.NewSigningKey(t, "EdDSA", "ed")), func(r *clients.Registration) { r.TokenEndpointAuthSigningAlg = "EdDSA" })
	return []mistake{
		{
			name: "wrong secret", client: rp.ID, send: asks(spent(), basic(rp.ID, "dsk_this-is-a-secret-of-somebody")), problem: "not one of the client's",
			arrived: "client_secret=(hidden)", registered: "1 secret(s)", command: "doorstep client rotate-secret secrets",
		},
		{
			name: "wrong authentication method", client: posts.ID, send: post, problem: "in another way than it registered",
			arrived: "token_endpoint_auth_method=client_secret_post", registered: "token_endpoint_auth_method=client_secret_basic", mended: serves(post),
		},
		{
			name: "no secret", client: rp.ID, send: asks(spent("client_id", rp.ID), ""), problem: "sent no secret",
			arrived: "token_endpoint_auth_method=none", registered: "token_endpoint_auth_method=client_secret_basic", command: "doorstep client show secrets",
		},
		{
			name: "a secret of a public client", client: public.ID, send: asks(spent(), basic(public.ID, "x")), problem: "public",
			arrived: "token_endpoint_auth_method=client_secret_basic", registered: "token_endpoint_auth_method=none", command: "doorstep client show public",
		},
		{
			name: "assertion for the endpoint", client: signs.ID, send: asserts(signs, providertest.Claim("aud", p.URL(web.PathToken))), problem: "its aud must be the issuer",
			arrived: "aud=" + p.URL(web.PathToken), registered: "aud=" + p.Issuer, command: "doorstep client show signs",
		},
		{
			name: "assertion of an unknown key", client: signs.ID, send: asserts(signs, providertest.Header("kid", "new")), problem: "its kid is that of no registered key",
			arrived: "kid=new", registered: "kid=key-of-signs (ES256)", command: "doorstep client show signs",
		},
		{
			name: "assertion of another algorithm", client: only.ID, send: asserts(only), problem: "its alg is not the registered",
			arrived: "alg=ES256", registered: "token_endpoint_auth_signing_alg=EdDSA", mended: serves(asserts(only)),
		},
		{
			name: "assertion of a client with a secret", client: keyed.ID, send: asserts(keyed), problem: "in another way than it registered",
			arrived: "token_endpoint_auth_method=private_key_jwt", registered: "token_endpoint_auth_method=client_secret_basic", mended: serves(asserts(keyed)),
		},
		{
			name: "assertion of a client without keys", client: keyless.ID, send: asserts(keyless), problem: "register its public keys as jwks",
			arrived: "token_endpoint_auth_method=private_key_jwt", registered: "token_endpoint_auth_method=client_secret_basic", command: "doorstep client show keyless",
		},
		{
			name: "a secret of a client that signs", client: signs.ID, send: asks(spent(), basic(signs.ID, "x")), problem: "It has keys, and no secret",
			arrived: "token_endpoint_auth_method=client_secret_basic", registered: "token_endpoint_auth_method=private_key_jwt", command: "doorstep client show signs",
		},
		{
			name: "unknown client at the token endpoint", send: asks(spent("client_id", "nobody"), ""), problem: "No client of this id",
			arrived: "client_id=nobody", command: "doorstep client list",
		},
		{
			name: "grant type", client: grantless.ID, send: grant, problem: "not registered for this grant type",
			arrived: "grant_type=client_credentials", registered: "authorization_code", mended: serves(grant),
		},
		{
			name: "scope of its own", client: job.ID, send: asks(own("scope", "cars:read"), basic(job.ID, job.Secret)), problem: "not registered for the client",
			arrived: "scope=cars:read", registered: "openid", mended: serves(asks(own("scope", "cars:read"), basic(job.ID, job.Secret))),
		},
		{
			name: "a person's scope of its own", client: job.ID, send: asks(own("scope", "openid"), basic(job.ID, job.Secret)), problem: "none of OpenID Connect",
			arrived: "scope=openid", registered: "openid", command: "doorstep client show job",
		},
		{
			name: "audience of its own", client: rp.ID, send: asks(own("resource", carsAPI), basic(rp.ID, rp.Secret)), problem: "no access to the resource",
			arrived: "resource=" + carsAPI, registered: "openid", mended: serves(asks(own("resource", carsAPI), basic(rp.ID, rp.Secret))),
		},
		{
			name: "expired code", client: late.ID, problem: "/readyz", // which tells of a clock that is wrong
			send: func() *providertest.Answer {
				code := browser.Authorize(late, "openid")
				p.Clock.Advance(61 * time.Second)
				a := late.Exchange(code).WantError("invalid_grant")
				if strings.Contains(p.Logs(), code) {
					t.Error("a code is in the log")
				}
				return a
			},
			arrived: "code_verifier=(sent)", registered: late.RedirectURI, command: "doorstep client show late",
		},
		{
			name: "refresh token used twice", client: late.ID, problem: "used before",
			send: func() *providertest.Answer {
				first := late.Exchange(browser.Authorize(late, "openid")).OK().Refresh
				late.Refresh(first).OK()
				p.Clock.Advance(11 * time.Second)
				a := late.Refresh(first).WantError("invalid_grant")
				if strings.Contains(p.Logs(), first) {
					t.Error("a refresh token is in the log")
				}
				return a
			},
			arrived: "grant_type=refresh_token", registered: "client_id=late", command: "doorstep client show late",
		},
	}
}

// mistakesOfAddresses are those of whoever has the wrong one.
func mistakesOfAddresses(t *testing.T, p *providertest.P) []mistake {
	t.Helper()
	return []mistake{
		{
			name: "origin", problem: "CORS", arrived: "Origin: https://elsewhere.example", command: "doorstep client list",
			send: func() *providertest.Answer {
				return p.Send(preflight(t, p.URL(web.PathToken), "https://elsewhere.example", http.MethodPost))
			},
		},
		{
			name: "issuer by another name", problem: "not the issuer's", arrived: "Host: id.elsewhere.example", registered: "issuer=" + p.Issuer, command: "doorstep config print",
			send: func() *providertest.Answer {
				r := rawRequest(t, http.MethodGet, p.URL(web.PathOpenIDConfiguration), nil)
				r.Host = "id.elsewhere.example"
				return p.Send(r)
			},
		},
		{
			name: "issuer with a path", problem: "not the issuer's", registered: "issuer=" + p.Issuer, command: "doorstep config print",
			arrived: strings.TrimPrefix(p.URL("/realms/main"+web.PathOpenIDConfiguration), "http://"),
			send: func() *providertest.Answer {
				return p.Get("/realms/main" + web.PathOpenIDConfiguration).WantStatus(http.StatusNotFound)
			},
		},
	}
}

// No secret is in the log, whatever a client did wrong (RFC 9700 section 4.3.2).
func TestNoSecretIsInTheLog(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t)
	rp, post := p.Client("web", providertest.FirstParty), p.Client("post", secretPost)
	browser := p.Browser().SignIn("ada")
	const verifier, nonce, state = "a-verifier-of-more-than-43-characters-for-a-test", "a-nonce-of-the-client", "a-state-of-the-client"
	begin := []providertest.Param{providertest.With("code_challenge", s256(verifier)), providertest.With("nonce", nonce), providertest.With("state", state)}
	code := browser.Authorize(rp, "openid", begin...)
	rp.Exchange(code, providertest.With("redirect_uri", "https://web.example/other"), providertest.With("code_verifier", verifier)).WantError("invalid_grant")
	tokens := rp.Exchange(browser.Authorize(rp, "openid", begin...), providertest.With("code_verifier", verifier)).OK()
	browser.Ask(rp, "openid nonsense", begin...).WantError("invalid_scope")
	rp.Refresh(tokens.Refresh, providertest.With("scope", "nonsense")).WantError("invalid_scope")
	p.Send(rawRequest(t, http.MethodPost, p.URL(web.PathToken), spent("client_secret", post.Secret, "client_id", rp.ID))).WantError("invalid_client")
	p.Send(rawRequest(t, http.MethodPost, p.URL(web.PathToken), spent(), "Authorization", basic(post.ID, post.Secret))).WantError("invalid_client")
	p.Userinfo(tokens.Refresh).WantError("invalid_token")
	wantOwnPage(t, "a hint that is none", browser.Get(endSessionURL(p, "id_token_hint", tokens.Access, "post_logout_redirect_uri", "https://web.example/")))
	secrets := map[string]string{
		"code": code, "verifier": verifier, "nonce": nonce, "state": state, "secret": rp.Secret, "another secret": post.Secret,
		"access token": tokens.Access, "refresh token": tokens.Refresh, "ID token": tokens.ID, "password": providertest.Password, "address": "ada@example.com",
		"cookie": browser.Cookie("doorstep_session"), "browser cookie": browser.Cookie("doorstep_browser"),
	}
	log := p.Logs()
	for name, secret := range secrets {
		if secret == "" || strings.Contains(log, secret) {
			t.Errorf("%s %q is in the log, or is not there at all", name, secret)
		}
	}
}

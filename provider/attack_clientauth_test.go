package provider_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// RFC 7523 section 3: an assertion works once, its id belongs to its client, and it
// lives five minutes at most. One that is wrong, in whatever way, spends no id: who
// saw an assertion cannot use it up (fosite CVE-2020-15222, Keycloak CVE-2025-2559).
func TestAttack39AnAssertionWorksOnce(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp, other := p.SigningClient("web"), p.SigningClient("other")
		once := rp.Assertion()
		p.Send(asserting(t, p, once)).WantStatus(http.StatusOK)
		wantRefusedAssertion(t, p, "a second time", once)
		p.Clock.Advance(30 * time.Second)
		wantRefusedAssertion(t, p, "half a minute later", once)

		now := p.Clock.Now().Unix()
		jti := providertest.Claim("jti", "the same")
		p.Send(asserting(t, p, rp.Assertion(jti))).WantStatus(http.StatusOK)
		wantRefusedAssertion(t, p, "another assertion of the same id", rp.Assertion(jti, providertest.Claim("exp", now+120)))
		p.Send(asserting(t, p, other.Assertion(jti))).WantStatus(http.StatusOK) // another client's ids are its own

		for what, exp := range map[string]any{
			"five minutes and a second": now + 301, "an hour": now + 3600, "for ever": 1e300, "a year in milliseconds": (now + 60) * 1000,
		} {
			wantRefusedAssertion(t, p, what, rp.Assertion(providertest.Claim("exp", exp)))
		}

		spoilt := providertest.Claim("jti", "not to be spent")
		stranger := providertest.NewSigningKey(t, "ES256", rp.Key.KID)
		for what, wrong := range map[string]func(*providertest.Draft){
			"another audience":   providertest.Claim("aud", "https://elsewhere.example"),
			"a list of them":     providertest.Claim("aud", []string{p.Issuer}),
			"a stranger's key":   func(d *providertest.Draft) { d.Key = stranger },
			"an unknown kid":     providertest.Header("kid", "unknown"),
			"without signature":  providertest.Header("alg", "none"),
			"with a MAC":         providertest.Header("alg", "HS256"),
			"of another type":    providertest.Header("typ", "at+jwt"),
			"by somebody else":   providertest.Claim("iss", other.ID),
			"over":               providertest.Claim("exp", now-1),
			"for too long":       providertest.Claim("exp", now+301),
			"made in the future": providertest.Claim("iat", now+60),
			"not yet":            providertest.Claim("nbf", now+60),
		} {
			wantRefusedAssertion(t, p, what, rp.Assertion(spoilt, wrong))
		}
		p.Send(asserting(t, p, rp.Assertion(spoilt), "client_id", other.ID)).WantError("invalid_client")
		p.Send(asserting(t, p, rp.Assertion(spoilt))).WantStatus(http.StatusOK)
	})
}

// RFC 7523 section 3: of thirty requests with one assertion, at once and on three
// replicas, one succeeds: the database decides, and no memory.
func TestAttack39OneOfThirtyOnThreeReplicas(t *testing.T) {
	p := providertest.Replicas(t, 3)
	rp := p.SigningClient("web")
	for range 3 {
		once := rp.Assertion()
		requests := make([]*http.Request, 30)
		for i := range requests {
			requests[i] = asserting(t, p, once)
		}
		won := 0
		for _, a := range p.AtOnce(requests...) {
			switch {
			case a.Status == http.StatusOK:
				won++
			case a.Status != http.StatusUnauthorized || a.JSON()["error"] != "invalid_client":
				t.Errorf("a loser got %s", a)
			}
		}
		if won != 1 {
			t.Errorf("%d of 30 succeeded, want one", won)
		}
	}
}

// The audience is the issuer, as one string: an assertion that a client made for
// another server, or that another server had it make, is worth nothing here
// (CVE-2025-27370, draft-ietf-oauth-rfc7523bis section 3).
func TestAttack40TheAudienceIsTheIssuerAlone(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.SigningClient("web")
		p.Send(asserting(t, p, rp.Assertion(providertest.Claim("aud", p.Issuer)))).WantStatus(http.StatusOK)
		token := p.URL(web.PathToken)
		for what, aud := range map[string]any{
			"none":                      nil,
			"nothing":                   "",
			"null":                      json.RawMessage("null"),
			"a number":                  1,
			"an object":                 map[string]any{"iss": p.Issuer},
			"another server":            "https://elsewhere.example",
			"the token endpoint":        token,
			"another endpoint":          p.URL(web.PathAuthorize),
			"a list of the issuer":      []string{p.Issuer},
			"a list of both":            []string{p.Issuer, token},
			"a list with another":       []string{p.Issuer, "https://elsewhere.example"},
			"a list in which it is not": []string{"https://elsewhere.example"},
			"an empty list":             []string{},
			"a list in a list":          []any{[]string{p.Issuer}},
			"a slash at the end":        p.Issuer + "/",
			"a space at the end":        p.Issuer + " ",
			"another case":              strings.ToUpper(p.Issuer),
			"another scheme":            strings.Replace(p.Issuer, "http:", "https:", 1),
			"its beginning":             p.Issuer[:len(p.Issuer)-1],
			"both with a space":         p.Issuer + " " + token,
			"the client":                rp.ID,
		} {
			wantRefusedAssertion(t, p, what, rp.Assertion(providertest.Claim("aud", aud)))
		}
		twice := rp.Key.Sign(t, map[string]any{"alg": "ES256", "kid": rp.Key.KID}, fmt.Appendf(nil,
			`{"iss":"web","sub":"web","aud":"https://elsewhere.example","aud":%q,"exp":%d,"jti":"x"}`, p.Issuer, p.Clock.Now().Unix()+60))
		wantRefusedAssertion(t, p, "two audiences, one after the other", twice)
	})
}

// RFC 6749 section 10.10: every byte of a secret counts, however long it is; bcrypt
// would look at 72 of them, and end at a NUL.
func TestAttack41EveryByteOfASecretCounts(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp, long := p.Client("web"), p.Client("long")
		long.Secret = strings.Repeat("a long secret that another system made. ", 4)
		keepSecret(t, p, long.ID, long.Secret)
		post := p.Client("post", secretPost)
		for _, c := range []*providertest.RP{rp, long} {
			c.ClientCredentials().OK()
			for what, secret := range map[string]string{
				"a byte more":      c.Secret + "x",
				"much more":        c.Secret + strings.Repeat("junk", 50),
				"NUL and more":     c.Secret + "\x00x",
				"a space more":     c.Secret + " ",
				"a byte less":      c.Secret[:len(c.Secret)-1],
				"72 bytes of it":   (c.Secret + strings.Repeat("\x00", 72))[:72],
				"72 bytes, junk":   (c.Secret + strings.Repeat("x", 72))[:72] + "junk",
				"another case":     strings.ToUpper(c.Secret),
				"the last changed": c.Secret[:len(c.Secret)-1] + "~",
				"twice":            c.Secret + c.Secret,
			} {
				wrong := *c
				wrong.Secret = secret
				if a := wrong.ClientCredentials(); a.Status == http.StatusOK || a.Status >= http.StatusInternalServerError {
					t.Errorf("%s, %s: %s", c.ID, what, a)
				}
			}
		}
		a := p.Send(rawRequest(t, http.MethodPost, p.URL(web.PathToken), spent("client_id", post.ID, "client_secret", post.Secret+"x")))
		a.WantStatus(http.StatusUnauthorized).WantError("invalid_client")
	})
}

// keepSecret gives a client a secret that somebody else made.
func keepSecret(t *testing.T, p *providertest.P, id, secret string) {
	t.Helper()
	c, err := p.Store.Client(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(secret))
	c.Secrets = storage.Document([]storage.ClientSecret{{SHA256: sum[:]}})
	if err := p.Store.UpdateClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	p.Clock.Advance(5 * time.Second) // caches notice
}

// RFC 6749 section 2.3: a client proves itself in the one way that it registered;
// nothing in the URL counts, and two ways at once are none.
func TestAttack42OneRegisteredWayAndNoOther(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		byHeader, byBody, bySigning, public := p.Client("header"), p.Client("body", secretPost), p.SigningClient("signs"), p.Client("public", providertest.Public)
		request := func(query string, auth string, form ...string) *http.Request {
			r := rawRequest(t, http.MethodPost, p.URL(web.PathToken), spent(form...))
			r.URL.RawQuery = query
			if auth != "" {
				r.Header.Set("Authorization", auth)
			}
			return r
		}
		const kind = "client_assertion_type"
		jwt := "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
		inQuery := func(pairs ...string) string {
			form := spent(pairs...)
			form.Del("grant_type")
			form.Del("refresh_token")
			return form.Encode()
		}
		ways := map[string]*http.Request{
			"secret in the query":                 request(inQuery("client_id", byBody.ID, "client_secret", byBody.Secret), ""),
			"secret in the query, id in the body": request(inQuery("client_secret", byBody.Secret), "", "client_id", byBody.ID),
			"assertion in the query":              request(inQuery(kind, jwt, "client_assertion", bySigning.Assertion()), ""),
			"anything in the query":               request("x=1", basic(byHeader.ID, byHeader.Secret)),

			"header and body":                     request("", basic(byHeader.ID, byHeader.Secret), "client_id", byHeader.ID, "client_secret", byHeader.Secret),
			"header and assertion":                request("", basic(byHeader.ID, byHeader.Secret), kind, jwt, "client_assertion", bySigning.Assertion()),
			"body and assertion":                  request("", "", "client_id", bySigning.ID, "client_secret", byBody.Secret, kind, jwt, "client_assertion", bySigning.Assertion()),
			"header and half an assertion":        request("", basic(byHeader.ID, byHeader.Secret), kind, jwt),
			"two assertions":                      request("", "", kind, jwt, "client_assertion", bySigning.Assertion(), "client_assertion", bySigning.Assertion()),
			"two secrets":                         request("", "", "client_id", byBody.ID, "client_secret", byBody.Secret, "client_secret", byBody.Secret),
			"body, registered for the header":     request("", "", "client_id", byHeader.ID, "client_secret", byHeader.Secret),
			"nothing, registered for the header":  request("", "", "client_id", byHeader.ID),
			"header, registered for the body":     request("", basic(byBody.ID, byBody.Secret)),
			"nothing, registered for the body":    request("", "", "client_id", byBody.ID),
			"nothing, registered for keys":        request("", "", "client_id", bySigning.ID),
			"a secret, registered for keys":       request("", basic(bySigning.ID, "dsk_x")),
			"an empty secret, registered so":      request("", basic(bySigning.ID, "")),
			"a secret of a public client":         request("", basic(public.ID, "x")),
			"an empty one of a public client":     request("", basic(public.ID, "")),
			"bearer":                              request("", "Bearer "+byHeader.Secret, "client_id", byHeader.ID),
			"somebody's assertion with an own id": request("", "", "client_id", public.ID, kind, jwt, "client_assertion", bySigning.Assertion()),
		}
		// An assertion for a client of another method, by a key that is known here.
		for _, rp := range []*providertest.RP{byHeader, byBody, public} {
			as := *bySigning
			as.ID = rp.ID
			ways["an assertion, "+rp.ID] = request("", "", kind, jwt, "client_assertion", as.Assertion())
		}
		for what, r := range ways {
			a := p.Send(r)
			if code := a.JSON()["error"]; a.Status != http.StatusUnauthorized && a.Status != http.StatusBadRequest || code != "invalid_client" && code != "invalid_request" {
				t.Errorf("%s: %s, want invalid_client or invalid_request: nobody has proved who they are", what, a)
			}
		}
		for _, secret := range []string{byHeader.Secret, byBody.Secret} {
			if strings.Contains(p.Logs(), secret) {
				t.Error("a secret is in the log")
			}
		}
	})
}

// RFC 9700 section 4.15: nobody gets a client whose id is a person's sub, so that no
// token of a client's own is taken for that person's; what such a token is worth is
// told apart everywhere: no person, no proof, no session.
func TestAttack92AClientIsNeverTakenForAPerson(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		const api = "https://api.example"
		p.Resource(api, "read")
		ada := p.Person("ada")
		for what, id := range map[string]string{"her sub": ada.Sub, "another's": ada.Sub[:len(ada.Sub)-1] + "x", "its beginning": ident.SubPrefix + "x"} {
			in := clients.Registration{ClientID: id}
			in.GrantTypes = []string{"client_credentials"}
			if _, _, err := p.Clients.Create(t.Context(), in, events.ActorOperator); len(fault.All(err)) != 1 || fault.All(err)[0].Field != "client_id" {
				t.Errorf("a client with %s for its id: %v", what, err)
			}
		}
		// One that came another way, such as by a restored table, is nobody.
		planted, err := p.Store.Client(t.Context(), p.Client("planted").ID)
		if err != nil {
			t.Fatal(err)
		}
		planted.ID = ada.Sub
		if err := p.Store.CreateClient(t.Context(), planted); err != nil {
			t.Fatal(err)
		}
		keepSecret(t, p, ada.Sub, "a secret of hers")
		form := url.Values{"grant_type": {"client_credentials"}}
		p.Send(rawRequest(t, http.MethodPost, p.URL(web.PathToken), form, "Authorization", basic(ada.Sub, "a secret of hers"))).
			WantStatus(http.StatusUnauthorized).WantError("invalid_client")

		rp := p.Client("service", providertest.Scope("read"))
		browser := p.Browser().SignIn("ada")
		person := rp.Exchange(browser.Authorize(rp, "openid")).OK()
		for what, params := range map[string][]providertest.Param{"at the issuer": nil, "at a resource": {providertest.With("resource", api)}} {
			own := rp.ClientCredentials(params...).OK()
			claims := p.Verify(own.Access).Claims
			if claims["sub"] != rp.ID || claims["client_id"] != rp.ID {
				t.Errorf("%s: a client's own token says %v", what, claims)
			}
			told := rp.Introspect(own.Access).WantActive()
			if told["sub"] != rp.ID {
				t.Errorf("%s: introspection says %v", what, told)
			}
			for _, member := range []string{"acr", "amr", "auth_time", "sid", "gid", "username"} {
				if claims[member] != nil || told[member] != nil {
					t.Errorf("%s: a token of nobody has %s: %v, %v", what, member, claims, told)
				}
			}
			if a := p.Userinfo(own.Access); a.Status != http.StatusForbidden && a.Status != http.StatusUnauthorized || strings.Contains(string(a.Body), "sub") {
				t.Errorf("%s: userinfo %s", what, a)
			}
		}
		rp.ClientCredentials(providertest.With("scope", "openid")).WantStatus(http.StatusBadRequest).WantError("invalid_scope")
		if told := rp.Introspect(person.Access).WantActive(); told["sub"] != ada.Sub || told["acr"] == nil {
			t.Errorf("a person's token says %v", told)
		}
	})
}

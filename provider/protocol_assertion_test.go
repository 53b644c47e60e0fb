package provider_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// asserting is a token request that proves its client by this assertion alone.
func asserting(t *testing.T, p *providertest.P, assertion string, more ...string) *http.Request {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}}
	providertest.Asserting(assertion)(form)
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return rawRequest(t, http.MethodPost, p.URL(web.PathToken), form)
}

// wantRefusedAssertion wants that this assertion proves nobody; every refusal of a
// signed JWT reads alike.
func wantRefusedAssertion(t *testing.T, p *providertest.P, what, assertion string) {
	t.Helper()
	a := p.Send(asserting(t, p, assertion))
	if a.Status != http.StatusUnauthorized || a.JSON()["error"] != "invalid_client" || a.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("%s: %s, want invalid_client", what, a)
	}
	if strings.Contains(p.Logs(), assertion) {
		t.Errorf("%s: the assertion is in the log", what)
	}
}

// RFC 7523 section 3, OIDC Core section 9: a client signs who it is, with any
// algorithm that is allowed, and needs no client_id beside it (RFC 7521 section 4.2).
func TestAClientSignsWhoItIs(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		for _, alg := range []string{"ES256", "EdDSA", "Ed25519", "RS256", "PS256"} {
			key := providertest.NewSigningKey(t, alg, "k1")
			rp := p.Client("signs-"+alg, providertest.FirstParty, providertest.SignedBy(t, key))
			rp.Key, rp.Alg = key, alg
			if rp.Secret != "" {
				t.Errorf("%s: it has a secret too", alg)
			}
			tokens := rp.Exchange(p.Browser().SignIn("ada").Authorize(rp, "openid offline_access")).OK()
			rp.Refresh(tokens.Refresh).OK()
			access := rp.ClientCredentials().OK().Access
			rp.Introspect(access).WantActive()
			rp.Revoke(access).WantStatus(http.StatusOK)
			rp.Introspect(access).WantInactive()
			p.Send(asserting(t, p, rp.Assertion())).WantStatus(http.StatusOK)
		}
		rp := p.SigningClient("web")
		now := p.Clock.Now().Unix()
		for what, change := range map[string]func(*providertest.Draft){
			"typ JWT":                       providertest.Header("typ", "JWT"),
			"typ client-authentication+jwt": providertest.Header("typ", "client-authentication+jwt"),
			"no kid, as it has one key":     providertest.Header("kid", nil),
			"neither iat nor nbf":           func(d *providertest.Draft) { delete(d.Claims, "iat"); delete(d.Claims, "nbf") },
			"a clock ten seconds ahead":     func(d *providertest.Draft) { d.Claims["iat"], d.Claims["nbf"] = now+10, now+10 },
			"five minutes":                  providertest.Claim("exp", now+300),
			"a fraction of a second":        providertest.Claim("exp", float64(now)+0.5),
			"claims of its own":             providertest.Claim("scope", []string{"a"}),
			"a jti of any kind of text":     providertest.Claim("jti", "ü \x00 "+strings.Repeat("x", 1000)),
		} {
			if a := p.Send(asserting(t, p, rp.Assertion(change))); a.Status != http.StatusOK {
				t.Errorf("%s: %s", what, a)
			}
		}
	})
}

// RFC 7523 section 3: what every assertion must say, and what must be true of it.
func TestAssertionsThatProveNobody(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp, other := p.SigningClient("web"), p.SigningClient("other")
		stranger := providertest.NewSigningKey(t, "ES256", rp.Key.KID)
		now := p.Clock.Now().Unix()
		claim, header := providertest.Claim, providertest.Header
		for what, change := range map[string]func(*providertest.Draft){
			"no iss":                 claim("iss", nil),
			"another iss":            claim("iss", other.ID),
			"no sub":                 claim("sub", nil),
			"another sub":            claim("sub", other.ID),
			"both another's":         func(d *providertest.Draft) { d.Claims["iss"], d.Claims["sub"] = other.ID, other.ID },
			"an unknown client":      func(d *providertest.Draft) { d.Claims["iss"], d.Claims["sub"] = "nobody", "nobody" },
			"sub in another case":    claim("sub", "Web"),
			"sub is a list":          claim("sub", []string{rp.ID}),
			"no exp":                 claim("exp", nil),
			"exp is over":            claim("exp", now),
			"exp too far ahead":      claim("exp", now+301),
			"exp as text":            claim("exp", fmt.Sprint(now+60)),
			"exp null":               claim("exp", json.RawMessage("null")),
			"exp beyond all numbers": claim("exp", json.RawMessage("1e999")),
			"exp in another case":    func(d *providertest.Draft) { delete(d.Claims, "exp"); d.Claims["EXP"] = now + 60 },
			"iat a minute ahead":     claim("iat", now+60),
			"nbf a minute ahead":     claim("nbf", now+60),
			"no jti":                 claim("jti", nil),
			"an empty jti":           claim("jti", ""),
			"a jti that is a number": claim("jti", 1),
			"another key":            func(d *providertest.Draft) { d.Key = stranger },
			"another client's key":   func(d *providertest.Draft) { d.Key, d.Header["kid"] = other.Key, other.Key.KID },
			"an unknown kid":         header("kid", "unknown"),
			"typ of an access token": header("typ", "at+jwt"),
			"typ of a logout token":  header("typ", "logout+jwt"),
			"critical":               header("crit", []string{"exp"}),
			"unencoded payload":      func(d *providertest.Draft) { d.Header["b64"], d.Header["crit"] = false, []string{"b64"} },
			"RS256 of an EC key":     header("alg", "RS256"),
		} {
			wantRefusedAssertion(t, p, what, rp.Assertion(change))
		}
		good := rp.Assertion()
		parts := strings.Split(good, ".")
		for what, text := range map[string]string{
			"nothing":                 "",
			"two parts":               parts[0] + "." + parts[1],
			"four parts":              good + ".",
			"no signature":            parts[0] + "." + parts[1] + ".",
			"a line break":            parts[0] + ".\n" + parts[1] + "." + parts[2],
			"padding":                 good + "==",
			"a stray bit":             good[:len(good)-1] + string(rune(good[len(good)-1]+1)),
			"JSON serialization":      `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
			"an encrypted token":      "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.a.a.a.a",
			"a payload that is none":  rp.Key.Sign(t, map[string]any{"alg": "ES256", "kid": rp.Key.KID}, []byte("[]")),
			"two members of one name": rp.Key.Sign(t, map[string]any{"alg": "ES256", "kid": rp.Key.KID}, []byte(`{"sub":"other","sub":"web"}`)),
			"longer than is read":     rp.Assertion(claim("more", strings.Repeat("x", 8000))),
		} {
			a := p.Send(asserting(t, p, text))
			if a.Status == http.StatusOK || a.Status >= http.StatusInternalServerError {
				t.Errorf("%s: %s", what, a)
			}
		}
		p.Send(asserting(t, p, good)).WantStatus(http.StatusOK) // nothing of all that spent it
	})
}

// RFC 7521 section 4.2, RFC 7523 section 2.2: the type must be the JWT's, a client_id must be that of
// the assertion, and an assertion stands alone.
func TestTheParametersOfAnAssertion(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp, other, secret := p.SigningClient("web"), p.SigningClient("other"), p.Client("secret")
		p.Send(asserting(t, p, rp.Assertion(), "client_id", rp.ID)).WantStatus(http.StatusOK)
		for what, more := range map[string][]string{
			"another client_id":  {"client_id", other.ID},
			"an unknown one":     {"client_id", "nobody"},
			"SAML":               {"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
			"type in upper case": {"client_assertion_type", strings.ToUpper(clients.AssertionType)},
			"no type":            {"client_assertion_type", ""},
			"no assertion":       {"client_assertion", "", "client_id", rp.ID},
		} {
			a := p.Send(asserting(t, p, rp.Assertion(), more...))
			if a.WantError("invalid_client"); a.Status != http.StatusUnauthorized {
				t.Errorf("%s: %s", what, a)
			}
		}
		p.Send(asserting(t, p, rp.Assertion(), "client_id", rp.ID, "client_secret", "dsk_x")).WantStatus(http.StatusBadRequest).WantError("invalid_request")
		both := asserting(t, p, rp.Assertion())
		both.Header.Set("Authorization", basic(secret.ID, secret.Secret))
		p.Send(both).WantStatus(http.StatusBadRequest).WantError("invalid_request")
		// The key is the registered proof, and the only one.
		for what, r := range map[string]*http.Request{
			"client_id alone":           rawRequest(t, http.MethodPost, p.URL(web.PathToken), spent("client_id", rp.ID)),
			"a secret":                  rawRequest(t, http.MethodPost, p.URL(web.PathToken), spent("client_id", rp.ID, "client_secret", "dsk_x")),
			"an empty secret by header": rawRequest(t, http.MethodPost, p.URL(web.PathToken), spent(), "Authorization", basic(rp.ID, "")),
		} {
			if a := p.Send(r); a.Status != http.StatusUnauthorized || a.JSON()["error"] != "invalid_client" {
				t.Errorf("%s: %s", what, a)
			}
		}
		forged := *rp
		forged.ID = secret.ID
		wantRefusedAssertion(t, p, "an assertion of a client with a secret", forged.Assertion())
	})
}

// OIDC Core section 10.1, RFC 7517 section 4: which key counts.
func TestTheKeysOfAClient(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		one, two := providertest.NewSigningKey(t, "ES256", "one"), providertest.NewSigningKey(t, "ES256", "two")
		rsa := providertest.NewSigningKey(t, "RS256", "rsa")
		rp := p.Client("web", providertest.SignedBy(t, one, two, rsa))
		rp.Key, rp.Alg = one, "ES256"
		p.Send(asserting(t, p, rp.Assertion())).WantStatus(http.StatusOK)
		with := func(key *providertest.SigningKey, kid any, alg string) string {
			return rp.Assertion(func(d *providertest.Draft) { d.Key = key }, providertest.Header("kid", kid), providertest.Header("alg", alg))
		}
		p.Send(asserting(t, p, with(two, "two", "ES256"))).WantStatus(http.StatusOK)
		p.Send(asserting(t, p, with(rsa, nil, "PS256"))).WantStatus(http.StatusOK) // the only one of its kind
		wantRefusedAssertion(t, p, "no kid, where two keys would do", with(one, nil, "ES256"))
		wantRefusedAssertion(t, p, "the kid of the other key", with(one, "two", "ES256"))

		// The registered algorithm is the only one; keys for encryption are none.
		patch := func(text string) {
			t.Helper()
			if _, err := p.Clients.Update(t.Context(), rp.ID, []byte(text), events.ActorOperator); err != nil {
				t.Fatal(err)
			}
		}
		patch(`{"token_endpoint_auth_signing_alg":"PS256"}`)
		wantRefusedAssertion(t, p, "another algorithm than registered", with(one, "one", "ES256"))
		wantRefusedAssertion(t, p, "RS256 in the place of PS256", with(rsa, "rsa", "RS256"))
		p.Send(asserting(t, p, with(rsa, "rsa", "PS256"))).WantStatus(http.StatusOK)

		encrypts := two.JWK(t)
		encrypts["use"] = "enc"
		set, err := json.Marshal(map[string]any{"keys": []any{one.JWK(t), encrypts}})
		if err != nil {
			t.Fatal(err)
		}
		patch(`{"token_endpoint_auth_signing_alg":null,"jwks":` + string(set) + `}`)
		p.Send(asserting(t, p, with(one, "one", "ES256"))).WantStatus(http.StatusOK)
		wantRefusedAssertion(t, p, "a key for encryption", with(two, "two", "ES256"))
		wantRefusedAssertion(t, p, "a key that was taken away", with(rsa, "rsa", "PS256"))
	})
}

// A client that moves from a secret to keys has no secret any more, nor when it
// moves back.
func TestAClientMovesToKeys(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp, key := p.Client("web"), providertest.NewSigningKey(t, "ES256", "k")
		rp.ClientCredentials().OK()
		update := func(patch string) {
			t.Helper()
			if _, err := p.Clients.Update(t.Context(), rp.ID, []byte(patch), events.ActorOperator); err != nil {
				t.Fatal(err)
			}
		}
		update(`{"token_endpoint_auth_method":"private_key_jwt","jwks":` + string(providertest.JWKS(t, key)) + `}`)
		rp.ClientCredentials().WantStatus(http.StatusUnauthorized).WantError("invalid_client")
		signs := *rp
		signs.Secret, signs.Key, signs.Alg = "", key, "ES256"
		signs.ClientCredentials().OK()
		update(`{"token_endpoint_auth_method":"client_secret_basic"}`)
		rp.ClientCredentials().WantStatus(http.StatusUnauthorized).WantError("invalid_client")
		signs.ClientCredentials().WantStatus(http.StatusUnauthorized).WantError("invalid_client")
	})
}

// A store that cannot remember an assertion lets it prove nothing.
func TestAnAssertionThatCannotBeSpentIs503(t *testing.T) {
	t.Parallel()
	providertest.Databases(t, func(t *testing.T, database string) {
		p := providertest.Start(t, providertest.On(database))
		rp := p.SigningClient("web")
		rp.ClientCredentials().OK()
		if err := p.Store.Close(); err != nil {
			t.Fatal(err)
		}
		rp.ClientCredentials().WantStatus(http.StatusServiceUnavailable)
	})
}

// RFC 8414 section 2: each endpoint that takes assertions names the method and the
// algorithms in the metadata, and neither none nor a MAC.
func TestMetadataNamesAssertions(t *testing.T) {
	t.Parallel()
	metadata := providertest.Start(t).Get(web.PathOpenIDConfiguration).JSON()
	for _, endpoint := range []string{"token", "introspection", "revocation"} {
		methods, _ := metadata[endpoint+"_endpoint_auth_methods_supported"].([]any)
		if !slices.Contains(methods, any("private_key_jwt")) {
			t.Errorf("%s: methods %v", endpoint, methods)
		}
		if algs := fmt.Sprint(metadata[endpoint+"_endpoint_auth_signing_alg_values_supported"]); algs != "[ES256 EdDSA Ed25519 PS256 RS256]" {
			t.Errorf("%s: algorithms %s", endpoint, algs)
		}
	}
}

// An assertion that was used at one endpoint is used up at all.
func TestAnAssertionIsForOneRequestOfAnyEndpoint(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.SigningClient("web")
		access := rp.ClientCredentials().OK().Access
		once := providertest.Asserting(rp.Assertion())
		rp.Introspect(access, once).WantActive()
		rp.Revoke(access, once).WantStatus(http.StatusUnauthorized).WantError("invalid_client")
		p.Send(rp.TokenRequest(url.Values{"grant_type": {"client_credentials"}}, once)).WantStatus(http.StatusUnauthorized).WantError("invalid_client")
		rp.Introspect(access).WantActive()
	})
}

// RFC 7523 sections 2.2 and 4, OIDC Core section 9: the examples, with keys of
// ours, as the signatures are left out there.
func TestTheExamplesOfAssertions(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		key := providertest.NewSigningKey(t, "RS256", "22")
		rp := p.Client("s6BhdRkqt3", providertest.FirstParty, providertest.SignedBy(t, key), func(r *clients.Registration) { r.RequirePKCE = new(bool) })
		rp.Key, rp.Alg = key, "RS256"
		ask := func(body string) *providertest.Answer {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL(web.PathToken), strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			return p.Send(r)
		}
		const jwtBearer = "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion="
		browser := p.Browser().SignIn("ada")
		code := func() string {
			return "grant_type=authorization_code&redirect_uri=" + url.QueryEscape(rp.RedirectURI) + "&code=" +
				browser.Authorize(rp, "openid", providertest.Without("code_challenge"), providertest.Without("code_challenge_method"))
		}
		ask(code() + "&" + jwtBearer + rp.Assertion()).WantStatus(http.StatusOK)                      // RFC 7523 section 2.2
		ask(code() + "&client_id=s6BhdRkqt3&" + jwtBearer + rp.Assertion()).WantStatus(http.StatusOK) // OIDC Core section 9

		// RFC 7523 section 4 is an assertion about a person: it proves no client.
		ask("grant_type=client_credentials&" + jwtBearer + key.Sign(t, map[string]any{"alg": "RS256", "kid": "22"},
			[]byte(`{"iss":"https://jwt-idp.example.com","sub":"mailto:mike@example.com","aud":"https://jwt-rp.example.net","nbf":1300815780,"exp":1300819380,"http://claims.example.com/member":true}`))).
			WantStatus(http.StatusUnauthorized).WantError("invalid_client")
		ask("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=" + rp.Assertion() + "&" + jwtBearer + rp.Assertion()).
			WantStatus(http.StatusBadRequest).WantError("unsupported_grant_type")
	})
}

// What is spent is forgotten once nothing could use it again.
func TestSpentAssertionsAreSwept(t *testing.T) {
	t.Parallel()
	providertest.Databases(t, func(t *testing.T, database string) {
		p := providertest.Start(t, providertest.On(database))
		rp := p.SigningClient("web")
		once := rp.Assertion(providertest.Claim("exp", p.Clock.Now().Unix()+300))
		p.Send(asserting(t, p, once)).WantStatus(http.StatusOK)
		sweep := func(want int64) {
			t.Helper()
			if _, err := p.Store.Sweep(t.Context(), storage.At(p.Clock.Now()), 100); err != nil {
				t.Fatal(err)
			}
			if n := providertest.CountRows(t, database)["spent_ids"]; n != want {
				t.Errorf("%d ids are kept, want %d", n, want)
			}
		}
		p.Clock.Advance(299 * time.Second)
		sweep(1)
		wantRefusedAssertion(t, p, "in its last second", once)
		p.Clock.Advance(2 * time.Minute)
		sweep(0)
		wantRefusedAssertion(t, p, "after it was forgotten", once)
	})
}

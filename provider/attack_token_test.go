package provider_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// wantWorthless asks that a text opens nothing: not userinfo, not introspection, for
// which the caller would be told if it were good, and not as the caller's credential.
// Revoking it changes nothing.
func wantWorthless(t *testing.T, p *providertest.P, rp *providertest.RP, what, token string) {
	t.Helper()
	r := rawRequest(t, http.MethodPost, p.URL(web.PathUserinfo), url.Values{"access_token": {token}})
	if a := p.Send(r); a.Status != http.StatusUnauthorized || !strings.Contains(a.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Errorf("%s: userinfo: %s, want invalid_token", what, a)
	}
	if a := rp.Introspect(token); a.Status != http.StatusOK || string(a.Body) != `{"active":false}` {
		t.Errorf("%s: introspection: %s, want that it is not active", what, a)
	}
	for _, path := range []string{web.PathIntrospect, web.PathRevoke} {
		r := rawRequest(t, http.MethodPost, p.URL(path), url.Values{"token": {token}})
		r.Header["Authorization"] = []string{"Bearer " + strings.NewReplacer("\n", "", "\r", "").Replace(token)}
		if a := p.Send(r); a.Status != http.StatusUnauthorized {
			t.Errorf("%s, for the caller's credential at %s: %s, want 401", what, path, a)
		}
	}
}

// claimed signs claims as access tokens are signed: what the provider itself would
// say, if it said that.
func claimed(t *testing.T, p *providertest.P, typ string, claims map[string]any) string {
	t.Helper()
	return must(p.Keys.Sign(t.Context(), "ES256", typ, must(json.Marshal(claims))))
}

// changed is a copy of claims with one of them changed.
func changed(claims map[string]any, name string, value any) map[string]any {
	out := maps.Clone(claims)
	out[name] = value
	return out
}

// RFC 9068 section 4: a token is what its type says. An ID token is for the client,
// and opens nothing, whatever it is made to say.
func TestAttack30AnIDTokenIsNoAccessToken(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		tokens := signedIn(p.Browser().SignIn("ada"), rp)
		claims := p.Verify(tokens.Access).Claims
		if good := claimed(t, p, "at+jwt", changed(claims, "jti", "mine")); p.Userinfo(good).Status != http.StatusOK {
			t.Fatal("not even what is right is taken")
		}
		wantWorthless(t, p, rp, "an ID token", tokens.ID)
		for _, typ := range []string{"", "JWT", "jwt", "logout+jwt", "application/at+jwt", "AT+JWT", "at+jwt "} {
			wantWorthless(t, p, rp, "an access token's claims in a token of type "+typ, claimed(t, p, typ, claims))
		}
		wantAlive(t, p, rp, tokens)
	})
}

// RFC 9068 section 4: a token is for its audience. For another one it is no token
// here, nor is it a hint of who signs in or out, nor a proof of who a client is.
func TestAttack31ATokenIsForItsAudience(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		p.Resource(carsAPI, "cars:read")
		rp := p.Client("web", providertest.FirstParty, providertest.Scope("cars:read"), bye)
		browser := p.Browser().SignIn("ada")
		tokens := rp.Exchange(browser.Authorize(rp, "openid offline_access cars:read", resource(p.Issuer), resource(carsAPI)), resource(carsAPI)).OK()
		p.Userinfo(tokens.Access).WantStatus(http.StatusUnauthorized).WantError("invalid_token")
		mine := rp.Refresh(tokens.Refresh, resource(p.Issuer)).OK()
		claims := p.Verify(mine.Access).Claims
		for _, aud := range []any{"", p.Issuer + "/", strings.ToUpper(p.Issuer), p.Issuer + "/oauth2/userinfo", "web", []string{p.Issuer}, []string{p.Issuer, carsAPI}, nil} {
			if a := p.Userinfo(claimed(t, p, "at+jwt", changed(claims, "aud", aud))); a.Status != http.StatusUnauthorized {
				t.Errorf("for %v: %s", aud, a)
			}
		}
		for _, iss := range []any{"", p.Issuer + "/", "https://evil.example", nil} {
			wantWorthless(t, p, rp, "of another issuer", claimed(t, p, "at+jwt", changed(claims, "iss", iss)))
		}
		for _, token := range []string{tokens.Access, mine.Access} {
			browser.Ask(rp, "openid", providertest.With("id_token_hint", token)).WantError("invalid_request")
			browser.StopAt(web.PathSignOut).Get(endSessionURL(p, "id_token_hint", token)).WantStatus(http.StatusSeeOther)
			assertion := url.Values{"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {token}, "client_id": {rp.ID}, "token": {mine.Refresh}}
			for _, path := range []string{web.PathToken, web.PathIntrospect, web.PathRevoke} {
				p.Send(rawRequest(t, http.MethodPost, p.URL(path), assertion)).WantStatus(http.StatusUnauthorized).WantError("invalid_client")
			}
		}
		if !isSignedIn(t, browser, rp) {
			t.Error("an access token signed somebody out")
		}
		wantAlive(t, p, rp, mine)
	})
}

// forgedTokens are tokens that say what a good one says, or more, under every signature
// but ours.
func forgedTokens(t *testing.T, p *providertest.P, good string) map[string]string {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	parts := strings.Split(good, ".")
	kid, _ := p.Verify(good).Header["kid"].(string)
	own := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	jwk := must((&jose.JSONWebKey{Key: own.Public(), KeyID: kid, Algorithm: "ES256", Use: "sig"}).MarshalJSON())
	header := func(members string) string { return encode([]byte(`{` + members + `,"typ":"at+jwt"}`)) }
	signed := func(members string) string {
		input := header(members) + "." + parts[1]
		sum := sha256.Sum256([]byte(input))
		r, s, err := ecdsa.Sign(rand.Reader, own, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return input + "." + encode(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
	}
	hashed := func(members string, key []byte) string {
		input := header(members) + "." + parts[1]
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(input))
		return input + "." + encode(mac.Sum(nil))
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(p.Get(web.PathJWKS).WantStatus(http.StatusOK).Body, &set); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{
		"none":                        header(`"alg":"none"`) + "." + parts[1] + ".",
		"nOnE with our kid":           header(`"alg":"nOnE","kid":"`+kid+`"`) + "." + parts[1] + ".",
		"none under our header":       parts[0] + "." + parts[1] + ".",
		"a signature of zeros":        parts[0] + "." + parts[1] + "." + encode(make([]byte, 64)),
		"another payload":             parts[0] + "." + encode([]byte(strings.Replace(string(must(base64.RawURLEncoding.DecodeString(parts[1]))), `"scope":"openid`, `"scope":"openid email`, 1))) + "." + parts[2],
		"a key of their own, our kid": signed(`"alg":"ES256","kid":"` + kid + `"`),
		"an embedded key":             signed(`"alg":"ES256","kid":"` + kid + `","jwk":` + string(jwk)),
		"an embedded key, no kid":     signed(`"alg":"ES256","jwk":` + string(jwk)),
		"jku":                         signed(`"alg":"ES256","kid":"` + kid + `","jku":"https://evil.example/jwks.json"`),
		"x5u":                         signed(`"alg":"ES256","kid":"` + kid + `","x5u":"https://evil.example/chain.pem"`),
		"a kid that is a path":        signed(`"alg":"ES256","kid":"../../../../dev/null"`),
		"a kid that is SQL":           signed(`"alg":"ES256","kid":"x' UNION SELECT public FROM keys --"`),
		"an unknown crit":             signed(`"alg":"ES256","kid":"` + kid + `","crit":["exp"],"exp":1`),
		"two algorithms":              signed(`"alg":"none","alg":"ES256","kid":"` + kid + `"`),
		"JSON serialization":          `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"a JWE of the claims":         encode([]byte(`{"alg":"dir","enc":"A128GCM","kid":"`+kid+`"}`)) + ".." + encode(make([]byte, 12)) + "." + parts[1] + "." + encode(make([]byte, 16)),
		"a JWE that costs much":       encode([]byte(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"AAAA"}`)) + ".AA.AA.AA.AA",
		"two claims of one name": must(p.Keys.Sign(t.Context(), "ES256", "at+jwt",
			[]byte(strings.Replace(string(must(base64.RawURLEncoding.DecodeString(parts[1]))), `{`, `{"client_id":"x",`, 1)))),
	}
	for _, key := range set.Keys {
		public := must(x509.MarshalPKIXPublicKey(key.Key.(crypto.PublicKey)))
		name := "HMAC by our public key " + key.Algorithm
		if _, ok := key.Key.(*rsa.PublicKey); ok {
			name = "HMAC by our public RSA key"
		}
		out[name] = hashed(`"alg":"HS256","kid":"`+key.KeyID+`"`, public)
		out[name+", as JSON"] = hashed(`"alg":"HS256","kid":"`+key.KeyID+`"`, must(key.MarshalJSON()))
	}
	return out
}

// RFC 8725 sections 2 and 3: who signed a token is not for the token to say.
func TestAttack32ForgedTokensOpenNothing(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		tokens := signedIn(p.Browser().SignIn("ada"), rp)
		forged := forgedTokens(t, p, tokens.Access)
		if len(forged) < 20 {
			t.Errorf("only %d forged tokens", len(forged))
		}
		for what, token := range forged {
			wantWorthless(t, p, rp, what, token)
			wantOver(t, rp.Revoke(token))
		}
		wantAlive(t, p, rp, tokens)
	})
}

// A token has one spelling (ZITADEL CVE-2026-27840): otherwise one that was revoked,
// or was seen before, comes back in another.
func TestAttack33EveryOtherSpellingIsWorthless(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		tokens := signedIn(p.Browser().SignIn("ada"), rp)
		good := tokens.Access
		rp.Introspect(good).WantActive() // it is in the cache
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		for i := range good {
			flipped := "A"
			if at := strings.IndexByte(alphabet, good[i]); at >= 0 {
				flipped = string(alphabet[at^1]) // the last bit: of the last character of a part it carries nothing
			}
			for _, other := range []string{good[:i] + flipped + good[i+1:], good[:i]} {
				if other == "" {
					continue
				}
				if a := rp.Introspect(other); string(a.Body) != `{"active":false}` {
					t.Errorf("character %d of %d: %s", i, len(good), a)
				}
			}
		}
		parts := strings.Split(good, ".")
		for what, other := range map[string]string{
			"a newline inside the signature": good[:len(good)-5] + "\n" + good[len(good)-5:],
			"a newline inside the header":    good[:5] + "\r\n" + good[5:],
			"a newline at the end":           good + "\n",
			"padding":                        good + "==",
			"padded parts":                   parts[0] + "=." + parts[1] + "=." + parts[2] + "=",
			"the other alphabet":             strings.NewReplacer("-", "+", "_", "/").Replace(good) + "",
			"a space before":                 " " + good,
			"a part more":                    good + "." + parts[2],
			"a dot more":                     good + ".",
			"twice":                          good + good,
			"percent-encoded":                strings.Replace(good, ".", "%2E", 1),
			"NUL":                            good + "\x00",
		} {
			if other == good {
				continue // this one has no - and no _
			}
			a := rp.Introspect(other)
			if a.Status == http.StatusBadRequest && what == "NUL" { // refused as text that no database keeps
				continue
			}
			if string(a.Body) != `{"active":false}` {
				t.Errorf("%s: %s", what, a)
			}
		}
		wantOver(t, rp.Revoke(good[:len(good)-1]))
		wantAlive(t, p, rp, tokens)
	})
}

// RFC 9068 section 4: a token lives from iat to exp. Two machines' clocks may be
// apart by ten seconds, which lets a token be early, never late.
func TestAttack34TokensOutOfTheirTimeAreWorthless(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		tokens := signedIn(p.Browser().SignIn("ada"), rp)
		claims, now := p.Verify(tokens.Access).Claims, p.Clock.Now()
		at := func(iat, exp time.Duration) string {
			in := changed(claims, "iat", now.Add(iat).Unix())
			return claimed(t, p, "at+jwt", changed(in, "exp", now.Add(exp).Unix()))
		}
		for _, c := range []struct{ iat, exp time.Duration }{
			{0, 0}, {-time.Hour, -time.Second}, {-time.Hour, -365 * 24 * time.Hour}, {11 * time.Second, time.Hour}, {time.Hour, 2 * time.Hour}, {365 * 24 * time.Hour, 366 * 24 * time.Hour},
		} {
			wantWorthless(t, p, rp, "made after "+c.iat.String()+", over after "+c.exp.String(), at(c.iat, c.exp))
		}
		for _, exp := range []any{nil, 0, -1, "never", 1e300, []int{1}} {
			wantWorthless(t, p, rp, "exp of another kind", claimed(t, p, "at+jwt", changed(claims, "exp", exp)))
		}
		for _, c := range []struct{ iat, exp time.Duration }{{0, time.Second}, {10 * time.Second, time.Minute}} {
			good := at(c.iat, c.exp)
			p.Userinfo(good).WantStatus(http.StatusOK)
			rp.Introspect(good).WantActive()
		}
		p.Clock.Advance(10 * time.Minute)
		wantWorthless(t, p, rp, "a token seen before, ten minutes later", tokens.Access)
	})
}

// RFC 8707 section 2: an audience is compared as it stands. What begins like one, or
// means the same to some parser, is another.
func TestAttack81AnAudienceIsMatchedExactly(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		const v1 = "https://api.example/v1"
		cars := p.Client("cars")
		api(t, p, v1, "jwt", cars)
		p.Resource("https://api.example/admin", "admin:read")
		rp := p.Client("web", providertest.FirstParty, providertest.Scope("api:read"))
		browser := p.Browser().SignIn("ada")
		tokens := rp.Exchange(browser.Authorize(rp, "openid offline_access api:read", resource(v1), resource(p.Issuer)), resource(v1)).OK()
		cars.Introspect(tokens.Access).WantActive()
		claims := p.Verify(tokens.Access).Claims
		for _, other := range []string{
			v1 + "/", v1 + "/../admin", v1 + "/x", v1 + "?x", v1 + "?", v1 + "#", v1 + "#x", v1 + "%2F..%2Fadmin", "https://api.example/v", "https://api.example", "https://api.example/admin",
			"https://user@api.example/v1", "https://api.example:443/v1", "https://API.example/v1", "HTTPS://api.example/v1", "http://api.example/v1", "//api.example/v1", " " + v1, v1 + " ", v1 + "\n",
		} {
			browser.Ask(rp, "openid api:read", resource(other)).WantError("invalid_target")
			rp.Refresh(tokens.Refresh, resource(other)).WantStatus(http.StatusBadRequest).WantError("invalid_target")
			rp.ClientCredentials(resource(other)).WantStatus(http.StatusBadRequest).WantError("invalid_target")
			cars.Introspect(claimed(t, p, "at+jwt", changed(claims, "aud", other))).WantInactive()
		}
		wantOver(t, rp.Revoke(tokens.Access))
		cars.Introspect(tokens.Access).WantInactive()
		cars.Introspect(rp.Refresh(tokens.Refresh, resource(v1)).OK().Access).WantActive()
	})
}

package provider_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// claimsParam asks for claims by their names (OIDC Core section 5.5).
func claimsParam(text string) providertest.Param { return providertest.With("claims", text) }

// about are the claims of an ID token or a userinfo answer that are about the person,
// as JSON.
func about(t *testing.T, got map[string]any) string {
	t.Helper()
	out := map[string]any{}
	for name, value := range got {
		if clients.ScopeOf(name) != "" {
			out[name] = value
		}
	}
	text, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// OIDC Core section 5.5: claims are asked for by their names, for userinfo, for the ID
// token or both, with null, essential, value or values; what is unknown is ignored.
func TestClaimsAreAnsweredByTheirNames(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		p.Person("ada", everything)
		browser := p.Browser().SignIn("ada")
		at := p.Clock.Now().Unix()
		updated, err := json.Marshal(at)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			scope, claims     string
			userinfo, idToken string
		}{
			{"openid", `{"userinfo":{"given_name":{"essential":true},"nickname":null,"email":{"essential":true},"email_verified":{"essential":true},"picture":null,
				"http://example.info/claims/groups":null},"id_token":{"auth_time":{"essential":true},"acr":{"values":["urn:mace:incommon:iap:silver"]}}}`, // the specification's own example
				`{"email":"ada@example.com","email_verified":true,"given_name":"Ada","nickname":"A","picture":"https://ada.example/a.png"}`, `{}`},
			{"openid", `{}`, `{}`, `{}`},
			{"openid", `{"userinfo":{},"id_token":{}}`, `{}`, `{}`},
			{"openid", `{"userinfo":null,"id_token":null}`, `{}`, `{}`},
			{"openid", `{"userinfo":{"name":{}}}`, `{"name":"Ada"}`, `{}`},
			{"openid", `{"id_token":{"name":null,"birthdate":{"essential":false},"phone_number_verified":null}}`, `{}`, `{"birthdate":"1815-12-10","name":"Ada","phone_number_verified":true}`},
			{"openid", `{"id_token":{"address":null},"userinfo":{"updated_at":null}}`, `{"updated_at":` + string(updated) + `}`,
				`{"address":{"country":"GB","formatted":"1 St\nLondon","locality":"London","postal_code":"W1","region":"L","street_address":"1 St"}}`},
			{"openid email", `{"userinfo":{"locale":null}}`, `{"email":"ada@example.com","email_verified":true,"locale":"sv-SE"}`, `{}`},
			{"openid", `{"userinfo":{"email":{"value":"ada@example.com"},"locale":{"values":["sv","sv-SE"]},"email_verified":{"value":true},"updated_at":{"value":` + string(updated) + `}}}`,
				`{"email":"ada@example.com","email_verified":true,"locale":"sv-SE","updated_at":` + string(updated) + `}`, `{}`},
			{"openid", `{"userinfo":{"email":{"value":"eve@example.com"},"locale":{"values":["en","fr"],"essential":true},"email_verified":{"value":false},"name":{"value":7}}}`, `{}`, `{}`},
			{"openid", `{"userinfo":{"family_name":{"essential":true,"reason":"x"},"family_name#sv":null,"family":null,"Name":null,"sub":null,"groups":null},"other":{"email":null}}`, `{"family_name":"Lovelace"}`, `{}`},
			{"openid", `{"id_token":{"iss":{"value":"https://evil.example"},"aud":null,"exp":{"value":1},"amr":null,"sid":null,"nonce":null}}`, `{}`, `{}`},
			{"email", `{"userinfo":{"name":null}`, "", ""}, // no OpenID request: the parameter means nothing
		} {
			tokens := rp.Exchange(browser.Authorize(rp, c.scope, claimsParam(c.claims))).OK()
			if c.userinfo == "" {
				p.Userinfo(tokens.Access).WantStatus(http.StatusForbidden)
				continue
			}
			for range 2 { // at the first, and after a refresh
				if got := about(t, p.Userinfo(tokens.Access).WantStatus(http.StatusOK).JSON()); got != c.userinfo {
					t.Errorf("%s %s: userinfo says\n%s, want\n%s", c.scope, c.claims, got, c.userinfo)
				}
				id := p.Verify(tokens.ID).Claims
				if got := about(t, id); got != c.idToken || id["iss"] != p.Issuer || id["aud"] != rp.ID {
					t.Errorf("%s %s: the ID token says\n%s, want\n%s", c.scope, c.claims, got, c.idToken)
				}
				tokens = rp.Refresh(tokens.Refresh).OK()
			}
		}
	})
}

// OIDC Core section 5.5: what cannot be read is refused, and the error says where.
func TestClaimsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		browser := p.Browser().SignIn("ada")
		browser.Authorize(rp, "openid")
		for text, where := range map[string]string{
			`{`: "", `[]`: "", `"x"`: "", `null`: "", `{} {}`: "", `{"userinfo":{"name":null,"name":null}}`: "name", `{"userinfo":{},"userinfo":{}}`: "userinfo",
			`{"userinfo":[]}`: "userinfo", `{"id_token":"name"}`: "id_token", `{"id_token":{"name":true}}`: "id_token.name", `{"id_token":{"name":"Ada"}}`: "id_token.name",
			`{"id_token":{"name":{"essential":"yes"}}}`: "essential", `{"id_token":{"name":{"values":"Ada"}}}`: "values", `{"id_token":{"name":{"value":1e999}}}`: "value",
			`{"id_token":{"name":{"value":"\u0000"}}}`: "value", `{"id_token":{"address":{"value":{"a":["\u0000"]}}}}`: "value",
			`{"id_token":{"acr":{"value":1}}}`: "acr", `{"id_token":{"sub":{"value":1}}}`: "sub", `{"userinfo":{"sub":{"values":["1","2","3","4","5","6","7","8","9"]}}}`: "sub",
			`{"x":` + strings.Repeat(`{"x":`, 20) + `1` + strings.Repeat(`}`, 21): "nested",
		} {
			arrival := browser.Ask(rp, "openid", claimsParam(text))
			arrival.WantError("invalid_request")
			description := arrival.Params.Get("error_description")
			wantPlainText(t, description)
			if !strings.Contains(description, "claims") || !strings.Contains(description, where) {
				t.Errorf("%s: %q, want claims and %q", text, description, where)
			}
		}
		browser.Ask(rp, "openid", claimsParam(`{"x":"`+strings.Repeat("x", 4096)+`"}`)).WantPage(http.StatusBadRequest)
	})
}

// OIDC Core sections 3.1.2.4 and 5.5: a person agrees to each claim, by its name or by
// the scope that stands for it, and is asked again for another one only.
func TestConsentCoversClaims(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web")
		p.Person("ada", everything)
		browser := p.Browser().SignIn("ada")
		page := func(claims, scope string) string {
			t.Helper()
			at := browser.Next(browser.Get(rp.AuthorizationURL(scope, claimsParam(claims), providertest.With("ui_locales", "en"))))
			if !strings.Contains(at, web.PathConsent) {
				return ""
			}
			return string(browser.Get(at).WantStatus(http.StatusOK).Body)
		}
		browser.Authorize(rp, "openid email")
		const wanted = "See these details about you"
		if shown := page(`{"userinfo":{"birthdate":null,"email":null}}`, "openid"); !strings.Contains(shown, wanted) || !strings.Contains(shown, "date of birth") {
			t.Errorf("a claim of no scope: %s", shown)
		}
		if shown := page(`{"userinfo":{"email":null}}`, "openid"); shown != "" {
			t.Errorf("a claim of a scope that was agreed to: %s", shown)
		}
		if shown := page(`{"userinfo":{"name":null}}`, "openid profile"); strings.Contains(shown, wanted) || !strings.Contains(shown, "See your profile") {
			t.Errorf("a claim of a scope that is asked for is no line of its own: %s", shown)
		}
		all := []string{}
		for _, scope := range clients.OIDCScopes() {
			for _, name := range clients.ClaimsOf(scope) {
				all = append(all, `"`+name+`":null`)
			}
		}
		if shown := page(`{"id_token":{`+strings.Join(all, ",")+`}}`, "openid"); strings.Count(shown, ", ") < len(all)-3 {
			t.Errorf("all claims: %s", shown)
		}
		silent := providertest.With("prompt", "none")
		born := claimsParam(`{"userinfo":{"birthdate":null}}`)
		browser.Ask(rp, "openid", born, silent).WantError("consent_required")
		tokens := rp.Exchange(browser.Authorize(rp, "openid", born)).OK()
		if got := about(t, p.Userinfo(tokens.Access).JSON()); got != `{"birthdate":"1815-12-10"}` {
			t.Errorf("userinfo says %s", got)
		}
		browser.Authorize(rp, "openid", born, silent)
		browser.Authorize(rp, "openid", claimsParam(`{"id_token":{"birthdate":null}}`), silent)
		browser.Ask(rp, "openid", claimsParam(`{"userinfo":{"birthdate":null,"gender":null}}`), silent).WantError("consent_required")

		refused := p.Browser().SignIn("bob").Deny()
		refused.Ask(rp, "openid", born).WantError("access_denied")
	})
}

// A client learns by the name of a claim no more than by a scope: the operator's
// registration bounds both, also later.
func TestClaimsKeepToTheRegisteredScopes(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty, func(r *clients.Registration) { r.Scope = "openid profile" })
		browser := p.Browser().SignIn("ada")
		tokens := rp.Exchange(browser.Authorize(rp, "openid", claimsParam(`{"userinfo":{"name":null,"email":null},"id_token":{"name":null,"email":null}}`))).OK()
		for what, got := range map[string]map[string]any{"userinfo": p.Userinfo(tokens.Access).JSON(), "ID token": p.Verify(tokens.ID).Claims} {
			if got := about(t, got); got != `{"name":"Ada"}` {
				t.Errorf("%s says %s, want the name alone", what, got)
			}
		}
		if _, err := p.Clients.Update(t.Context(), rp.ID, []byte(`{"scope":"openid"}`), events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		p.Clock.Advance(4 * time.Second) // caches notice
		if got := about(t, p.Userinfo(tokens.Access).JSON()); got != `{}` {
			t.Errorf("userinfo says %s, when the scope was taken from the client", got)
		}
		if got := about(t, p.Verify(rp.Refresh(tokens.Refresh).OK().ID).Claims); got != `{}` {
			t.Errorf("the refreshed ID token says %s, when the scope was taken from the client", got)
		}
	})
}

// OIDC Core section 5.5.1.1: an essential acr must be met, known or not; a voluntary
// one is carried if it holds. acr_values are alternatives, of which a known one must
// be met (RFC 9470 section 5); the client's default_acr_values hold where neither says
// anything (Dynamic Client Registration section 2).
func TestACRIsMetOrRefused(t *testing.T) {
	t.Parallel()
	const unmet = "unmet_authentication_requirements"
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		strict := p.Client("strict", providertest.FirstParty, func(r *clients.Registration) { r.DefaultACRValues = []string{"phr", "aal2"} })
		easy := p.Client("easy", providertest.FirstParty, func(r *clients.Registration) { r.DefaultACRValues = []string{"aal2", "aal1"} })
		browser := p.Browser().SignIn("ada")
		browser.Authorize(rp, "openid")
		acr := func(member string) providertest.Param { return claimsParam(`{"id_token":{"acr":` + member + `}}`) }
		values := func(list string) providertest.Param { return providertest.With("acr_values", list) }
		for name, c := range map[string]struct {
			rp     *providertest.RP
			params []providertest.Param
			want   string
		}{
			"nothing":                              {rp, nil, ""},
			"essential":                            {rp, []providertest.Param{acr(`{"essential":true}`)}, ""},
			"essential, held":                      {rp, []providertest.Param{acr(`{"essential":true,"value":"aal1"}`)}, ""},
			"essential, one held":                  {rp, []providertest.Param{acr(`{"essential":true,"values":["urn:gold","aal1"]}`)}, ""},
			"essential, out of reach":              {rp, []providertest.Param{acr(`{"essential":true,"values":["aal2","phr"]}`)}, unmet},
			"essential, unknown":                   {rp, []providertest.Param{acr(`{"essential":true,"value":"urn:gold"}`)}, unmet},
			"essential, in another case":           {rp, []providertest.Param{acr(`{"essential":true,"value":"AAL1"}`)}, unmet},
			"voluntary, out of reach":              {rp, []providertest.Param{acr(`{"value":"aal3"}`)}, ""},
			"voluntary, unknown":                   {rp, []providertest.Param{acr(`{"values":["urn:gold"]}`)}, ""},
			"essential in userinfo means nothing":  {rp, []providertest.Param{claimsParam(`{"userinfo":{"acr":{"essential":true,"value":"aal3"}}}`)}, ""},
			"alternatives":                         {rp, []providertest.Param{values("phrh aal2 aal1")}, ""},
			"alternatives, out of reach":           {rp, []providertest.Param{values("urn:gold phrh aal2")}, unmet},
			"alternatives, unknown":                {rp, []providertest.Param{values("urn:gold urn:silver")}, ""},
			"both, one out of reach":               {rp, []providertest.Param{values("aal2"), acr(`{"essential":true,"value":"aal1"}`)}, unmet},
			"default":                              {strict, nil, unmet},
			"default, the request names another":   {strict, []providertest.Param{values("aal1")}, ""},
			"default, the request names nothing":   {strict, []providertest.Param{values("urn:gold")}, unmet},
			"default, the claim names another":     {strict, []providertest.Param{acr(`{"essential":true,"value":"aal1"}`)}, ""},
			"default, the claim is voluntary":      {strict, []providertest.Param{acr(`{"value":"aal1"}`)}, ""},
			"default, the claim without a value":   {strict, []providertest.Param{acr(`null`)}, unmet},
			"default, of which one is held":        {easy, nil, ""},
			"auth_time is there":                   {rp, []providertest.Param{claimsParam(`{"id_token":{"auth_time":{"essential":true}}}`)}, ""},
			"a claim that is unknown is no demand": {rp, []providertest.Param{claimsParam(`{"id_token":{"loa":{"essential":true,"value":"aal3"}}}`)}, ""},
		} {
			for _, silent := range []bool{false, true} {
				params := slices.Clone(c.params)
				if silent {
					params = append(params, providertest.With("prompt", "none"))
				}
				arrival := browser.Ask(c.rp, "openid", params...)
				if c.want != "" {
					t.Log(name)
					arrival.WantError(c.want)
					continue
				}
				t.Log(name)
				claims := p.Verify(c.rp.Exchange(arrival.Code()).OK().ID).Claims
				if _, ok := claims["auth_time"].(float64); !ok || claims["acr"] != "aal1" {
					t.Errorf("%s: acr %v, auth_time %v", name, claims["acr"], claims["auth_time"])
				}
			}
		}
		metadata := p.Get(web.PathOpenIDConfiguration).JSON()
		if got := metadata["acr_values_supported"]; !reflect.DeepEqual(got, []any{"aal1", "aal2", "aal3", "phr", "phrh"}) || metadata["claims_parameter_supported"] != true {
			t.Errorf("metadata: acr_values_supported %v, claims_parameter_supported %v", got, metadata["claims_parameter_supported"])
		}
	})
}

// OIDC Core section 3.1.2.2: a sub that is asked for with a value names the only
// person that may be answered about.
func TestSubIsThePersonWhoIsAskedFor(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		ada, bob := p.Browser().SignIn("ada"), p.Browser().SignIn("bob")
		signedIn := rp.Exchange(ada.Authorize(rp, "openid")).OK()
		sub, _ := p.Verify(signedIn.ID).Claims["sub"].(string)
		other, _ := p.Verify(rp.Exchange(bob.Authorize(rp, "openid")).OK().ID).Claims["sub"].(string)
		silent, hint := providertest.With("prompt", "none"), providertest.With("id_token_hint", signedIn.ID)
		for _, member := range []string{"id_token", "userinfo"} {
			wanted := func(values string) providertest.Param {
				return claimsParam(`{"` + member + `":{"sub":` + values + `}}`)
			}
			one := wanted(`{"value":"` + sub + `"}`)
			ada.Authorize(rp, "openid", one, silent)
			ada.Authorize(rp, "openid", one, silent, hint)
			ada.Authorize(rp, "openid", wanted(`{"essential":true,"values":["p_nobody","`+sub+`"]}`), silent)
			ada.Authorize(rp, "openid", wanted(`null`), silent)
			bob.Ask(rp, "openid", one, silent).WantError("login_required")
			bob.Authorize(rp, "openid", wanted(`{"values":["`+other+`","`+sub+`"]}`), silent)
			ada.Ask(rp, "openid", wanted(`{"value":"`+other+`"}`), silent, hint).WantError("login_required")
			for _, nobody := range []string{"p_nobody", "", sub + "x", strings.ToUpper(sub)} {
				ada.Ask(rp, "openid", wanted(`{"value":"`+nobody+`"}`)).WantError("login_required")
			}
			// Somebody else is asked to prove that they are that person, and cannot.
			if got := nextOf(t, bob, rp.AuthorizationURL("openid", one)); got != web.PathSignIn {
				t.Errorf("%s: bob is sent to %s", member, got)
			}
			bob.Ask(rp, "openid", one).WantError("login_required")
		}
		// Asked for by both members, it has to be named by both.
		both := func(idToken, userinfo string) providertest.Param {
			return claimsParam(`{"id_token":{"sub":` + idToken + `},"userinfo":{"sub":` + userinfo + `}}`)
		}
		adas, bobs := `{"value":"`+sub+`"}`, `{"value":"`+other+`"}`
		ada.Authorize(rp, "openid", both(adas, adas), silent)
		ada.Authorize(rp, "openid", both(adas, `{"values":["`+other+`","`+sub+`"]}`), silent)
		bob.Ask(rp, "openid", both(adas, `{"values":["`+other+`","`+sub+`"]}`), silent).WantError("login_required")
		for _, browser := range []*providertest.Browser{ada, bob} {
			browser.Ask(rp, "openid", both(adas, bobs), silent).WantError("login_required")
			browser.Ask(rp, "openid", both(bobs, adas), silent).WantError("login_required")
		}
	})
}

// The request is frozen when it comes: neither claims nor anything else is read from
// the URL again (OIDC Core section 3.1.2.1).
func TestClaimsWaitForThePerson(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web")
		p.Person("ada", everything)
		browser := p.Browser().SignIn("ada") // who is not signed in yet, and has not agreed
		code := browser.Authorize(rp, "openid", claimsParam(`{"userinfo":{"gender":null},"id_token":{"locale":null,"acr":{"essential":true,"value":"aal1"}}}`))
		tokens := rp.Exchange(code).OK()
		if got := about(t, p.Userinfo(tokens.Access).JSON()) + about(t, p.Verify(tokens.ID).Claims); got != `{"gender":"female"}{"locale":"sv-SE"}` {
			t.Errorf("got %s", got)
		}
		stranger := p.Browser()
		at, err := url.Parse(stranger.Next(stranger.Get(rp.AuthorizationURL("openid", claimsParam(`{"id_token":{"acr":{"essential":true,"value":"aal2"}}}`)))))
		if err != nil || at.Path != web.PathSignIn {
			t.Fatalf("%s, %v", at, err)
		}
		stranger.SignIn("bob").Walk(rp, at.String()).WantError("unmet_authentication_requirements")
	})
}

package oidc

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/oidc/engine"
	"github.com/doorstep-id/doorstep/provider/web"
)

// metadata is OpenID Connect Discovery 1.0 section 3 and RFC 8414 section 2 in
// one document. Every member that has a default is written, so that nobody has
// to know it.
type metadata struct {
	Issuer                        string   `json:"issuer"`
	AuthorizationEndpoint         string   `json:"authorization_endpoint"`
	TokenEndpoint                 string   `json:"token_endpoint"`
	IntrospectionEndpoint         string   `json:"introspection_endpoint"`
	RevocationEndpoint            string   `json:"revocation_endpoint"`
	UserinfoEndpoint              string   `json:"userinfo_endpoint"`
	EndSessionEndpoint            string   `json:"end_session_endpoint"`
	JWKSURI                       string   `json:"jwks_uri"`
	ScopesSupported               []string `json:"scopes_supported"`
	ResponseTypesSupported        []string `json:"response_types_supported"`
	ResponseModesSupported        []string `json:"response_modes_supported"`
	GrantTypesSupported           []string `json:"grant_types_supported"`
	ACRValuesSupported            []string `json:"acr_values_supported"`
	SubjectTypesSupported         []string `json:"subject_types_supported"`
	IDTokenSigningAlgs            []string `json:"id_token_signing_alg_values_supported"`
	TokenEndpointAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	IntrospectionAuthMethods      []string `json:"introspection_endpoint_auth_methods_supported"`
	RevocationAuthMethods         []string `json:"revocation_endpoint_auth_methods_supported"`
	TokenEndpointAuthAlgs         []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAuthAlgs         []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	RevocationAuthAlgs            []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	CodeChallengeMethods          []string `json:"code_challenge_methods_supported"`
	PromptValues                  []string `json:"prompt_values_supported"`
	ClaimTypesSupported           []string `json:"claim_types_supported"`
	ClaimsSupported               []string `json:"claims_supported"`
	UILocalesSupported            []string `json:"ui_locales_supported"`
	ClaimsParameterSupported      bool     `json:"claims_parameter_supported"`
	RequestParameterSupported     bool     `json:"request_parameter_supported"`
	RequestURIParameterSupported  bool     `json:"request_uri_parameter_supported"`
	RequireRequestURIRegistration bool     `json:"require_request_uri_registration"`
	BackchannelLogout             bool     `json:"backchannel_logout_supported"`
	BackchannelLogoutSession      bool     `json:"backchannel_logout_session_supported"`
	ResponseIssSupported          bool     `json:"authorization_response_iss_parameter_supported"`
}

// describe writes the metadata once: it depends on nothing that changes.
func (h *Handler) describe() error {
	claims := []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "c_hash", "sid"}
	for _, scope := range []string{clients.ScopeProfile, clients.ScopeEmail, clients.ScopeAddress, clients.ScopePhone, clients.ScopeGroups} {
		claims = append(claims, clients.ClaimsOf(scope)...)
	}
	mounted := map[string]bool{}
	for _, r := range h.Routes() {
		mounted[r.Path] = true
	}
	endpoint := func(path string) string {
		if !mounted[path] {
			panic("oidc: the metadata names " + path + ", which is not mounted")
		}
		return h.Web.URL(path)
	}
	body, err := json.MarshalIndent(metadata{
		Issuer:                   h.issuer,
		AuthorizationEndpoint:    endpoint(web.PathAuthorize),
		TokenEndpoint:            endpoint(web.PathToken),
		IntrospectionEndpoint:    endpoint(web.PathIntrospect),
		RevocationEndpoint:       endpoint(web.PathRevoke),
		UserinfoEndpoint:         endpoint(web.PathUserinfo),
		EndSessionEndpoint:       endpoint(web.PathEndSession),
		JWKSURI:                  endpoint(web.PathJWKS),
		ScopesSupported:          clients.OIDCScopes(),
		ResponseTypesSupported:   engine.ResponseTypes(),
		ResponseModesSupported:   []string{modeQuery, modeFragment, modeFormPost},
		GrantTypesSupported:      append(engine.GrantTypes(), engine.GrantImplicit),
		ACRValuesSupported:       h.Flow.ReachableACR(),
		SubjectTypesSupported:    clients.SubjectTypes(),
		IDTokenSigningAlgs:       h.Keys.Algorithms(),
		TokenEndpointAuthMethods: authMethods(),
		IntrospectionAuthMethods: introspectionAuthMethods(),
		RevocationAuthMethods:    authMethods(),
		TokenEndpointAuthAlgs:    clients.AssertionAlgorithms(),
		IntrospectionAuthAlgs:    clients.AssertionAlgorithms(),
		RevocationAuthAlgs:       clients.AssertionAlgorithms(),
		CodeChallengeMethods:     []string{"S256"},
		PromptValues:             promptValues,
		ClaimTypesSupported:      []string{"normal"},
		ClaimsSupported:          claims,
		UILocalesSupported:       h.Pages.Languages(),
		ClaimsParameterSupported: true,
		BackchannelLogout:        true,
		BackchannelLogoutSession: true,
		ResponseIssSupported:     true,
	}, "", "  ")
	if err != nil {
		return err
	}
	issuer, err := url.Parse(h.issuer)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:15]) + `"`
	h.host, h.metadata = issuer.Host, newDocument(body, etag, documentAge)
	return nil
}

// documentAge is how long clients may keep the metadata.
const documentAge = 15 * time.Minute

// configuration serves the metadata at both of its well-known addresses.
func (h *Handler) configuration(w http.ResponseWriter, r *http.Request) error {
	if r.Host != h.host {
		web.Log(r.Context()).Diagnose(h.wrongIssuer("Host: " + r.Host))
	}
	return h.metadata.write(w, r)
}

// misplaced answers for the metadata of an issuer that we are not.
func (h *Handler) misplaced(_ http.ResponseWriter, r *http.Request) error {
	return web.WithDiagnosis(fault.NotFound("issuer at this address"), h.wrongIssuer(r.Host+r.URL.Path))
}

// jwks serves the public keys (RFC 7517 section 5): those that sign, the next
// one ahead of its use, and retired ones until their last token is over.
func (h *Handler) jwks(w http.ResponseWriter, r *http.Request) error {
	body, etag, err := h.Keys.JWKS(r.Context())
	if err != nil {
		return err
	}
	known := h.keySet.Load()
	if known == nil || known.etag[0] != etag {
		known = newDocument(body, etag, h.Keys.MaxAge())
		h.keySet.Store(known)
	}
	return known.write(w, r)
}

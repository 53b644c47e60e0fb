package clients

import (
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/doorstep-id/doorstep/storage"
)

// Client authentication methods (OpenID Connect Core section 9), grant types
// (RFC 7591 section 2) and response modes that can be registered.
const (
	methodBasic         = "client_secret_basic"
	methodPost          = "client_secret_post"
	methodPrivateKeyJWT = "private_key_jwt"
	methodNone          = "none"

	grantCode              = "authorization_code"
	grantRefresh           = "refresh_token"
	grantClientCredentials = "client_credentials"
	grantImplicit          = "implicit" // an ID token from the authorization endpoint, and never an access token

	modeQuery    = "query"
	modeFragment = "fragment"
	modeFormPost = "form_post"

	typeWeb    = "web"
	typeNative = "native"
)

// The scopes of OpenID Connect Core sections 3.1.2.1, 5.4 and 11, and groups, which
// is by custom. They are about a person, belong to the issuer, and to no resource.
const (
	ScopeOpenID  = "openid"
	ScopeProfile = "profile"
	ScopeEmail   = "email"
	ScopeAddress = "address"
	ScopePhone   = "phone"
	ScopeGroups  = "groups"
	ScopeOffline = "offline_access"
)

// OIDCScopes returns the scopes of OpenID Connect, groups among them.
func OIDCScopes() []string {
	return []string{ScopeOpenID, ScopeProfile, ScopeEmail, ScopeAddress, ScopePhone, ScopeGroups, ScopeOffline}
}

// IsOIDCScope reports whether scope is one of OpenID Connect's.
func IsOIDCScope(scope string) bool {
	switch scope {
	case ScopeOpenID, ScopeProfile, ScopeEmail, ScopeAddress, ScopePhone, ScopeGroups, ScopeOffline:
		return true
	}
	return false
}

// defaultScope is what a client that signs people in may ask for if its
// registration does not say: who somebody is, and no resource.
const defaultScope = ScopeOpenID + " " + ScopeProfile + " " + ScopeEmail

// Registration is what is said of a client: RFC 7591 section 2, OpenID Connect
// Dynamic Client Registration section 2, and our own owner, first_party,
// require_pkce, legacy, apple_app_ids and android_apps. What is left out gets the default of those specifications.
type Registration struct {
	ClientID string `json:"client_id,omitempty"` // 1 to 64 of A-Z a-z 0-9 . _ -; "": a random one
	Name     string `json:"client_name,omitempty"`
	Owner    string `json:"owner,omitempty"` // a group's name
	storage.ClientMetadata
	// RequirePKCE counts instead of the field of the same name inside; nil is
	// true, and a public client is never excepted.
	RequirePKCE *bool `json:"require_pkce,omitempty"`
}

// hasSecret reports whether a client of this method proves itself by a secret.
func hasSecret(method string) bool { return method == methodBasic || method == methodPost }

// DecodeRegistration reads a client's registration in JSON, at most 64 KiB. A
// member that is unknown here, there twice or of another type is a fault that
// names it: whoever misspells one wants to hear of it.
func DecodeRegistration(r io.Reader) (Registration, error) {
	var in Registration
	text, err := readDocument(r)
	if err != nil {
		return in, err
	}
	return in, decodeDocument(text, &in)
}

// registrationOf returns the registration that would make c.
func registrationOf(c *storage.Client) Registration {
	m := c.Metadata.V
	return Registration{ClientID: c.ID, Name: c.Name, Owner: c.Owner, ClientMetadata: m, RequirePKCE: &m.RequirePKCE}
}

// Patched returns a client's registration changed by a merge patch (RFC 7396);
// nothing is written. A faulty patch is a fault that names the member.
func Patched(c *storage.Client, patch []byte) (*Registration, error) {
	var out Registration
	if err := mergePatch(registrationOf(c), patch, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// setDefaults fills in what was left out.
func (r *Registration) setDefaults() {
	setDefault := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	setDefault(&r.Name, r.ClientID)
	setDefault(&r.TokenEndpointAuthMethod, methodBasic)
	setDefault(&r.ApplicationType, typeWeb)
	setDefault(&r.SubjectType, subjectPublic)        // as OpenID Connect Core section 8 has it
	setDefault(&r.IDTokenSignedResponseAlg, "RS256") // OpenID Connect Registration section 2
	if len(r.GrantTypes) == 0 {
		r.GrantTypes = []string{grantCode}
	}
	if slices.Contains(r.GrantTypes, grantCode) || slices.Contains(r.GrantTypes, grantImplicit) {
		setDefault(&r.Scope, defaultScope)
		if len(r.ResponseTypes) == 0 && slices.Contains(r.GrantTypes, grantCode) {
			r.ResponseTypes = []string{"code"}
		}
		if len(r.ResponseModes) == 0 {
			r.ResponseModes = []string{modeQuery}
		}
	}
	if string(r.JWKS) == "null" {
		r.JWKS = nil
	}
	for i, t := range r.ResponseTypes {
		r.ResponseTypes[i] = ResponseType(t)
	}
	if r.ResponseTypes == nil {
		r.ResponseTypes = []string{}
	}
	if r.RequirePKCE == nil || r.TokenEndpointAuthMethod == methodNone {
		always := true
		r.RequirePKCE = &always
	}
}

// ResponseType returns a response type with its words in one order: which of them
// comes first means nothing (RFC 6749 section 3.1.1).
func ResponseType(t string) string {
	words := strings.Split(t, " ")
	slices.Sort(words)
	return strings.Join(words, " ")
}

// View is a client as it is shown: the answer of RFC 7591 section 3.2.1.
type View struct {
	ClientID  string `json:"client_id"`
	Secret    string `json:"client_secret,omitempty"` // only when it was just made
	IssuedAt  int64  `json:"client_id_issued_at"`     // Unix seconds
	ExpiresAt *int64 `json:"client_secret_expires_at,omitempty"`
	Name      string `json:"client_name"`
	Owner     string `json:"owner,omitempty"`
	storage.ClientMetadata
	Secrets    []SecretView `json:"secrets,omitempty"`
	DisabledAt int64        `json:"disabled_at,omitempty"` // Unix seconds
}

// SecretView is what is told of a secret that is kept: nothing of itself.
type SecretView struct {
	CreatedAt int64 `json:"created_at"`           // Unix seconds
	ExpiresAt int64 `json:"expires_at,omitempty"` // Unix seconds; 0: never
}

// NewView shows a client, with its secret if that was just made.
func NewView(c *storage.Client, secret string) View {
	v := View{
		ClientID: c.ID, Secret: secret, IssuedAt: c.CreatedAt.Unix(), Name: c.Name, Owner: c.Owner, ClientMetadata: c.Metadata.V,
	}
	if secret != "" {
		never := int64(0) // RFC 7591: required beside a secret, 0 where it does not expire
		v.ExpiresAt = &never
	}
	for _, kept := range c.Secrets.V {
		v.Secrets = append(v.Secrets, SecretView{kept.CreatedAt, kept.ExpiresAt})
	}
	if !c.DisabledAt.IsZero() {
		v.DisabledAt = c.DisabledAt.Unix()
	}
	return v
}

// LogValue keeps the secret out of every log.
func (v View) LogValue() slog.Value { return slog.StringValue("client " + v.ClientID) }

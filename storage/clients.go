package storage

import (
	"context"
	"strings"
)

// Client is a registered application: an OAuth 2.0 client, an OpenID relying party.
type Client struct {
	ID           string `gorm:"primaryKey"`
	Version      int64
	Name         string
	Owner        string // a group's name; "" while nobody owns it
	RegisteredBy string // RegisteredByOperator, or how else it came
	Metadata     JSON[ClientMetadata]
	Secrets      JSON[[]ClientSecret]
	CreatedAt    Time `gorm:"autoCreateTime:false"`
	UpdatedAt    Time `gorm:"autoUpdateTime:false"`
	DisabledAt   Time
}

// RegisteredByOperator marks a client that an operator registered: its errors
// may be sent to its redirect without a word from the person (RFC 9700 4.11.2).
const RegisteredByOperator = "operator"

// ClientMetadata has the names of RFC 7591 and OpenID Connect Registration;
// apple_app_ids, android_apps, first_party, require_pkce and legacy are ours.
type ClientMetadata struct {
	RedirectURIs                []string     `json:"redirect_uris,omitempty"`
	PostLogoutRedirectURIs      []string     `json:"post_logout_redirect_uris,omitempty"`
	TokenEndpointAuthMethod     string       `json:"token_endpoint_auth_method"`
	TokenEndpointAuthSigningAlg string       `json:"token_endpoint_auth_signing_alg,omitempty"`
	JWKS                        Raw          `json:"jwks,omitempty"`     // a JWK Set of public keys (RFC 7517 section 5)
	JWKSURI                     string       `json:"jwks_uri,omitempty"` // where it publishes such a set
	GrantTypes                  []string     `json:"grant_types"`
	ResponseTypes               []string     `json:"response_types"`
	ResponseModes               []string     `json:"response_modes,omitempty"`
	ApplicationType             string       `json:"application_type"`
	Scope                       string       `json:"scope"`
	ClientURI                   string       `json:"client_uri,omitempty"`
	LogoURI                     string       `json:"logo_uri,omitempty"`
	PolicyURI                   string       `json:"policy_uri,omitempty"`
	TosURI                      string       `json:"tos_uri,omitempty"`
	Contacts                    []string     `json:"contacts,omitempty"`
	BackchannelLogoutURI        string       `json:"backchannel_logout_uri,omitempty"`
	BackchannelLogoutSession    bool         `json:"backchannel_logout_session_required,omitempty"`
	IDTokenSignedResponseAlg    string       `json:"id_token_signed_response_alg"`
	DefaultMaxAge               *int64       `json:"default_max_age,omitempty"`
	DefaultACRValues            []string     `json:"default_acr_values,omitempty"`
	RequireAuthTime             bool         `json:"require_auth_time,omitempty"`
	SubjectType                 string       `json:"subject_type,omitempty"` // "" and "public", or "pairwise"
	SectorIdentifierURI         string       `json:"sector_identifier_uri,omitempty"`
	InitiateLoginURI            string       `json:"initiate_login_uri,omitempty"`
	AppleAppIDs                 []string     `json:"apple_app_ids,omitempty"` // team and bundle: "ABCDE12345.com.example.cars"
	AndroidApps                 []AndroidApp `json:"android_apps,omitempty"`
	FirstParty                  bool         `json:"first_party"`
	RequirePKCE                 bool         `json:"require_pkce"`
	Legacy                      bool         `json:"legacy,omitempty"` // may have an ID token from the authorization endpoint
}

// AndroidApp is an app on Android, by what Android knows it by.
type AndroidApp struct {
	Package      string   `json:"package"`
	Fingerprints []string `json:"sha256_cert_fingerprints"` // of certificates that it may be signed with: "AB:CD:...", 32 bytes
}

// ClientSecret is one live secret: SHA-256 of 256 random bits in text form.
type ClientSecret struct {
	SHA256    []byte `json:"sha256"`
	CreatedAt int64  `json:"created_at"`           // Unix seconds
	ExpiresAt int64  `json:"expires_at,omitempty"` // Unix seconds; 0: never
}

// Client returns the client with this id, disabled or not, or ErrNotFound.
func (s *Store) Client(ctx context.Context, id string) (*Client, error) {
	var c Client
	if err := take(s.db(ctx).Where("id = ?", id), &c); err != nil {
		return nil, err
	}
	return &c, nil
}

// Clients returns a page of all clients, by id.
func (s *Store) Clients(ctx context.Context, p Page) (List[Client], error) {
	after, err := p.afterText()
	if err != nil {
		return List[Client]{}, err
	}
	var cs []Client
	err = s.db(ctx).Where("id > ?", after).Order("id").Limit(p.more()).Find(&cs).Error
	return page(cs, p, func(c *Client) string { return c.ID }), translate(err)
}

// ClientPlaces is where an enabled client is: where it may send a browser, and the
// apps that it is.
type ClientPlaces struct {
	ID      string
	URIs    Strings
	Apple   Strings
	Android JSON[[]AndroidApp]
}

// Places returns the places of up to limit enabled clients whose id comes after the
// given one, and nothing else of them.
func (s *Store) Places(ctx context.Context, after string, limit int) ([]ClientPlaces, error) {
	var rs []ClientPlaces
	err := s.db(ctx).Table("clients").
		Select("id, metadata -> 'redirect_uris' AS uris, metadata -> 'apple_app_ids' AS apple, metadata -> 'android_apps' AS android").
		Where("id > ? AND disabled_at IS NULL", after).Order("id").Limit(limit).Find(&rs).Error
	return rs, translate(err)
}

// ClientsThatInitiate returns up to limit enabled clients with an
// initiate_login_uri whose id comes after the given one.
func (s *Store) ClientsThatInitiate(ctx context.Context, after string, limit int) ([]Client, error) {
	var cs []Client
	err := s.db(ctx).Where("id > ? AND disabled_at IS NULL AND metadata ->> 'initiate_login_uri' IS NOT NULL", after).
		Order("id").Limit(limit).Find(&cs).Error
	return cs, translate(err)
}

// ClientsMark tells one state of all clients from another: whoever registers,
// changes or deletes one changes it. It is one statement that reads no document.
func (s *Store) ClientsMark(ctx context.Context) (string, error) {
	var mark string
	err := s.db(ctx).Raw("SELECT count(*) || '.' || coalesce(sum(version), 0) || '.' || coalesce(max(updated_at), 0) FROM clients").Row().Scan(&mark)
	return mark, translate(err)
}

// ClientsWith returns the ids of up to limit clients, disabled or not, that are
// registered with one of these scopes, by id. It is one statement, which looks at every
// registration where nobody is.
func (s *Store) ClientsWith(ctx context.Context, scopes []string, limit int) ([]string, error) {
	if len(scopes) == 0 {
		return nil, nil
	}
	var ids []string
	has, args := s.named(scopes)
	err := s.db(ctx).Model(&Client{}).Where(has, args...).Order("id").Limit(limit).Pluck("id", &ids).Error
	return ids, translate(err)
}

// named is a condition on clients, with its values: one of these scopes, of which there
// is at least one, is in the registration.
func (s *Store) named(scopes []string) (condition string, args []any) {
	position := "instr"
	if s.dialect == onPostgres {
		position = "strpos"
	}
	has := make([]string, len(scopes))
	for i, scope := range scopes {
		has[i], args = position+"(' ' || (metadata ->> 'scope') || ' ', ?) > 0", append(args, " "+scope+" ")
	}
	return strings.Join(has, " OR "), args
}

// CreateClient adds a client; ErrConflict: the id is taken; ErrStale: its owner is no
// group, or one of scopes, which are different ones, belongs to no resource.
func (s *Store) CreateClient(ctx context.Context, c *Client, scopes ...string) error {
	return s.do(ctx, owned(s.belonging(s.insert(ctx, c, ""), scopes), c.Owner))
}

// UpdateClient replaces a client that is still at c.Version, which it raises by
// one; ErrStale: it changed since it was read, or is gone, its new owner is no group, or
// one of scopes, which are different ones, belongs to no resource.
func (s *Store) UpdateClient(ctx context.Context, c *Client, scopes ...string) error {
	err := s.do(ctx, owned(s.belonging(write{
		text: "UPDATE clients SET version = version + 1, name = ?, owner = ?, metadata = ?, secrets = ?, updated_at = ?, disabled_at = ?" +
			" WHERE id = ? AND version = ?",
		args:  []any{c.Name, c.Owner, c.Metadata, c.Secrets, c.UpdatedAt, c.DisabledAt, c.ID, c.Version},
		guard: ErrStale,
	}, scopes), c.Owner))
	if err == nil {
		c.Version++
	}
	return err
}

// DeleteClient removes a client that is still at c.Version, what people agreed to
// for it and what it was still to be told; ErrStale: it changed since it was read,
// or is gone. Its grants stay, revoked, so that their reuse is still seen.
func (s *Store) DeleteClient(ctx context.Context, c *Client, now Time) error {
	id := c.ID
	return s.doAll(ctx,
		write{text: "DELETE FROM clients WHERE id = ? AND version = ?", args: []any{id, c.Version}, guard: ErrStale},
		write{text: "DELETE FROM consents WHERE client_id = ?", args: []any{id}},
		write{text: "DELETE FROM session_clients WHERE client_id = ?", args: []any{id}},
		write{text: "DELETE FROM logout_notices WHERE client_id = ?", args: []any{id}},
		write{text: "UPDATE grants SET revoked_at = ?, revoked_why = 'client deleted' WHERE client_id = ? AND revoked_at IS NULL", args: []any{now, id}},
	)
}

// ClientNames returns the names of those of these clients that there are, disabled or
// not, by id. A name may be "".
func (s *Store) ClientNames(ctx context.Context, ids []string) (map[string]string, error) {
	names := map[string]string{}
	if len(ids) == 0 {
		return names, nil
	}
	var cs []Client
	if err := s.db(ctx).Select("id", "name").Where("id IN ?", ids).Find(&cs).Error; err != nil {
		return nil, translate(err)
	}
	for _, c := range cs {
		names[c.ID] = c.Name
	}
	return names, nil
}

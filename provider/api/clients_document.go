package api

import (
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/storage"
)

// clientTexts says what each member of a client is: RFC 7591 section 2, OpenID
// Connect Registration section 2, Back-Channel Logout section 2.2, and our own.
var clientTexts = map[string]string{ //nolint:gosec // of secrets it has the names alone
	"client_id":                           "1 to 64 letters, digits and . _ -; random if it is left out. It cannot be changed.",
	"client_secret":                       "Only in the answer to the request that made it: it is not kept.",
	"client_id_issued_at":                 "Unix seconds.",
	"client_secret_expires_at":            "Beside a client_secret: 0, it does not expire by itself.",
	"client_name":                         "What people see it called.",
	"owner":                               "The name of the group that it belongs to.",
	"redirect_uris":                       "Where people come back to: https, or for native clients loopback and private-use schemes (RFC 8252). Compared in every byte.",
	"post_logout_redirect_uris":           "Where people come back to after signing out.",
	"token_endpoint_auth_method":          "How it proves who it is: client_secret_basic (the default), client_secret_post, private_key_jwt, or none.",
	"token_endpoint_auth_signing_alg":     "What it signs its assertions with, where it does.",
	"jwks":                                "Its public keys (RFC 7517 section 5), for private_key_jwt.",
	"jwks_uri":                            "Where it publishes its public keys instead.",
	"grant_types":                         "authorization_code (the default), refresh_token, client_credentials; implicit for legacy clients.",
	"response_types":                      "code; with id_token for legacy clients.",
	"response_modes":                      "query (the default), form_post; fragment for legacy clients.",
	"application_type":                    "web (the default) or native.",
	"scope":                               "The scopes that it may ask for, with one space between: those of OpenID Connect, and those of resources, by which it is given the resource.",
	"client_uri":                          "A page about it.",
	"logo_uri":                            "Its logo.",
	"policy_uri":                          "What it does with people's data.",
	"tos_uri":                             "Its terms of service.",
	"contacts":                            "Who is responsible for it.",
	"backchannel_logout_uri":              "Where its server is told that somebody signed out.",
	"backchannel_logout_session_required": "It needs to be told which session.",
	"id_token_signed_response_alg":        "What its ID tokens are signed with: RS256 (the default), ES256, EdDSA, PS256.",
	"default_max_age":                     "Seconds after which somebody has to sign in again, where a request does not say.",
	"default_acr_values":                  "How sure it wants us to be of a person, where a request does not say.",
	"require_auth_time":                   "Its ID tokens have auth_time, always.",
	"subject_type":                        "public (the default), or pairwise: other clients know people by other subjects.",
	"sector_identifier_uri":               "For pairwise: a list of the redirects of all clients that share their subjects.",
	"initiate_login_uri":                  "Where a sign-in begins that it did not ask for, such as from the page of apps.",
	"apple_app_ids":                       "The apps that it is on Apple's systems: a team's id and a bundle's, as ABCDE12345.com.example.cars. They are given the passwords and passkeys of our domain.",
	"android_apps":                        "The apps that it is on Android: package, and sha256_cert_fingerprints of the certificates that it is signed with. They are given the passwords and passkeys of our domain.",
	"first_party":                         "It is the operator's own: people are not asked for consent.",
	"require_pkce":                        "true (the default), and always so for public clients.",
	"legacy":                              "It may have an ID token from the authorization endpoint.",
	"secrets":                             "What is told of the secrets that are kept: when they were made and end.",
	"disabled_at":                         "Unix seconds; not there while it is enabled.",
}

func exampleMetadata() storage.ClientMetadata {
	return storage.ClientMetadata{
		RedirectURIs: []string{"https://shop.example.com/callback"}, TokenEndpointAuthMethod: "client_secret_basic",
		GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"}, ResponseModes: []string{"query"},
		ApplicationType: "web", Scope: "openid email orders:read", IDTokenSignedResponseAlg: "RS256", RequirePKCE: true, SubjectType: "public",
	}
}

func exampleClient() Client {
	return Client{
		ClientID: "shop", IssuedAt: 1793577600, Name: "Car shop", Owner: "sales", ClientMetadata: exampleMetadata(),
		Secrets: []clients.SecretView{{CreatedAt: 1793577600}},
	}
}

func exampleRegistration() any {
	return map[string]any{
		"client_id": "shop", "client_name": "Car shop", "redirect_uris": []string{"https://shop.example.com/callback"},
		"grant_types": []string{"authorization_code", "refresh_token"}, "scope": "openid email orders:read",
	}
}

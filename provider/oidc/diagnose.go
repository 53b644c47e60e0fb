package oidc

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/oidc/engine"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// The first mistake of a new client should mend itself. Each of the commonest
// ones says in the log, under the id that the error page shows: what arrived,
// what is registered, and the command that mends it. Secrets never appear.

// carried is a refusal with its diagnosis, until the edge logs it.
type carried struct {
	error
	diagnosis web.Diagnosis
}

func (c *carried) Unwrap() error { return c.error }

func diagnosed(err error, d web.Diagnosis) error { return &carried{err, d} }

// noteDiagnosis puts the diagnosis that err carries into the request's event.
func noteDiagnosis(ctx context.Context, err error) {
	var c *carried
	if errors.As(err, &c) {
		web.Log(ctx).Diagnose(c.diagnosis)
	}
}

// carryDiagnosis gives the diagnosis of from to an error for the error page.
func carryDiagnosis(err, from error) error {
	var c *carried
	if errors.As(from, &c) {
		return web.WithDiagnosis(err, c.diagnosis)
	}
	return err
}

// patch is the command that changes a client's registration. The id is the
// client's own; values are quoted for a POSIX shell.
func patch(c *storage.Client, member, value string) string {
	return "echo " + shellQuote(`{"`+member+`": `+value+`}`) + " | doorstep client update " + c.ID + " --file -"
}

// show is the command that tells what is registered, for what no change of the
// registration mends.
func show(c *storage.Client) string { return "doorstep client show " + c.ID }

// shellQuote quotes s for a POSIX shell.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// list is a JSON array of what is registered and what is missing.
func list(registered []string, missing string) string {
	all := append(slices.Clone(registered), missing)
	quoted := make([]string, len(all))
	for i, s := range all {
		quoted[i] = `"` + visible(s) + `"`
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

func unknownClient(id string) web.Diagnosis {
	return web.Diagnosis{
		Problem: "No client of this id is registered at this issuer, or it is disabled.",
		Arrived: []string{"client_id=" + id}, Registered: nil,
		Command: "doorstep client list",
	}
}

func redirectMismatch(c *storage.Client, uri string) web.Diagnosis {
	return web.Diagnosis{
		Problem: "The redirect_uri is not registered for the client. It is compared character by character: scheme, host, port, path and slash at the end.",
		Arrived: []string{"redirect_uri=" + uri}, Registered: c.Metadata.V.RedirectURIs,
		Command: patch(c, "redirect_uris", list(c.Metadata.V.RedirectURIs, uri)),
	}
}

func missingRedirect(c *storage.Client) web.Diagnosis {
	return web.Diagnosis{
		Problem: "The client must send redirect_uri, one of those that are registered for it.",
		Arrived: []string{"redirect_uri=(none)"}, Registered: c.Metadata.V.RedirectURIs,
		Command: show(c),
	}
}

func logoutMismatch(c *storage.Client, uri string) web.Diagnosis {
	if c == nil {
		return web.Diagnosis{
			Problem: "A post_logout_redirect_uri needs to say whose it is: send client_id or id_token_hint with it.",
			Arrived: []string{"post_logout_redirect_uri=" + uri}, Command: "doorstep client list",
		}
	}
	return web.Diagnosis{
		Problem: "The post_logout_redirect_uri is not registered for the client.",
		Arrived: []string{"post_logout_redirect_uri=" + uri}, Registered: c.Metadata.V.PostLogoutRedirectURIs,
		Command: patch(c, "post_logout_redirect_uris", list(c.Metadata.V.PostLogoutRedirectURIs, uri)),
	}
}

func missingPKCE(c *storage.Client) web.Diagnosis {
	d := web.Diagnosis{
		Problem:    "The client must use PKCE: send code_challenge and code_challenge_method=S256, and code_verifier with the code. Every maintained library has a switch for it.",
		Arrived:    []string{"code_challenge=(none)"},
		Registered: []string{"require_pkce=true"},
		Command:    show(c),
	}
	if c.Metadata.V.TokenEndpointAuthMethod != authNone {
		d.Problem += " An old client that cannot, and keeps a secret, can be let off."
		d.Command = patch(c, "require_pkce", "false")
	}
	return d
}

func scopeMismatch(c *storage.Client, scope string) web.Diagnosis {
	return web.Diagnosis{
		Problem: "The scope is not registered for the client. A scope of an API must belong to a resource first (doorstep resource list).",
		Arrived: []string{"scope=" + scope}, Registered: words(c.Metadata.V.Scope),
		Command: patchScope(c, scope),
	}
}

// patchScope is the command that lets the client ask for more scopes.
func patchScope(c *storage.Client, more ...string) string {
	return patch(c, "scope", `"`+visible(strings.Join(append(words(c.Metadata.V.Scope), more...), " "))+`"`)
}

// resourceMismatch explains a resource that the client may not use, or that
// nobody registered.
func (h *Handler) resourceMismatch(ctx context.Context, c *storage.Client, asked []string) web.Diagnosis {
	registered := words(c.Metadata.V.Scope)
	d := web.Diagnosis{
		Problem:    "The client has no access to the resource, or the authorization was not for it. Access comes with a registered scope that belongs to the resource.",
		Registered: registered, Command: "doorstep resource list; " + show(c),
	}
	isRegistered := func(scope string) bool { return slices.Contains(registered, scope) }
	for _, audience := range asked {
		d.Arrived = append(d.Arrived, "resource="+audience)
		if r, err := h.Clients.Resource(ctx, audience); err == nil && !slices.ContainsFunc(r.Scopes, isRegistered) {
			d.Command = patchScope(c, r.Scopes...)
		}
	}
	return d
}

func responseTypeMismatch(c *storage.Client, responseType string) web.Diagnosis {
	d := web.Diagnosis{
		Problem: "The response_type is not served, or not registered for the client. Implicit and hybrid flows put tokens into URLs: switch the client to response_type=code. " +
			"No access token is ever given here; id_token and code id_token are for old clients that an operator marks with legacy.",
		Arrived: []string{"response_type=" + responseType}, Registered: c.Metadata.V.ResponseTypes,
		Command: show(c),
	}
	if responseType == "code" {
		d.Command = patch(c, "response_types", `["code"]`)
	}
	return d
}

func grantTypeMismatch(c *storage.Client, grantType string) web.Diagnosis {
	return web.Diagnosis{
		Problem: "The client is not registered for this grant type.",
		Arrived: []string{"grant_type=" + grantType}, Registered: c.Metadata.V.GrantTypes,
		Command: patch(c, "grant_types", list(c.Metadata.V.GrantTypes, grantType)),
	}
}

func authMethodMismatch(c *storage.Client, method string) web.Diagnosis {
	registered := c.Metadata.V.TokenEndpointAuthMethod
	d := web.Diagnosis{
		Problem: "The client authenticated in another way than it registered.",
		Arrived: []string{"token_endpoint_auth_method=" + method}, Registered: []string{"token_endpoint_auth_method=" + registered},
		Command: patch(c, "token_endpoint_auth_method", `"`+method+`"`),
	}
	switch {
	case registered == authKey:
		d.Problem += " It has keys, and no secret: it sends client_assertion, which it signs with one of them."
		d.Command = show(c)
	case method == authKey && !clients.HasKeys(c):
		d.Problem += " It signed an assertion, and no key of it is registered: register its public keys as jwks, with token_endpoint_auth_method " + authKey + "."
		d.Command = show(c)
	case registered == authNone:
		d.Problem += " It is a public one: it sends client_id in the body, and no secret. One with a secret is another client."
		d.Command = show(c)
	case method == authNone:
		d.Problem += " It sent no secret, and has one."
		d.Command = show(c)
	}
	return d
}

// maxSaid is how much of what an assertion says is logged, in bytes.
const maxSaid = 300

// wrongAssertion says what is wrong with a client assertion: what it says of itself
// and what is registered, never the assertion.
func (h *Handler) wrongAssertion(c *storage.Client, a *clients.Assertion, wrong *clients.AssertionError) web.Diagnosis {
	m := &c.Metadata.V
	d := web.Diagnosis{
		Problem:    "The client_assertion was refused: its " + wrong.Part + " " + wrong.Problem + ".",
		Registered: append([]string{"aud=" + h.issuer}, clients.KeysOf(&c.Metadata.V)...),
		Command:    show(c),
	}
	for _, said := range a.Arrived() {
		d.Arrived = append(d.Arrived, strings.ToValidUTF8(said[:min(len(said), maxSaid)], ""))
	}
	if m.TokenEndpointAuthSigningAlg != "" {
		d.Registered = append(d.Registered, "token_endpoint_auth_signing_alg="+m.TokenEndpointAuthSigningAlg)
	}
	switch wrong.Part {
	case "alg":
		if m.TokenEndpointAuthSigningAlg != "" && slices.Contains(clients.AssertionAlgorithms(), a.Alg()) {
			d.Command = patch(c, "token_endpoint_auth_signing_alg", `"`+a.Alg()+`"`)
		}
	case "kid":
		if m.JWKSURI != "" {
			d.Problem += ` Publish the key that it signs with at ` + m.JWKSURI + `, which is read again at most once a minute.`
		} else {
			d.Problem += ` Register the key that it signs with: doorstep client update ` + c.ID + ` --file -, with {"jwks": {"keys": [...]}}.`
		}
	}
	return d
}

func (h *Handler) wrongSecret(c *storage.Client) web.Diagnosis {
	return web.Diagnosis{
		Problem: "The secret is not one of the client's. It is shown once, when it is made; in a Basic header both id and secret are form-encoded first. A lost one is replaced; one that was replaced ends with its overlap.",
		Arrived: []string{"client_secret=(hidden)"}, Registered: []string{strconv.Itoa(h.Clients.LivingSecrets(c)) + " secret(s)"},
		Command: "doorstep client rotate-secret " + c.ID,
	}
}

// explain says what a token request was refused for, where the client alone
// cannot know.
func (h *Handler) explain(ctx context.Context, in *engine.TokenRequest, err error) error {
	var refused *engine.Error
	if !errors.As(err, &refused) {
		return err
	}
	switch refused.Code {
	case "invalid_grant":
		return diagnosed(err, deadGrant(in.Client, in))
	case "invalid_scope":
		return diagnosed(err, scopeRefused(in.Client, words(in.Form.Get("scope"))))
	case "invalid_target":
		return diagnosed(err, h.resourceMismatch(ctx, in.Client, in.Form["resource"]))
	}
	return err
}

// scopeRefused says which scope is not registered, or why a registered one may be
// refused all the same.
func scopeRefused(c *storage.Client, asked []string) web.Diagnosis {
	registered := words(c.Metadata.V.Scope)
	for _, scope := range asked {
		if !slices.Contains(registered, scope) {
			return scopeMismatch(c, scope)
		}
	}
	return web.Diagnosis{
		Problem: "The scope is registered for the client, but not to be had here: a refresh narrows what was granted, and client_credentials has the scopes of one resource and none of OpenID Connect.",
		Arrived: []string{"scope=" + strings.Join(asked, " ")}, Registered: registered,
		Command: show(c),
	}
}

// deadGrant says why a code or refresh token may have been refused.
func deadGrant(c *storage.Client, in *engine.TokenRequest) web.Diagnosis {
	d := web.Diagnosis{
		Problem: "The refresh token was used before, has expired, was revoked, or belongs to another client.",
		Arrived: []string{"grant_type=" + in.GrantType}, Registered: []string{"client_id=" + c.ID},
		Command: show(c),
	}
	if in.GrantType == engine.GrantCode {
		d.Problem = "The code was used before, is older than a minute, was made for another client, or redirect_uri or code_verifier differ from the authorization request. " +
			"A code that is always too old points to a clock: compare it with the database's at /readyz."
		d.Arrived = append(d.Arrived, "redirect_uri="+in.Form.Get("redirect_uri"), "code_verifier="+present(in.Form.Has("code_verifier")))
		d.Registered = append(d.Registered, c.Metadata.V.RedirectURIs...)
	}
	return d
}

func present(yes bool) string {
	if yes {
		return "(sent)"
	}
	return "(none)"
}

// AllowOrigin reports whether a page of this origin may call the token-style
// endpoints: it is the origin of a registered redirect. A refusal is explained
// in the request's event, since a browser tells its user nothing.
func (h *Handler) AllowOrigin(r *http.Request, origin string) bool {
	ok, err := h.Clients.AllowsOrigin(r.Context(), origin)
	if err != nil {
		web.Log(r.Context()).Set("cors_error", err.Error())
		return false
	}
	if !ok {
		web.Log(r.Context()).Diagnose(web.Diagnosis{
			Problem: "A page called from an origin that is no registered redirect's, so the browser kept the answer from it (CORS). Register a redirect_uri of that origin for the page's client.",
			Arrived: []string{"Origin: " + origin},
			Command: "doorstep client list",
		})
	}
	return ok
}

// wrongIssuer explains a discovery request that came to another address than the
// issuer's: the client was configured with something else.
func (h *Handler) wrongIssuer(arrived string) web.Diagnosis {
	return web.Diagnosis{
		Problem: "The metadata was asked for at an address that is not the issuer's. Clients compare the issuer character by character: scheme, host, port, path, no slash at the end. Give the client exactly this one, or set DOORSTEP_ISSUER to the address that clients use.",
		Arrived: []string{arrived}, Registered: []string{"issuer=" + h.issuer},
		Command: "doorstep config print",
	}
}

package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/oidc/engine"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// authorize serves the authorization endpoint (RFC 6749 section 3.1, OIDC Core
// section 3.1.2). It comes here twice: with the client's parameters, and with
// the id of an interaction once signin has nothing more to ask.
func (h *Handler) authorize(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	ctx := storage.WithUnit(r.Context())
	if id := q.Get("i"); id != "" && !q.Has("client_id") {
		answer, err := h.Flow.Resume(ctx, id, flow.Browser(h.Web.Visitor(r)))
		if err != nil {
			return err
		}
		if answer.Client == nil { // begun for a page of ours, and nobody's to answer but that page's
			return web.SeeOther(w, answer.Path)
		}
		if !h.Clients.MatchRedirect(answer.Client, answer.Request.RedirectURI) { // it was, when the request came
			return h.onOwnPage(diagnosed(engine.Refuse("invalid_request", "The redirect_uri is no longer registered for this client."),
				redirectMismatch(answer.Client, answer.Request.RedirectURI)))
		}
		return h.proceed(ctx, w, r, answer)
	}
	params, err := single(q)
	if err != nil {
		return h.onOwnPage(err)
	}
	a := &asked{h: h, r: r, params: params}
	for _, check := range checksBeforeRedirect {
		if err := check(ctx, a); err != nil {
			return h.onOwnPage(err)
		}
	}
	for _, check := range checksAfterRedirect {
		if err := check(ctx, a); err != nil {
			return h.refuse(ctx, w, r, a.client, a.Request, err)
		}
	}
	visitor := h.Web.Visitor(r)
	if !a.Silent && visitor.Secret == "" {
		visitor.Secret = h.Web.Browser(w, r) // an interaction is bound to it
	}
	answer, err := h.Flow.Begin(ctx, a.Request, flow.Browser(visitor))
	if err != nil {
		return err
	}
	return h.proceed(ctx, w, r, answer)
}

// proceed does what flow answered: issues the code, tells the client no, or
// sends the person to the next step.
func (h *Handler) proceed(ctx context.Context, w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	web.Log(ctx).Set("client_id", a.Request.ClientID)
	web.Log(ctx).Set("step", string(a.Step))
	switch a.Step {
	case flow.StepDone:
		return h.issue(ctx, w, r, a)
	case flow.StepRefuse:
		if err := h.spend(ctx, a); err != nil {
			return err
		}
		if err := h.Store.Flush(ctx); err != nil {
			return err
		}
		return h.refuse(ctx, w, r, a.Client, a.Request, engine.Refuse(a.Refusal, refusals[a.Refusal]))
	default:
		if err := h.Store.Flush(ctx); err != nil {
			return err
		}
		return web.SeeOther(w, a.Path)
	}
}

// issue makes the grant and spends the interaction in one unit, then sends what
// the response type asked for.
func (h *Handler) issue(ctx context.Context, w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	if err := h.spend(ctx, a); err != nil {
		return err
	}
	s := a.SignIn
	// Before its clients, as flow writes it too: two requests of one session that took
	// the two in another order could wait for each other.
	if err := h.Sessions.Touch(ctx, &s.Session); err != nil {
		return fmt.Errorf("touch session: %w", err)
	}
	out, err := h.Engine.Authorize(ctx, &engine.Authorization{
		Client: a.Client, ResponseType: a.Request.ResponseType, About: s, Decision: storage.ID(a.Decision.ID),
		Sub: h.Clients.Subject(a.Client, &s.Person), Sid: h.sid(s.Session.ID, a.Client.ID),
		RedirectURI: a.Request.RedirectURI, RedirectSent: a.Request.RedirectSent,
		Scopes: a.Request.Scopes, Resources: a.Request.Resources, Claims: a.Request.Claims,
		Nonce: a.Request.Nonce, Challenge: a.Request.Challenge,
		ACR: a.Assurance.ACR, AMR: a.Assurance.AMR, AuthTime: a.Assurance.AuthTime,
	})
	if err != nil {
		return h.refuse(ctx, w, r, a.Client, a.Request, fmt.Errorf("authorize: %w", err)) // the unit is dropped
	}
	if err := h.Store.Flush(ctx); err != nil {
		return err
	}
	var to answer
	if out.Code != "" {
		to = append(to, [2]string{"code", out.Code})
	}
	if out.IDToken != "" {
		to = append(to, [2]string{"id_token", out.IDToken})
	}
	return h.respond(w, r, a.Request, to)
}

// spend marks the interaction answered, if there is one: of two tabs that end it
// at once exactly one gets a code.
func (h *Handler) spend(ctx context.Context, a flow.Answer) error {
	if a.Interaction == nil {
		return nil
	}
	return h.Store.SpendInteraction(ctx, a.Interaction.ID, storage.At(h.Now()))
}

// refusals are the descriptions of what flow refuses (OIDC Core section 3.1.2.6).
var refusals = map[string]string{
	"login_required":                    "Nobody is signed in, or not recently enough.",
	"consent_required":                  "The person has to agree first.",
	"interaction_required":              "The person has to prove more first.",
	"account_selection_required":        "The person has to choose an account first.",
	"access_denied":                     "The person did not agree.",
	"unmet_authentication_requirements": "The authentication asked for cannot be reached.",
}

// refuse tells the client no at its redirect. A client that no operator
// registered, and this person never agreed to, gets an error only through a page
// of ours: its redirect may be an attacker's (RFC 9700 section 4.11.2).
// prompt=none is always answered; access_denied is what the person said.
func (h *Handler) refuse(ctx context.Context, w http.ResponseWriter, r *http.Request, c *storage.Client, req flow.Request, err error) error {
	var refused *engine.Error
	if !errors.As(err, &refused) {
		return err
	}
	noteDiagnosis(ctx, err)
	web.Log(ctx).Set("oauth_error", refused.Code)
	web.Log(ctx).Set("oauth_error_description", refused.Description)
	if c.RegisteredBy != storage.RegisteredByOperator && !req.Silent && refused.Code != flow.AccessDenied {
		agreed, failed := h.Flow.Agreed(ctx, flow.Browser(h.Web.Visitor(r)), c.ID)
		if failed != nil {
			return failed
		}
		if !agreed {
			return h.onOwnPage(err)
		}
	}
	h.refused.WithLabelValues("authorize", refused.Code).Inc()
	return h.respond(w, r, req, answer{{"error", refused.Code}, {"error_description", refused.Description}})
}

// onOwnPage turns a refusal into an error for a person: it must not be sent to
// an address that nobody vouches for.
func (h *Handler) onOwnPage(err error) error { return h.onPageOf("authorize", err) }

// onPageOf is onOwnPage of an endpoint by its name.
func (h *Handler) onPageOf(endpoint string, err error) error {
	var refused *engine.Error
	if !errors.As(err, &refused) {
		return err
	}
	h.refused.WithLabelValues(endpoint, refused.Code).Inc()
	shown := fault.Invalid(refused.Code, refused.Description)
	shown.Code = "client_error"
	return carryDiagnosis(shown, err)
}

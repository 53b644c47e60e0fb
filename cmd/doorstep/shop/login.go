package shop

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// The provider may start at the same moment as the shop: discovery is worth a few tries.
const (
	discoveryTries = 3
	discoveryPause = 200 * time.Millisecond
)

// provider is what the shop learned by discovery.
type provider struct {
	*oidc.Provider
	oauth      oauth2.Config
	verifier   *oidc.IDTokenVerifier
	endSession string // RP-initiated logout; empty if the provider has none
	sendsIss   bool   // every authorization response carries iss (RFC 9207)
}

// discover returns the provider, asking for its metadata until it was had once.
func (s *Shop) discover(ctx context.Context) (*provider, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for try := 1; s.provider == nil; try++ {
		p, err := s.fetchProvider(ctx)
		if err == nil {
			s.provider = p
			break
		}
		if try == discoveryTries || ctx.Err() != nil {
			return nil, &failure{status: http.StatusServiceUnavailable, title: "The sign-in desk is not open yet",
				text: "We could not reach the service that signs you in. Please try again in a moment.", again: "/login", cause: err}
		}
		select {
		case <-time.After(discoveryPause):
		case <-ctx.Done():
		}
	}
	return s.provider, nil
}

func (s *Shop) fetchProvider(ctx context.Context) (*provider, error) {
	discovered, err := oidc.NewProvider(oidc.ClientContext(ctx, s.client), s.cfg.Issuer)
	if err != nil {
		return nil, err
	}
	var metadata struct {
		EndSession string `json:"end_session_endpoint"`
		SendsIss   bool   `json:"authorization_response_iss_parameter_supported"`
	}
	if err := discovered.Claims(&metadata); err != nil {
		return nil, err
	}
	endpoint := discovered.Endpoint()
	// Said, not probed: a probe that fails would spend the code.
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	return &provider{
		Provider:   discovered,
		verifier:   discovered.Verifier(&oidc.Config{ClientID: s.cfg.ClientID, Now: s.cfg.Now}),
		endSession: metadata.EndSession,
		sendsIss:   metadata.SendsIss,
		oauth: oauth2.Config{
			ClientID:     s.cfg.ClientID,
			ClientSecret: s.cfg.ClientSecret,
			Endpoint:     endpoint,
			RedirectURL:  s.cfg.RedirectURI(),
			Scopes:       []string{oidc.ScopeOpenID, "profile", "email", s.cfg.APIScope},
		},
	}, nil
}

// login sends the visitor to the provider. One consent covers both resources: the
// issuer, for userinfo, and our API (RFC 8707 section 2.1).
func (s *Shop) login(w http.ResponseWriter, r *http.Request) error {
	p, err := s.discover(r.Context())
	if err != nil {
		return err
	}
	in := signIn{state: rand.Text(), nonce: rand.Text(), verifier: oauth2.GenerateVerifier(), next: "/me"}
	if next := r.URL.Query().Get("next"); isCarPath(next) {
		in.next = next
	}
	target, err := url.Parse(p.oauth.AuthCodeURL(in.state, oidc.Nonce(in.nonce), oauth2.S256ChallengeOption(in.verifier)))
	if err != nil {
		return fmt.Errorf("authorization endpoint: %w", err)
	}
	query := target.Query()
	query["resource"] = []string{s.cfg.Issuer, s.cfg.APIAudience} // x/oauth2 has no repeated parameters
	target.RawQuery = query.Encode()

	s.setCookie(w, signInCookie, s.signIns.put(in), signInAge)
	http.Redirect(w, r, target.String(), http.StatusSeeOther)
	return nil
}

// callback ends what login began: it checks that the answer is for this browser, from
// this provider, and fresh, and opens a session under a new name.
func (s *Shop) callback(w http.ResponseWriter, r *http.Request) error {
	p, err := s.discover(r.Context())
	if err != nil {
		return err
	}
	in, known := s.signIns.take(cookie(r, signInCookie))
	s.setCookie(w, signInCookie, "", 0)
	answer := r.URL.Query()
	if err := checkAnswer(answer, in, known); err != nil {
		return &failure{status: http.StatusBadRequest, title: "This sign-in is not one that we know", again: "/login", cause: err,
			text: "It was begun in another window, or it took too long, or it was used already. Nothing has happened; please start again."}
	}
	if err := s.checkIssuer(answer, p); err != nil {
		return &failure{status: http.StatusBadRequest, title: "That answer came from somewhere else", again: "/login", cause: err,
			text: "We asked one service to sign you in and another one answered. We did not sign you in."}
	}
	if code := answer.Get("error"); code != "" {
		return refusedSignIn(code, answer.Get("error_description"))
	}
	sess, err := s.redeem(r.Context(), p, in, answer.Get("code"))
	if err != nil {
		return &failure{status: http.StatusBadGateway, title: "We could not finish signing you in", again: "/login", cause: err,
			text: "The sign-in service answered in a way that we do not accept. Please start again."}
	}
	s.sessions.take(cookie(r, sessionCookie)) // whoever was here before
	s.setCookie(w, sessionCookie, s.sessions.put(sess), sessionAge)
	s.log.InfoContext(r.Context(), "shop: signed in", "sub", sess.person.Subject, "acr", sess.person.acr)
	http.Redirect(w, r, in.next, http.StatusSeeOther)
	return nil
}

// checkAnswer holds an authorization response against the request that this browser
// made (RFC 6749 sections 3.1 and 10.12).
func checkAnswer(answer url.Values, in signIn, known bool) error {
	for name, values := range answer {
		if len(values) > 1 {
			return fmt.Errorf("parameter %q is repeated", name)
		}
	}
	if !known {
		return errors.New("this browser began no sign-in")
	}
	if subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(in.state)) != 1 {
		return errors.New("the state is another")
	}
	return nil
}

// checkIssuer defends against mix-up (RFC 9207 section 2.4).
func (s *Shop) checkIssuer(answer url.Values, p *provider) error {
	iss, sent := answer.Get("iss"), answer.Has("iss")
	if sent && iss != s.cfg.Issuer || !sent && p.sendsIss {
		return fmt.Errorf("iss is %q, not %q", iss, s.cfg.Issuer)
	}
	return nil
}

// refusedSignIn tells what an error response means, calmly (OpenID Connect Core 3.1.2.6).
func refusedSignIn(code, description string) error {
	f := &failure{status: http.StatusOK, title: "You are not signed in", again: "/login",
		cause: fmt.Errorf("%s: %s", code, description)}
	switch code {
	case "access_denied":
		f.text = "You chose not to share anything with us, and that is fine: the cars can be looked at without it."
	case "login_required", "interaction_required", "consent_required", "account_selection_required":
		f.text = "The sign-in service would have needed to ask you something first."
	case "temporarily_unavailable", "server_error":
		f.text = "The sign-in service is having a moment. Please try again soon."
	default:
		f.text = fmt.Sprintf("The sign-in service turned our request down (%.80s). It has been noted for our staff.", code)
	}
	return f
}

// logout ends the session here and then at the provider (OpenID Connect RP-Initiated
// Logout 1.0 section 2). The state comes back to the home page, which then says so.
func (s *Shop) logout(w http.ResponseWriter, r *http.Request) error {
	sess, _ := s.sessions.take(cookie(r, sessionCookie))
	s.setCookie(w, sessionCookie, "", 0)
	state := rand.Text()
	s.setCookie(w, signOutCookie, state, signInAge)
	home := "/?" + url.Values{"state": {state}}.Encode()
	if sess == nil {
		http.Redirect(w, r, home, http.StatusSeeOther)
		return nil
	}
	p, err := s.discover(r.Context())
	if err != nil {
		return err
	}
	if p.endSession == "" {
		http.Redirect(w, r, home, http.StatusSeeOther)
		return nil
	}
	target, err := url.Parse(p.endSession)
	if err != nil {
		return fmt.Errorf("end_session_endpoint: %w", err)
	}
	query := target.Query()
	query.Set("id_token_hint", sess.rawIDToken)
	query.Set("client_id", s.cfg.ClientID)
	query.Set("post_logout_redirect_uri", s.cfg.BaseURL+"/")
	query.Set("state", state)
	target.RawQuery = query.Encode()
	http.Redirect(w, r, target.String(), http.StatusSeeOther)
	return nil
}

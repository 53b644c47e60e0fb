package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/spf13/cobra"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/doorstep-id/doorstep/provider/api"
)

// tryPatience is for how long a person may take to sign in.
const tryPatience = 10 * time.Minute

// tryout is one run of 'client try'.
type tryout struct {
	app       *app
	issuer    string
	client    api.Client
	secret    string // "" for a public client
	raw       bool
	noBrowser bool
}

func (a *app) tryClientCommand() *cobra.Command {
	t := tryout{app: a}
	var secretStdin bool
	cmd := &cobra.Command{
		Use:   "try ID",
		Short: "Sign in as a client and show what its tokens say",
		Long: `Sign in through the browser as a client, and print every token that it gets, one line
for each claim and what it means; for a service, the token that it gets by itself. The
server has to run. Tokens themselves are printed with --raw alone.

A loopback redirect of the client is listened on, so one has to be registered and
free; a client that runs at it is to be stopped for the moment. A confidential
client's secret is read from stdin with --secret-stdin: only its hash is kept here.`,
		Example: `  doorstep client try shop --secret-stdin < secret.txt
  doorstep client try app --no-browser`,
		Args: cobra.ExactArgs(1),
		RunE: a.onAPI(func(ctx context.Context, o *operators, args []string) error {
			t.issuer = o.issuer()
			if err := o.get(ctx, clientAt(args[0]), &t.client); err != nil {
				return notFound(err, "client", args[0])
			}
			if err := t.readSecret(secretStdin); err != nil {
				return err
			}
			if slices.Contains(t.client.GrantTypes, "authorization_code") {
				return t.signIn(ctx)
			}
			return t.service(ctx)
		}),
	}
	flags := cmd.Flags()
	flags.BoolVar(&secretStdin, "secret-stdin", false, "read the client's secret from stdin")
	flags.BoolVar(&t.raw, "raw", false, "print the tokens themselves too: whoever reads them can use them")
	flags.BoolVar(&t.noBrowser, "no-browser", false, "only print the address to open")
	return cmd
}

// readSecret reads the secret of a client that has one.
func (t *tryout) readSecret(stdin bool) (err error) {
	switch t.client.TokenEndpointAuthMethod {
	case "none":
		return nil
	case "client_secret_basic", "client_secret_post":
	default:
		return fmt.Errorf("%s proves itself by %s, with a key that is not here", t.client.ClientID, t.client.TokenEndpointAuthMethod)
	}
	if !stdin {
		return &usageError{"--secret-stdin is missing: the client has a secret, of which only the hash is kept; 'doorstep client rotate-secret " + t.client.ClientID + "' makes another"}
	}
	t.secret, err = t.app.readPassword()
	if err != nil {
		err = errors.New("there is no secret on stdin")
	}
	return err
}

func (t *tryout) style() oauth2.AuthStyle {
	if t.client.TokenEndpointAuthMethod == "client_secret_basic" {
		return oauth2.AuthStyleInHeader
	}
	return oauth2.AuthStyleInParams
}

// service shows the token that a service gets by itself.
func (t *tryout) service(ctx context.Context) error {
	conf := clientcredentials.Config{
		ClientID: t.client.ClientID, ClientSecret: t.secret, AuthStyle: t.style(), Scopes: strings.Fields(t.client.Scope),
		TokenURL: (&snippet{Issuer: t.issuer}).TokenURL(),
	}
	token, err := conf.Token(ctx)
	if err != nil {
		return err
	}
	return t.show("access token", token.AccessToken)
}

// listen opens the first loopback redirect of the client that is free, and returns
// the redirect with its port.
func (t *tryout) listen(ctx context.Context) (net.Listener, *url.URL, error) {
	problem := fmt.Errorf("%s has no loopback redirect to listen on; register one beside its own:\n  %s", t.client.ClientID, t.registerCommand())
	for _, uri := range t.client.RedirectURIs {
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "http" { // http is registered for loopback alone
			continue
		}
		port := u.Port()
		if port == "" && t.client.ApplicationType == "native" && net.ParseIP(u.Hostname()) != nil {
			port = "0" // free at run time (RFC 8252 section 7.3)
		}
		if port == "" {
			port = "80"
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
		if err != nil {
			problem = fmt.Errorf("%s cannot be listened on: stop what runs there for the moment (%w)", uri, err)
			continue
		}
		if port == "0" {
			_, port, _ = net.SplitHostPort(l.Addr().String()) // an address of our own
			u.Host = net.JoinHostPort(u.Hostname(), port)
		}
		return l, u, nil
	}
	return nil, nil, problem
}

func (t *tryout) registerCommand() string {
	uris, _ := json.Marshal(append(slices.Clone(t.client.RedirectURIs), "http://127.0.0.1:8400/callback")) // strings always can be
	return fmt.Sprintf("echo %s | doorstep client update %s --file -", shell(`{"redirect_uris": `+string(uris)+`}`), t.client.ClientID)
}

// signIn signs a person in through the browser, and shows what came of it.
func (t *tryout) signIn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tryPatience)
	defer cancel()
	op, err := oidc.NewProvider(ctx, t.issuer)
	if err != nil {
		return fmt.Errorf("the server does not answer: does it run? (%w)", err)
	}
	l, redirect, err := t.listen(ctx)
	if err != nil {
		return err
	}
	endpoint := op.Endpoint()
	endpoint.AuthStyle = t.style()
	conf := oauth2.Config{
		ClientID: t.client.ClientID, ClientSecret: t.secret, Endpoint: endpoint, RedirectURL: redirect.String(), Scopes: strings.Fields(t.client.Scope),
	}
	state, nonce, verifier := oauth2.GenerateVerifier(), oauth2.GenerateVerifier(), oauth2.GenerateVerifier()
	address := conf.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier), oidc.Nonce(nonce))
	fmt.Fprintf(t.app.stderr, "Open this in a browser and sign in:\n\n  %s\n\n", address)
	if !t.noBrowser {
		openBrowser(ctx, address)
	}
	answer, err := awaitAnswer(ctx, l, redirect.Path, state, t.issuer)
	if err != nil {
		return err
	}
	if answer.Has("error") {
		return fmt.Errorf("the answer is %s: %s", answer.Get("error"), answer.Get("error_description"))
	}
	token, err := conf.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		return err
	}
	return t.showAll(ctx, op, token, nonce)
}

func (t *tryout) showAll(ctx context.Context, op *oidc.Provider, token *oauth2.Token, nonce string) error {
	if raw, ok := token.Extra("id_token").(string); ok {
		verified, err := op.Verifier(&oidc.Config{ClientID: t.client.ClientID, SupportedSigningAlgs: []string{"RS256", "ES256", "EdDSA", "PS256"}}).Verify(ctx, raw)
		if err != nil {
			return err
		}
		if verified.Nonce != nonce {
			return errors.New("the ID token is for another sign-in")
		}
		if err := t.show("ID token", raw); err != nil {
			return err
		}
	}
	if err := t.show("access token", token.AccessToken); err != nil {
		return err
	}
	if token.RefreshToken != "" {
		fmt.Fprintln(t.app.stdout, "refresh token\n  there is one; it says nothing to a client")
		t.showRaw(token.RefreshToken)
	}
	if !slices.Contains(strings.Fields(t.client.Scope), oidc.ScopeOpenID) {
		return nil
	}
	info, err := op.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return err
	}
	claims := map[string]any{}
	if err := info.Claims(&claims); err != nil {
		return err
	}
	return t.showClaims("userinfo", claims)
}

// awaitAnswer waits for the answer to the request of this state at path, and tells
// the person to come back here. What else arrives there is nobody's business.
func awaitAnswer(ctx context.Context, l net.Listener, path, state, issuer string) (url.Values, error) {
	answers := make(chan url.Values, 1)
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.URL.Path != path || q.Get("state") != state || q.Get("iss") != issuer {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; img-src data:")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintln(w, `<!doctype html><html lang="en"><title>Done</title><link rel="icon" href="data:,"><p>Done. Go back to the terminal; this page can be closed.`)
		select {
		case answers <- q:
		default: // it came twice
		}
	})}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = server.Shutdown(last) // the page that it shows need not arrive
	}()
	select {
	case q := <-answers:
		return q, nil
	case err := <-failed:
		return nil, err
	case <-ctx.Done():
		return nil, errors.New("nobody signed in")
	}
}

// openBrowser opens an address in the browser of whoever sits here, if it can.
func openBrowser(ctx context.Context, address string) {
	command := map[string][]string{"darwin": {"open"}, "windows": {"rundll32", "url.dll,FileProtocolHandler"}}[runtime.GOOS]
	if command == nil {
		command = []string{"xdg-open"}
	}
	_ = exec.CommandContext(ctx, command[0], append(command[1:], address)...).Start() //nolint:gosec // our own address; without a browser it was printed
}

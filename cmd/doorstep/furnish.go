package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/doorstep-id/doorstep/cmd/doorstep/shop"
	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

// Who and what the demo's database is furnished with.
const (
	demoEmail    = "ada@example.com"
	demoPassword = "correct horse battery"
	demoClient   = "shop"
	demoScope    = "cars:reserve"
	demoScopes   = "openid profile email" // beside it
)

// furnish makes the demo's person, resource and client unless a start before this
// one did, and returns the shop's configuration.
func (d *demo) furnish(ctx context.Context, s *provider.Services, issuer string) (shop.Config, error) {
	base := fmt.Sprintf("http://localhost:%d", d.shopPort)
	cfg := shop.Config{
		Issuer: issuer, ClientID: demoClient, BaseURL: base, APIAudience: base + "/api", APIScope: demoScope,
		Mails: mailboxPath, Now: d.now, Log: d.log,
	}
	_, err := s.Directory.ByEmail(ctx, demoEmail)
	if errors.Is(err, storage.ErrNotFound) {
		_, err = s.CreatePerson(ctx, directory.NewPerson{
			Email: demoEmail, Name: "Ada Lovelace", Verified: true,
			Claims: directory.Claims{GivenName: "Ada", FamilyName: "Lovelace"},
		}, demoPassword, events.ActorOperator)
	}
	if err != nil {
		return cfg, fmt.Errorf("demo person: %w", err)
	}
	if err := ensureResource(ctx, s, cfg.APIAudience); err != nil {
		return cfg, fmt.Errorf("demo resource: %w", err)
	}
	if cfg.ClientSecret, err = ensureClient(ctx, s, cfg, filepath.Join(d.data, "shop-secret")); err != nil {
		return cfg, fmt.Errorf("demo client: %w", err)
	}
	return cfg, nil
}

// ensureResource makes the shop's API known under its audience, and forgets the one
// that a start on another port left: a scope has one resource.
func ensureResource(ctx context.Context, s *provider.Services, audience string) error {
	all, err := s.Clients.ListResources(ctx)
	if err != nil {
		return err
	}
	known := false
	for _, r := range all {
		switch {
		case r.Audience == audience:
			known = true
		case r.Scopes.Has(demoScope):
			if err := forgetResource(ctx, s, r.Audience); err != nil {
				return err
			}
		}
	}
	if known {
		return nil
	}
	_, err = s.Clients.CreateResource(ctx, &storage.Resource{
		Audience: audience, Name: "Forecourt Motors reservations", Scopes: storage.Strings{demoScope},
	}, events.ActorOperator)
	return err
}

// forgetResource removes a resource that the shop lets go of first; ensureClient
// gives it the one that there is now.
func forgetResource(ctx context.Context, s *provider.Services, audience string) error {
	_, err := s.Clients.Update(ctx, demoClient, []byte(`{"scope": "`+demoScopes+`"}`), events.ActorOperator)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	return s.Clients.DeleteResource(ctx, audience, events.ActorOperator)
}

// ensureClient makes the shop known where it is now and returns its secret, which
// is kept in a file of the data directory.
func ensureClient(ctx context.Context, s *provider.Services, cfg shop.Config, secretFile string) (string, error) {
	kept, err := readFile(secretFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	c, err := s.Clients.Show(ctx, demoClient)
	if err == nil && s.Clients.Authenticate(c, string(kept)) {
		m := c.Metadata.V
		if slices.Equal(m.RedirectURIs, []string{cfg.RedirectURI()}) && m.Scope == demoScopes+" "+demoScope {
			return string(kept), nil
		}
		patch, err := json.Marshal(map[string]any{
			"redirect_uris":             []string{cfg.RedirectURI()},
			"post_logout_redirect_uris": []string{cfg.BaseURL + "/"},
			"client_uri":                cfg.BaseURL,
			"scope":                     demoScopes + " " + demoScope,
		})
		if err != nil {
			return "", err
		}
		_, err = s.Clients.Update(ctx, demoClient, patch, events.ActorOperator)
		return string(kept), err
	}
	if err == nil { // its secret was lost
		err = s.Clients.Delete(ctx, demoClient, events.ActorOperator)
	}
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return "", err
	}
	r := clients.Registration{ClientID: demoClient, Name: "Forecourt Motors"}
	r.RedirectURIs, r.PostLogoutRedirectURIs = []string{cfg.RedirectURI()}, []string{cfg.BaseURL + "/"}
	r.GrantTypes = []string{"authorization_code", "refresh_token"}
	r.Scope, r.ClientURI = demoScopes+" "+demoScope, cfg.BaseURL
	_, secret, err := s.Clients.Create(ctx, r, events.ActorOperator)
	if err != nil {
		return "", err
	}
	return secret, os.WriteFile(secretFile, []byte(secret), 0o600)
}

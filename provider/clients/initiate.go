package clients

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/doorstep-id/doorstep/storage"
)

// What is added to an initiate_login_uri (OIDC Core section 4). There is no
// login_hint: who is at the browser is for the client to hear from us.
const (
	paramIssuer = "iss"
	paramTarget = "target_link_uri"
	paramHint   = "login_hint"
)

// LoginURL returns where a person goes to have a client begin their sign-in (OIDC
// Core section 4), and come to its own page if it has named one; "" if it cannot.
func (s *Service) LoginURL(c *storage.Client) string {
	m := &c.Metadata.V
	if m.InitiateLoginURI == "" {
		return ""
	}
	added := paramIssuer + "=" + url.QueryEscape(s.cfg.Issuer)
	if m.ClientURI != "" {
		added += "&" + paramTarget + "=" + url.QueryEscape(m.ClientURI)
	}
	if strings.Contains(m.InitiateLoginURI, "?") {
		return m.InitiateLoginURI + "&" + added // what is registered stays as it is
	}
	return m.InitiateLoginURI + "?" + added
}

// initiates checks where a client begins a sign-in.
func (f *faults) initiates(r *Registration) {
	uri := r.InitiateLoginURI
	if uri == "" {
		return
	}
	if problem := pageProblem(uri); problem != "" {
		f.add("initiate_login_uri", "%q %s", shortened(uri), problem)
	} else if u, err := url.Parse(uri); err == nil {
		for _, name := range []string{paramIssuer, paramTarget, paramHint} {
			if u.Query().Has(name) {
				f.add("initiate_login_uri", "has the parameter %s, which is added when it is opened", name)
			}
		}
	}
	if !slices.Contains(r.GrantTypes, grantCode) {
		f.add("initiate_login_uri", "needs the grant %s", grantCode)
	}
}

// openSet is the clients that anybody may open, at one moment.
type openSet struct {
	read moment
	all  []storage.Client
}

// Openable returns the enabled clients of the operator's own (first_party) that
// have an initiate_login_uri, by id, which the caller must not change. They may
// have been changed meanwhile.
func (s *Service) Openable(ctx context.Context) ([]storage.Client, error) {
	set := s.openable.Load()
	if set == nil || !s.fresh(set.read, &s.eras.lists) {
		var err error
		read := s.begin(&s.eras.lists)
		if set, err = shared(ctx, &s.reads, read.reading("openable"), func(ctx context.Context) (*openSet, error) { return s.readOpenable(ctx, read) }); err != nil {
			return nil, err
		}
	}
	return set.all, nil
}

func (s *Service) readOpenable(ctx context.Context, began moment) (*openSet, error) {
	const page = 500
	set := &openSet{read: began}
	for after := ""; ; {
		some, err := s.store.ClientsThatInitiate(ctx, after, page)
		if err != nil {
			return nil, fmt.Errorf("clients to open: %w", err)
		}
		for i := range some {
			if some[i].Metadata.V.FirstParty {
				set.all = append(set.all, some[i])
			}
		}
		if len(some) < page {
			break
		}
		after = some[len(some)-1].ID
	}
	s.openable.Store(set)
	return set, nil
}

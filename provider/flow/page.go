package flow

import (
	"context"
	"fmt"

	"github.com/doorstep-id/doorstep/storage"
)

// Page is one of our own pages that only somebody who is signed in may see. Where
// it is, Config.Paths.Pages says: no address to return to ever comes from outside.
type Page string

// PageApps is that of what may use the account.
const PageApps Page = "apps"

// PageSetupDone is where the first operator's set-up ends.
const PageSetupDone Page = "setup-done"

// Visit answers whether whoever is at this browser may see a page of ours, as
// [Service.Begin] does for a client: at StepDone they may, at a step that asks
// they go to its Path and come back to the page from there.
func (s *Service) Visit(ctx context.Context, page Page, b Browser) (Answer, error) {
	return s.Begin(ctx, Request{Page: page}, b)
}

// asks returns who asks, and in which kind of interaction: a client, or nil for a
// page of ours.
func (s *Service) asks(ctx context.Context, r Request) (client *storage.Client, kind string, err error) {
	if r.Page == "" {
		client, err = s.clients.Get(ctx, r.ClientID)
		return client, kindAuthorize, err
	}
	if s.cfg.Paths.Pages[r.Page] == "" {
		return nil, "", fmt.Errorf("page %q is none of ours", r.Page)
	}
	return nil, kindPage, nil
}

// pagePath is where a request for a page of ours ends. One that was refused ends
// there as well: the page asks again, and says so.
func (s *Service) pagePath(a Answer) string {
	if a.Progress.Cancelled {
		return s.cfg.Paths.Home
	}
	return s.cfg.Paths.Pages[a.Request.Page]
}

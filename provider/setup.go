package provider

import (
	"context"
	"net/url"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/web"
)

// SetupLink makes the one-time link by which the first operator comes in, below the
// configured issuer; the one that there was is dead from now on. storage.ErrSpent:
// there is an operator already.
func (s *Services) SetupLink(ctx context.Context, issuer *url.URL, by events.Actor) (string, error) {
	secret, err := s.Directory.OfferSetup(ctx, by)
	if err != nil {
		return "", err
	}
	link := *issuer
	link.Path, link.RawQuery = link.Path+web.PathSetup, url.Values{web.ParamSetupKey: {secret}}.Encode()
	return link.String(), nil
}

package provider

import (
	"context"
	"net/url"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/web"
)

// SetupLink makes the one-time link by which the first operator comes in, below the
// configured issuer; the one that there was is dead from now on. storage.ErrSpent:
// there is an operator already.
func (s *Services) SetupLink(ctx context.Context, issuer *url.URL, by events.Actor) (string, error) {
	made, err := s.Directory.OfferSetup(ctx, by)
	if err != nil {
		return "", err
	}
	return setupLink(issuer, made.Secret), nil
}

// EnsureSetupLink is [Services.SetupLink] where there is no link that works: the link is
// "" where there is one, which works until then. It is for whoever starts, of which there
// may be many, at any time.
func (s *Services) EnsureSetupLink(ctx context.Context, issuer *url.URL, by events.Actor) (link string, until time.Time, err error) {
	made, err := s.Directory.EnsureSetup(ctx, by)
	if err != nil || made.Secret == "" {
		return "", made.Until, err
	}
	return setupLink(issuer, made.Secret), made.Until, nil
}

func setupLink(issuer *url.URL, secret string) string {
	link := *issuer
	link.Path, link.RawQuery = link.Path+web.PathSetup, url.Values{web.ParamSetupKey: {secret}}.Encode()
	return link.String()
}

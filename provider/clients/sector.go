package clients

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/outbound"
	"github.com/doorstep-id/doorstep/storage"
)

const (
	fieldSector = "sector_identifier_uri"
	statusOK    = 200
)

// checkSector fetches the sector_identifier_uri of a registration: it must list
// every redirect, or anybody could join another's sector and learn its subjects
// (OIDC Core section 8.1, Registration section 5). What stood in the registration
// before, nil for a new one, was fetched then, and is not again. operator: it was an
// operator who named the URI, so that it may reach what outbound.allow names.
func (s *Service) checkSector(ctx context.Context, before *storage.ClientMetadata, after *storage.ClientMetadata, operator bool) error {
	uri := after.SectorIdentifierURI
	if uri == "" {
		return nil
	}
	if before != nil && before.SectorIdentifierURI == uri &&
		!slices.ContainsFunc(after.RedirectURIs, func(r string) bool { return !slices.Contains(before.RedirectURIs, r) }) {
		return nil
	}
	listed, err := s.sectorList(ctx, uri, operator)
	if err != nil {
		return err
	}
	var f faults
	for _, redirect := range after.RedirectURIs {
		if !slices.Contains(listed, redirect) {
			f.add(fieldSector, "does not list the redirect %q", shortened(redirect))
		}
	}
	return fault.Join(f...)
}

// sectorList returns what a sector_identifier_uri lists. What is shown of a failure
// is the same for each of them that happens on the way there.
func (s *Service) sectorList(ctx context.Context, uri string, operator bool) ([]string, error) {
	unreachable := func(cause error) error {
		f := fault.Invalid(fieldSector, "could not be fetched")
		f.Err = cause
		return f
	}
	answer, err := s.cfg.Out.Get(ctx, outbound.Request{URL: uri, Operator: operator, Accept: "application/json"})
	var failed *outbound.Error
	switch {
	case errors.As(err, &failed):
		return nil, unreachable(err)
	case err != nil:
		return nil, fmt.Errorf("sector: %w", err)
	case answer.Status != statusOK:
		return nil, unreachable(fmt.Errorf("status %d", answer.Status))
	}
	var listed []string
	if err := json.Unmarshal(answer.Body, &listed); err != nil || listed == nil {
		f := fault.Invalid(fieldSector, "is not a JSON array of redirects")
		f.Err = err
		return nil, f
	}
	return listed, nil
}

package clients

import (
	"context"
	"fmt"
	"net/url"
	"strings"
)

// placeSet is where all clients are at one moment: the origins of their redirects, and
// their apps.
type placeSet struct {
	read moment // when the mark was last asked for
	mark string // of the clients that the rest comes from
	all  map[string]bool
	apps Apps
}

// AllowsOrigin reports whether origin, as a browser writes it (RFC 6454 section
// 6.2), is that of a redirect of an enabled client: its pages may read what the
// token-style endpoints answer. It may have been changed meanwhile.
func (s *Service) AllowsOrigin(ctx context.Context, origin string) (bool, error) {
	set, err := s.places(ctx)
	if err != nil {
		return false, err
	}
	return set.all[origin], nil
}

func (s *Service) places(ctx context.Context) (*placeSet, error) {
	if set := s.placed.Load(); set != nil && s.fresh(set.read, &s.eras.lists) {
		return set, nil
	}
	read := s.begin(&s.eras.lists)
	return shared(ctx, &s.reads, read.reading("places"), func(ctx context.Context) (*placeSet, error) { return s.readPlaces(ctx, read) })
}

// readPlaces returns the places as they are. Anybody may send any Origin, so it
// reads the clients only when one was changed, and of them their places only.
func (s *Service) readPlaces(ctx context.Context, began moment) (*placeSet, error) {
	known := s.placed.Load()
	// Before the clients: what changes while they are read is read next time.
	mark, err := s.store.ClientsMark(ctx)
	if err != nil {
		return nil, fmt.Errorf("places of clients: %w", err)
	}
	set := &placeSet{read: began, mark: mark}
	if known != nil && known.mark == mark {
		set.all, set.apps = known.all, known.apps
	} else if err := s.allPlaces(ctx, set); err != nil {
		return nil, err
	}
	s.placed.Store(set)
	return set, nil
}

func (s *Service) allPlaces(ctx context.Context, set *placeSet) error {
	const page = 500
	set.all, set.apps.origins = map[string]bool{}, map[string]bool{}
	for after := ""; ; {
		some, err := s.store.Places(ctx, after, page)
		if err != nil {
			return fmt.Errorf("places of clients: %w", err)
		}
		for i := range some {
			for _, uri := range some[i].URIs {
				if origin := originOf(uri); origin != "" {
					set.all[origin] = true
				}
			}
			set.apps.add(&some[i])
		}
		if len(some) < page {
			set.apps.order()
			return nil
		}
		after = some[len(some)-1].ID
	}
}

// originOf returns the origin of a redirect as a browser writes it, "" if browsers
// send none from there.
func originOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	host := strings.ToLower(u.Host)
	return u.Scheme + "://" + strings.TrimSuffix(host, map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
}

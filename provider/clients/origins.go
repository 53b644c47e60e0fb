package clients

import (
	"context"
	"fmt"
	"net/url"
	"strings"
)

// originSet is the origins of every client's redirects at one moment.
type originSet struct {
	read moment // when the mark was last asked for
	mark string // of the clients that all comes from
	all  map[string]bool
}

// AllowsOrigin reports whether origin, as a browser writes it (RFC 6454 section
// 6.2), is that of a redirect of an enabled client: its pages may read what the
// token-style endpoints answer. It may have been changed meanwhile.
func (s *Service) AllowsOrigin(ctx context.Context, origin string) (bool, error) {
	set := s.origins.Load()
	if set == nil || !s.fresh(set.read, &s.eras.lists) {
		var err error
		read := s.begin(&s.eras.lists)
		if set, err = shared(ctx, &s.reads, read.reading("origins"), func(ctx context.Context) (*originSet, error) { return s.readOrigins(ctx, read) }); err != nil {
			return false, err
		}
	}
	return set.all[origin], nil
}

// readOrigins returns the origins as they are. Anybody may send any Origin, so it
// reads the clients only when one was changed, and of them their redirects only.
func (s *Service) readOrigins(ctx context.Context, began moment) (*originSet, error) {
	known := s.origins.Load()
	// Before the clients: what changes while they are read is read next time.
	mark, err := s.store.ClientsMark(ctx)
	if err != nil {
		return nil, fmt.Errorf("origins: %w", err)
	}
	set := &originSet{read: began, mark: mark}
	if known != nil && known.mark == mark {
		set.all = known.all
	} else if set.all, err = s.allOrigins(ctx); err != nil {
		return nil, err
	}
	s.origins.Store(set)
	return set, nil
}

func (s *Service) allOrigins(ctx context.Context) (map[string]bool, error) {
	const page = 500
	all := map[string]bool{}
	for after := ""; ; {
		some, err := s.store.Redirects(ctx, after, page)
		if err != nil {
			return nil, fmt.Errorf("origins: %w", err)
		}
		for _, client := range some {
			for _, uri := range client.URIs {
				if origin := originOf(uri); origin != "" {
					all[origin] = true
				}
			}
		}
		if len(some) < page {
			return all, nil
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

package clients

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/outbound"
	"github.com/doorstep-id/doorstep/storage"
)

// How long the keys that a client publishes are used without asking again, how long
// they serve on while asking fails, and how long between two questions, whoever
// makes us ask; how long a question may take, and how long a request whose keys are
// known waits for it. The last two together are less than a request has (5 s), so
// that an address that hangs is the client's error and not ours.
const (
	publishedFresh = 15 * time.Minute
	publishedStale = 24 * time.Hour
	publishedPause = time.Minute
	publishedTime  = 3 * time.Second
	publishedGrace = time.Second
)

// published is what is remembered of the jwks_uri of clients.
type published struct {
	mu   sync.Mutex
	sets map[string]publishedSet // by the client's id
}

// publishedSet is what a jwks_uri answered.
type publishedSet struct {
	uri   string
	keys  keySet
	at    time.Time // when the keys came; zero: never
	tried time.Time // when they were last asked for
	err   error     // what came of that
}

// usable returns the keys if they are not too old, else what went wrong.
func (p publishedSet) usable(now time.Time) (keySet, error) {
	if !p.at.IsZero() && now.Sub(p.at).Abs() < publishedStale {
		return p.keys, nil
	}
	return nil, p.err
}

func (p publishedSet) mayAsk(now time.Time) bool { return now.Sub(p.tried).Abs() >= publishedPause }

// of returns what is known of the client's jwks_uri; one that was changed is unknown.
func (p *published) of(c *storage.Client) publishedSet {
	p.mu.Lock()
	defer p.mu.Unlock()
	if set := p.sets[c.ID]; set.uri == c.Metadata.V.JWKSURI {
		return set
	}
	return publishedSet{uri: c.Metadata.V.JWKSURI}
}

func (p *published) put(id string, set publishedSet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.sets[id]; !known && len(p.sets) >= maxHeld {
		for other := range p.sets { // any one: it will be asked again
			delete(p.sets, other)
			break
		}
	}
	p.sets[id] = set
}

// errNotFetched says that a client's keys are not to be had.
var errNotFetched = errors.New("cannot be checked, as the jwks_uri could not be read")

// signedByKey returns nil if a key of the client's signed the token. Keys that a
// client publishes are asked for again if none of those known is the one: it may be
// new.
func (s *Service) signedByKey(ctx context.Context, c *storage.Client, token *keys.Foreign) error {
	m := &c.Metadata.V
	if m.JWKSURI == "" {
		set, err := usableKeys(m.JWKS)
		if err != nil {
			return fmt.Errorf("keys of client %s: %w", c.ID, err)
		}
		return set.verify(token)
	}
	set, err := s.publishedKeys(ctx, c, false)
	if err != nil {
		return err
	}
	err = set.verify(token)
	if errors.Is(err, errUnknownKey) || err != nil && token.KID == "" {
		if set, err = s.publishedKeys(ctx, c, true); err != nil {
			return err
		}
		err = set.verify(token)
	}
	return err
}

// publishedKeys returns the keys at the client's jwks_uri. They are asked for if
// they are unknown or old, or if anew is set; never twice within a minute. Whoever
// needs them meanwhile waits for the one question, but with keys that are only old
// not for longer than a moment: enough to learn of one that was taken out from an
// address that answers. Requests of other clients do not wait.
func (s *Service) publishedKeys(ctx context.Context, c *storage.Client, anew bool) (keySet, error) {
	now, known := s.now(), s.published.of(c)
	fresh := !known.at.IsZero() && now.Sub(known.at).Abs() < publishedFresh
	if fresh && !anew || !known.mayAsk(now) {
		return known.usable(now)
	}
	held, _ := known.usable(now)
	servesOn := len(held) > 0 && !anew
	if servesOn {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, publishedGrace) // of the wait: the question goes on
		defer cancel()
	}
	found, err := shared(ctx, &s.reads, "jwks "+c.ID+" "+known.uri, func(ctx context.Context) (keySet, error) { return s.fetchKeys(ctx, c) })
	if err != nil && servesOn {
		return held, nil
	}
	return found, err
}

// fetchKeys asks a client for its keys, unless somebody just has.
func (s *Service) fetchKeys(ctx context.Context, c *storage.Client) (keySet, error) {
	now, set := s.now(), s.published.of(c)
	if !set.mayAsk(now) {
		return set.usable(now)
	}
	found, err := s.askForKeys(ctx, c)
	set.tried, set.err = now, nil
	if err != nil {
		set.err = fmt.Errorf("%w: %w", errNotFetched, err)
	} else {
		set.keys, set.at = found, now
	}
	s.published.put(c.ID, set)
	return set.usable(now)
}

func (s *Service) askForKeys(ctx context.Context, c *storage.Client) (keySet, error) {
	ctx, cancel := context.WithTimeout(ctx, publishedTime)
	defer cancel()
	answer, err := s.cfg.Out.Get(ctx, outbound.Request{
		URL: c.Metadata.V.JWKSURI, Operator: c.RegisteredBy == storage.RegisteredByOperator,
		Accept: "application/jwk-set+json, application/json",
	})
	if err != nil {
		return nil, err
	}
	if answer.Status != 200 {
		return nil, fmt.Errorf("answered with status %d", answer.Status)
	}
	found, err := usableKeys(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("answered with what is no set of keys: %w", err)
	}
	return found, nil
}

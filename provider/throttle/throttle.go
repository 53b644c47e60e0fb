// Package throttle limits how often something may be tried. The counters are in
// the database, so that the limits hold over every replica and every path to the
// same door; a counter is named by a keyed hash, so that neither an address nor
// a name stands there in the clear.
//
// It must never tell an account that exists from one that does not, lock an
// owner out for good, or count in memory. [Service.Key] is the one function that
// names a counter.
package throttle

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/storage"
)

// Limit is a bucket of Burst tokens into which one falls Every so often, until
// it is full (the generic cell rate algorithm). Name keeps buckets apart.
type Limit struct {
	Name  string
	Every time.Duration
	Burst int
}

// Service takes tokens. It is safe for concurrent use.
type Service struct {
	// Refused, if set before the service is used, is told the name of a limit that sent somebody away.
	Refused func(limit string)
	// Lost, likewise, is told why a token could not be put back whose request had ended.
	Lost func(err error)

	store *storage.Store
	key   [32]byte
	now   func() time.Time

	late    chan struct{} // a place for each that is put back by itself
	waiting sync.Mutex    // of those who wait for all places
}

// maxLate is how many tokens are put back at once after their requests have ended.
const maxLate = 64

// New returns the service; key is the MAC key of the counters' names.
func New(store *storage.Store, key [32]byte, now func() time.Time) *Service {
	return &Service{store: store, key: key, now: now, late: make(chan struct{}, maxLate)}
}

// Key returns the name of the counter for these parts, which must be canonical
// (an address by [Block], an e-mail address by ident): HMAC-SHA256, every part
// with its length, so that no two lists of parts have one name.
func (s *Service) Key(parts ...string) []byte {
	mac := hmac.New(sha256.New, s.key[:])
	var buf []byte
	for _, part := range parts {
		buf = binary.BigEndian.AppendUint64(buf[:0], uint64(len(part)))
		mac.Write(append(buf, part...))
	}
	return mac.Sum(nil)
}

func (s *Service) bucket(l Limit, parts []string) []byte {
	return s.Key(append([]string{l.Name}, parts...)...)
}

// Take takes a token from the bucket of limit for parts, in one statement that
// is carried out at once, also within a unit. If there is none it returns a
// fault of kind TooMany that says how long to wait.
func (s *Service) Take(ctx context.Context, limit Limit, parts ...string) error {
	_, err := s.Count(ctx, limit, parts...)
	return err
}

// Count is Take that also tells when the bucket will be full again.
func (s *Service) Count(ctx context.Context, limit Limit, parts ...string) (full time.Time, err error) {
	full, wait, err := s.store.CountThrottle(ctx, s.bucket(limit, parts), limit.Every, limit.Burst, s.now())
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf("throttle %s: %w", limit.Name, err)
	case wait > 0:
		if s.Refused != nil {
			s.Refused(limit.Name)
		}
		return time.Time{}, fault.TooMany(wait)
	}
	return full, nil
}

// Bucket is a limit and the parts that name one of its counters.
type Bucket struct {
	Limit Limit
	Parts []string
}

// TakeAll takes a token from each of these, in order, as [Service.Take] does. Where one has
// none, those before it get theirs back.
func (s *Service) TakeAll(ctx context.Context, buckets []Bucket) error {
	for i, b := range buckets {
		err := s.Take(ctx, b.Limit, b.Parts...)
		if err == nil {
			continue
		}
		for _, taken := range buckets[:i] {
			err = errors.Join(err, s.Return(storage.WithoutUnit(ctx), taken.Limit, taken.Parts...))
		}
		return err
	}
	return nil
}

// Return puts one token back, as if it had not been taken; it joins the unit in ctx.
func (s *Service) Return(ctx context.Context, limit Limit, parts ...string) error {
	if err := s.store.ReturnThrottle(ctx, s.bucket(limit, parts), limit.Every); err != nil {
		return fmt.Errorf("throttle %s: %w", limit.Name, err)
	}
	return nil
}

// Reset fills the bucket; it joins the unit in ctx.
func (s *Service) Reset(ctx context.Context, limit Limit, parts ...string) error {
	if err := s.store.GiveThrottle(ctx, s.bucket(limit, parts)); err != nil {
		return fmt.Errorf("throttle %s: %w", limit.Name, err)
	}
	return nil
}

// Block returns the block of addresses that one subscriber usually holds: /24 of
// IPv4, also where it is mapped into IPv6, and /48 of IPv6; "unknown" if addr is
// the zero Addr.
func Block(addr netip.Addr) string {
	if !addr.IsValid() {
		return "unknown"
	}
	addr = addr.Unmap().WithZone("")
	bits := 48
	if addr.Is4() {
		bits = 24
	}
	return netip.PrefixFrom(addr, bits).Masked().String()
}

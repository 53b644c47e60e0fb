package throttle

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// The limits of guessing at a password or a code. Strangers are let through far
// more slowly than the account's bucket fills up: a botnet cannot empty it, and
// so cannot lock the owner's own devices out.
var (
	// SignInAddress is for one block of addresses, over all accounts.
	SignInAddress = Limit{Name: "signin-address", Every: 10 * time.Second, Burst: 60}
	// SignInStrangers is for one account and all browsers that it does not know.
	SignInStrangers = Limit{Name: "signin-strangers", Every: 5 * time.Minute, Burst: 10}
	// SignInDevice is for one account and one browser that it knows.
	SignInDevice = Limit{Name: "signin-device", Every: time.Minute, Burst: 10}
	// SignInAccount is for one account, whoever tries.
	SignInAccount = Limit{Name: "signin-account", Every: 20 * time.Second, Burst: 30}
)

// Codes is for one person's one-time and recovery codes, whoever tries: beside the limits
// above, and before them. Who gets as far as a code has given another proof, and has as
// many browsers that are known by it as they like; a right password does not fill this.
var Codes = Limit{Name: "code", Every: 20 * time.Minute, Burst: 10}

// Interactions bounds the rows that requests of nobody write, by one block of
// addresses: each waits half an hour for its person. An office, or a load test,
// stays far below it.
var Interactions = Limit{Name: "interaction", Every: 10 * time.Millisecond, Burst: 2000}

// Setup is for trying set-up links, by one block of addresses: theirs are not for
// guessing, and nobody is to keep the database busy with them.
var Setup = Limit{Name: "setup", Every: 10 * time.Second, Burst: 60}

// Links is for the links of mails, by one block of addresses: theirs are not for guessing either.
var Links = Limit{Name: "link", Every: 10 * time.Second, Burst: 60}

// Passkeys is for what authenticators answer, by one block of addresses: nobody guesses a
// signature, and nobody is to keep us busy with checking them.
var Passkeys = Limit{Name: "passkey", Every: time.Second, Burst: 120}

// Stolen is for asking which passwords were stolen, by one block of addresses: pages ask
// while one is typed, and nobody is to copy an operator's list in a day.
var Stolen = Limit{Name: "stolen", Every: time.Second, Burst: 120}

// Attempt is one try at somebody's proof. Every path to a password or a code
// asks with the same three values, and so finds the same buckets.
type Attempt struct {
	Account string     // the canonical identifier, whether or not anybody has it
	Device  storage.ID // a browser that is known to have signed in to this account; "" for every other
	Address netip.Addr
	Code    storage.ID // whose code it is; "" for a password
}

// code returns the parts of the attempt's bucket of codes.
func (a Attempt) code() []string { return []string{string(a.Code)} }

// browser returns the limit and the parts of the attempt's browser: its own, or
// the one that all strangers share.
func (a Attempt) browser() (Limit, []string) {
	if a.Device == "" {
		return SignInStrangers, []string{a.Account}
	}
	return SignInDevice, []string{a.Account, string(a.Device)}
}

// TakeSignIn takes a token from every bucket of an attempt, before the proof is
// looked at; the first one that is empty stops it, with a fault of kind TooMany. That of
// codes gets its token back then: whoever empties a bucket that is shared does not have
// the owner pay with one that only a right code fills.
func (s *Service) TakeSignIn(ctx context.Context, a Attempt) error {
	if a.Code == "" {
		return s.takeShared(ctx, a)
	}
	if err := s.Take(ctx, Codes, a.code()...); err != nil {
		return err
	}
	err := s.takeShared(ctx, a)
	if err != nil {
		err = errors.Join(err, s.Return(storage.WithoutUnit(ctx), Codes, a.code()...))
	}
	return err
}

func (s *Service) takeShared(ctx context.Context, a Attempt) error {
	if err := s.Take(ctx, SignInAddress, Block(a.Address)); err != nil {
		return err
	}
	limit, parts := a.browser()
	if err := s.Take(ctx, limit, parts...); err != nil {
		return err
	}
	return s.Take(ctx, SignInAccount, a.Account)
}

// returnTime is how long a store that may be in trouble is asked for.
const returnTime = 2 * time.Second

// ReturnSignIn puts back what [Service.TakeSignIn] took, when nothing was looked
// at after all: our own troubles are nobody's guesses. Within a unit it joins that. When
// ctx has ended, as it has for a person who did not wait, or soon will, it goes on by
// itself and nobody waits for it but [Service.Wait]; so many at once, and more of them
// are waited for.
func (s *Service) ReturnSignIn(ctx context.Context, a Attempt) error {
	hurries := ctx.Err() != nil || endsWithin(ctx, returnTime)
	ctx = context.WithoutCancel(ctx)
	if !hurries {
		return s.giveBack(ctx, a)
	}
	ctx = storage.WithoutUnit(ctx)
	select {
	case s.late <- struct{}{}:
	default:
		return s.giveBack(ctx, a)
	}
	go func() {
		defer func() { <-s.late }()
		if err := s.giveBack(ctx, a); err != nil && s.Lost != nil {
			s.Lost(err)
		}
	}()
	return nil
}

// endsWithin reports whether ctx has less time left than that. Package context asks the
// machine's clock, by which the deadline was made.
func endsWithin(ctx context.Context, left time.Duration) bool {
	shorter, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	mine, _ := shorter.Deadline()
	of, limited := ctx.Deadline()
	return limited && of.Equal(mine)
}

func (s *Service) giveBack(ctx context.Context, a Attempt) error {
	ctx, cancel := context.WithTimeout(ctx, returnTime)
	defer cancel()
	return s.store.Together(ctx, func(ctx context.Context) error {
		if a.Code != "" {
			if err := s.Return(ctx, Codes, a.code()...); err != nil {
				return err
			}
		}
		limit, parts := a.browser()
		if err := s.Return(ctx, limit, parts...); err != nil {
			return err
		}
		return s.returnShared(ctx, a)
	})
}

// Wait returns when nothing is put back any more by itself. Others may begin meanwhile.
func (s *Service) Wait() {
	s.waiting.Lock() // two who wait could each hold half of the places
	defer s.waiting.Unlock()
	for range cap(s.late) {
		s.late <- struct{}{}
	}
	for range cap(s.late) {
		<-s.late
	}
}

// SignedIn is what a right proof earns: a full bucket for its browser, and the
// tokens back that it took from those shared with others. It does not fill
// these, or one's own account would pay for guessing at another's. It joins the
// unit in ctx.
func (s *Service) SignedIn(ctx context.Context, a Attempt) error {
	if a.Code != "" {
		if err := s.Reset(ctx, Codes, a.code()...); err != nil {
			return err
		}
	}
	limit, parts := a.browser()
	if err := s.Reset(ctx, limit, parts...); err != nil {
		return err
	}
	return s.returnShared(ctx, a)
}

// returnShared puts the tokens back into the buckets that an attempt shares with
// others.
func (s *Service) returnShared(ctx context.Context, a Attempt) error {
	if err := s.Return(ctx, SignInAccount, a.Account); err != nil {
		return err
	}
	return s.Return(ctx, SignInAddress, Block(a.Address))
}

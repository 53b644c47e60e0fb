package proof

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/storage"
)

const (
	sentDigits = 8
	// sentTries is how often a sent code may be typed wrong.
	sentTries = 5
	// SentValid is how long a sent code works.
	SentValid = 10 * time.Minute
)

// sentCodes is how many sent codes there are.
var sentCodes = new(big.Int).Exp(big.NewInt(10), big.NewInt(sentDigits), nil)

// Purpose is what a sent code is for. One that is for something is wrong for all else.
type Purpose string

// The purposes.
const (
	ToVerify  Purpose = "verify"  // whose address it is
	ToRecover Purpose = "recover" // whose password is lost
	ToProve   Purpose = "prove"   // who is signed in reads what is sent to them
	ToSignIn  Purpose = "signin"  // so does who goes on to an app
)

// A Channel brings codes to addresses of one kind: see [ByMail] and [BySMS].
type Channel struct {
	kind      string                       // of the addresses, as of a storage.Identifier
	method    string                       // of the evidence
	canonical func(string) (string, error) // its error is a fault of kind Invalid
	enabled   func() bool
	carry     func(ctx context.Context, s Sending, code string) error
}

// ByMail brings codes to e-mail addresses.
func ByMail(m *mail.Service) Channel {
	return Channel{
		kind: ident.KindEmail, method: policy.Mail, enabled: m.Enabled, carry: byMail(m),
		canonical: func(typed string) (string, error) {
			canonical, err := ident.Email(typed)
			if err != nil {
				err = fault.Invalid("email", "must be an e-mail address")
			}
			return canonical, err
		},
	}
}

// Sending is a code that somebody asks for.
type Sending struct {
	Purpose     Purpose
	Interaction storage.ID // in which it has to be typed
	Address     string     // in any spelling
	Person      storage.ID // who asks; "" while nobody says who they are
	Owner       storage.ID // whose address it is, if Browser is known to be theirs; else ""
	Browser     storage.ID // that asks, if the owner of the address signed in with it before; else ""
	Fresh       bool       // a password alone could have made Browser known, not long ago
	Lang        string     // of what is sent
	Device      mail.Device
	From        netip.Addr // of whoever asks
}

// Sent makes and checks codes that are sent to an address by one channel. A code works once,
// in the interaction, and so in the browser, that asked for it; another one ends it. It proves
// that somebody reads what is sent there, and nothing else: see policy.Mail.
type Sent struct {
	channel  Channel
	store    *storage.Store
	throttle *throttle.Service
	key      [32]byte
	now      func() time.Time
}

// NewSent returns the proof by a channel; key is the MAC key of the codes' hashes.
func NewSent(by Channel, store *storage.Store, th *throttle.Service, key [32]byte, now func() time.Time) *Sent {
	return &Sent{channel: by, store: store, throttle: th, key: key, now: now}
}

// Enabled says whether codes can be sent at all. What needs one is not offered if not.
func (s *Sent) Enabled() bool { return s.channel.enabled() }

// Method is that of the evidence, as policy names it.
func (s *Sent) Method() string { return s.channel.method }

func byMail(m *mail.Service) func(context.Context, Sending, string) error {
	return func(ctx context.Context, s Sending, code string) error {
		var message mail.Message
		switch s.Purpose {
		case ToVerify:
			message = mail.VerifyAddress{Code: code, Valid: SentValid, Device: s.Device}
		case ToProve:
			message = mail.Code{Code: code, Valid: SentValid, Device: s.Device}
		case ToRecover:
			message = mail.Recover{Code: code, Valid: SentValid, Device: s.Device}
		default:
			return fmt.Errorf("no mail is for the purpose %q", s.Purpose)
		}
		to := mail.To{Address: s.Address, Person: s.Person, Lang: s.Lang, Browser: s.Browser}
		if s.Browser != "" {
			to.Person = s.Owner
		}
		return m.Send(ctx, to, message)
	}
}

// Send sends a code, in the place of the one that the interaction had: in the unit of
// ctx. It costs the same whoever has the address; see [Sent.Wanted]. It is a fault of
// kind Invalid for what is no address, and one of kind TooMany where too many were asked
// for: to this address, by this person, or from this block of addresses. One that is
// refused costs the person none, nor does the person's own limit cost anybody else.
func (s *Sent) Send(ctx context.Context, in Sending) error {
	canonical, err := s.channel.canonical(in.Address)
	if err != nil {
		return err
	}
	if err := s.throttle.Take(ctx, throttle.SentBlock, throttle.Block(in.From)); err != nil {
		return err
	}
	buckets := s.bucketsOf(in)
	if err := s.throttle.TakeAll(ctx, buckets); err != nil {
		return err
	}
	err = s.send(ctx, in, canonical)
	if err == nil {
		return nil
	}
	for _, b := range buckets {
		err = errors.Join(err, s.throttle.Return(storage.WithoutUnit(ctx), b.Limit, b.Parts...))
	}
	return err
}

// bucketsOf are those of throttle.SentPerson and throttle.SentFresh that a code is taken from when it is
// asked for, the former of the browser where that is known: whoever has the password as well empties none
// of the owner's; none where that is done when it is delivered: see [Sent.Wanted].
func (s *Sent) bucketsOf(in Sending) []throttle.Bucket {
	whose := in.Person
	if whose == "" {
		whose = in.Owner
	}
	if whose == "" || in.Person == "" && in.Browser == "" {
		return nil
	}
	buckets := []throttle.Bucket{{Limit: throttle.SentPerson, Parts: s.bucket(in.Purpose, whose, in.Browser)}}
	if in.Browser != "" && in.Fresh {
		buckets = append(buckets, throttle.Bucket{Limit: throttle.SentFresh, Parts: []string{s.channel.kind, string(whose)}})
	}
	return buckets
}

func (s *Sent) bucket(purpose Purpose, person, browser storage.ID) []string {
	return []string{s.channel.kind, string(purpose), string(person), string(browser)}
}

func (s *Sent) send(ctx context.Context, in Sending, canonical string) error {
	n, err := rand.Int(rand.Reader, sentCodes)
	if err != nil {
		return fmt.Errorf("proof: send code: %w", err)
	}
	code, now := fmt.Sprintf("%0*d", sentDigits, n), s.now()
	return s.store.Together(ctx, func(ctx context.Context) error {
		err := s.store.PutSentCode(ctx, &storage.SentCode{
			InteractionID: in.Interaction, PersonID: in.Person, Kind: s.channel.kind, Address: canonical, Display: strings.TrimSpace(in.Address),
			Hash: s.hash(in.Interaction, in.Purpose, code), CreatedAt: storage.At(now), ExpiresAt: storage.At(now.Add(SentValid)),
		})
		if err != nil {
			return fmt.Errorf("proof: send code: %w", err)
		}
		return s.channel.carry(ctx, in, code)
	})
}

// hash is what the store knows of a code: that of another channel, purpose or interaction is
// another one.
func (s *Sent) hash(interaction storage.ID, purpose Purpose, code string) []byte {
	mac := hmac.New(sha256.New, s.key[:])
	mac.Write([]byte(s.channel.kind + "\x00" + string(interaction) + "\x00" + string(purpose) + "\x00" + code))
	return mac.Sum(nil)
}

// spaced are the signs that people put between digits.
var spaced = strings.NewReplacer("-", "", " ", "", "\t", "", "\u00a0", "", "\u2010", "", "\u2013", "")

// ErrOver says that a code cannot be typed any more: none was sent, it lapsed or was
// used, it was typed wrong too often, or went to a phone that is gone. Another one has to be sent.
var ErrOver = errors.New("proof: the code is over")

// Proven is what a right code proved: who can read what is sent to this address.
type Proven struct {
	Kind, Address, Display string
	Person                 storage.ID // who asked for it
	Evidence               policy.Evidence
}

// Verify uses a code up that was sent for this interaction and purpose, whatever comes
// of the caller's unit, and says what it proved: [ErrWrong], or [ErrOver]. The caller
// takes from the throttle before it asks, as for [TOTP.Verify].
func (s *Sent) Verify(ctx context.Context, interaction storage.ID, purpose Purpose, code string) (*Proven, error) {
	row, err := s.store.TrySentCode(ctx, interaction, s.hash(interaction, purpose, spaced.Replace(code)), storage.At(s.now()), sentTries)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil, ErrOver
	case err != nil:
		return nil, fmt.Errorf("proof: sent code: %w", err)
	case row.UsedAt.IsZero():
		return nil, ErrWrong
	}
	return &Proven{
		Kind: row.Kind, Address: row.Address, Display: row.Display, Person: row.PersonID,
		Evidence: policy.Evidence{Method: s.channel.method, At: s.now(), Credential: row.Address},
	}, nil
}

// Owner returns whom an address belongs to that was verified, and since when it is, if their
// account is open; else storage.ErrNotFound.
func (s *Sent) Owner(ctx context.Context, kind, canonical string) (*storage.Person, time.Time, error) {
	person, address, err := s.store.PersonIdentified(ctx, kind, canonical)
	switch {
	case err != nil:
		return nil, time.Time{}, fmt.Errorf("proof: owner of an address: %w", err)
	case address.VerifiedAt.IsZero() || !person.DisabledAt.IsZero():
		return nil, time.Time{}, storage.ErrNotFound
	}
	return person, address.VerifiedAt.Time, nil
}

// Wanted says whether a mail that strangers may ask for is for anybody. It is asked when
// the mail is delivered: whoever asked for it cannot tell from our answer, or from how long
// that took. Somebody gets so many such mails, however many addresses they have; those
// that they asked for in a browser of theirs were counted then.
func (s *Sent) Wanted(ctx context.Context, m *storage.Mail) (bool, error) {
	if mail.Kind(m.Kind) != mail.KindRecover {
		return true, nil
	}
	person, _, err := s.Owner(ctx, s.channel.kind, m.Recipient)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	if err != nil || m.Attempts > 1 || m.PersonID == person.ID {
		return err == nil, err
	}
	err = s.throttle.Take(ctx, throttle.SentPerson, s.bucket(ToRecover, person.ID, "")...)
	var f *fault.Error
	if errors.As(err, &f) && f.Kind == fault.KindTooMany {
		return false, nil
	}
	return err == nil, err
}

package keys

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/doorstep-id/doorstep/storage"
)

// Config says what is signed with, and how long keys overlap.
type Config struct {
	KEK         []byte        // the key-encryption key, 32 bytes: what is sealed from now on is sealed with it
	Algorithms  []string      // those that a key is kept for; default ES256, RS256, EdDSA
	JWKSMaxAge  time.Duration // how long others may cache the published keys; default DefaultJWKSMaxAge
	Keep        time.Duration // how long a retired key stays published: the longest token life and skew; default DefaultKeep
	RotateEvery time.Duration // how long a key signs until its successor is due; 0: for ever

	// AcceptedKEKs open what is sealed too: older keys that not everything was taken
	// off yet, and the next one.
	AcceptedKEKs [][]byte
	// RereadKEKs, if set, returns KEK and AcceptedKEKs as they are by now; it is asked
	// every few seconds.
	RereadKEKs func() (kek []byte, accepted [][]byte, err error)
}

// Defaults of Config.
const (
	DefaultJWKSMaxAge = 15 * time.Minute
	DefaultKeep       = 25 * time.Hour // a token of the command line lives for 24
)

// maxAge is how old the keys in memory may be, and reloadTime bounds the reading
// of them. Within noticed of a rotation every server publishes the new key, those
// included whose keys were just read: only then the last cached copy without it
// was handed out, and only JWKSMaxAge after that it has lapsed.
const (
	maxAge     = 3 * time.Second
	reloadTime = 5 * time.Second
	noticed    = 5 * time.Second
)

// Names and purposes of what is sealed.
const (
	secretCheck   = "kek-check"
	secretRoot    = "root"
	secretSalt    = "pairwise-salt"
	purposeSecret = storage.PurposeSecret
	purposeKey    = storage.PurposeKey
	checkText     = "doorstep key-encryption key"
)

// Service signs, verifies, seals and derives. It is safe for concurrent use.
type Service struct {
	cfg    Config
	store  *storage.Store
	now    func() time.Time
	ring   atomic.Pointer[ring]
	root   []byte
	salt   [32]byte
	set    atomic.Pointer[keyset]
	era    atomic.Uint64 // how often the keys in memory were found to be old
	reload singleflight.Group
	making chan struct{} // holds the one caller that makes keys

	rereading sync.Mutex // of the key-encryption keys
}

// New returns the service. On an empty database it makes the root secret and the
// first key of each algorithm, the RSA key aside: that one takes a while, and is
// made when it is first needed, as whoever serves sees to by asking for the JWKS.
// Of several replicas that start at once the first one's are used by all.
// ErrWrongKEK: the database was sealed with none of the key-encryption keys; nothing
// is written then.
func New(ctx context.Context, cfg Config, store *storage.Store, now func() time.Time) (*Service, error) {
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = []string{ES256, RS256, EdDSA}
	}
	if cfg.JWKSMaxAge == 0 {
		cfg.JWKSMaxAge = DefaultJWKSMaxAge
	}
	if cfg.Keep == 0 {
		cfg.Keep = DefaultKeep
	}
	for _, alg := range cfg.Algorithms {
		if keyAlg(alg) == "" {
			return nil, fmt.Errorf("keys: the algorithm %q is none of ES256, EdDSA, RS256 and PS256", alg)
		}
	}
	keks, err := newRing(cfg.KEK, cfg.AcceptedKEKs, now())
	if err != nil {
		return nil, err
	}
	cfg.KEK, cfg.AcceptedKEKs = nil, nil
	s := &Service{cfg: cfg, store: store, now: now, making: make(chan struct{}, 1)}
	s.ring.Store(keks)
	check, err := s.secret(ctx, secretCheck, []byte(checkText))
	if err != nil {
		return nil, err
	}
	if string(check) != checkText {
		return nil, fmt.Errorf("%w: the check value %q was changed", ErrSealed, secretCheck)
	}
	if s.root, err = s.secret(ctx, secretRoot, random(32)); err != nil {
		return nil, err
	}
	salt, err := s.secret(ctx, secretSalt, random(len(s.salt)))
	if err != nil {
		return nil, err
	}
	if len(salt) != len(s.salt) {
		return nil, fmt.Errorf("%w: the secret %q has another length", ErrSealed, secretSalt)
	}
	s.salt = [32]byte(salt)
	quick := slices.DeleteFunc(s.kept(), func(alg string) bool { return alg == RS256 })
	if err := s.makeFirstKeys(ctx, quick); err != nil {
		return nil, err
	}
	_, err = s.current(ctx)
	return s, err
}

// secret returns the named secret of the database; if there is none yet, plain
// becomes it, unless another replica was quicker.
func (s *Service) secret(ctx context.Context, name string, plain []byte) ([]byte, error) {
	row, err := s.store.SecretNamed(ctx, name)
	if errors.Is(err, storage.ErrNotFound) {
		var sealed []byte
		if sealed, err = s.Seal(purposeSecret, name, plain); err != nil {
			return nil, err
		}
		if err = s.store.CreateSecret(ctx, &storage.Secret{Name: name, Sealed: sealed, CreatedAt: storage.At(s.now())}); err != nil {
			return nil, fmt.Errorf("keys: write secret %s: %w", name, err)
		}
		row, err = s.store.SecretNamed(ctx, name)
	}
	if err != nil {
		return nil, fmt.Errorf("keys: read secret %s: %w", name, err)
	}
	return s.Open(purposeSecret, name, row.Sealed)
}

// firstKID returns the id of the first key of alg. It comes from the root secret,
// so that of several replicas one can add that key; of another database it is
// another one, as caches of the published set need.
func (s *Service) firstKID(alg string) string {
	mac := hmac.New(sha256.New, s.root)
	mac.Write([]byte("first key " + alg))
	return kidOf(mac.Sum(nil)[:kidSize])
}

// kidOf writes a key's id. It begins with no "-": a command would take it for a flag.
func kidOf(id []byte) string {
	return strings.TrimLeft(base64.RawURLEncoding.EncodeToString(id), "-")
}

// kept returns the algorithms under which the configured ones have their keys.
func (s *Service) kept() (algs []string) {
	for _, alg := range s.cfg.Algorithms {
		if alg = keyAlg(alg); !slices.Contains(algs, alg) {
			algs = append(algs, alg)
		}
	}
	return algs
}

// makeFirstKeys makes a key for each of algs that has none.
func (s *Service) makeFirstKeys(ctx context.Context, algs []string) error {
	rows, err := s.store.Keys(ctx)
	if err != nil {
		return fmt.Errorf("keys: read: %w", err)
	}
	for _, alg := range algs {
		if slices.ContainsFunc(rows, func(k storage.Key) bool { return k.Alg == alg }) {
			continue
		}
		row, err := s.newKey(alg, s.firstKID(alg))
		if err != nil {
			return err
		}
		row.CreatedAt = storage.At(s.now())
		row.ActiveAt = row.CreatedAt
		if err := s.store.CreateKey(ctx, row); err != nil && !errors.Is(err, storage.ErrConflict) {
			return fmt.Errorf("keys: write: %w", err)
		}
	}
	return nil
}

// complete returns the keys, among them one for each configured algorithm: what is
// missing is made. One caller makes it while the others wait, for reloadTime at
// most; of several replicas one adds it, and all read that one.
func (s *Service) complete(ctx context.Context) (*keyset, error) {
	set, err := s.current(ctx)
	if err != nil || len(set.missing) == 0 {
		return set, err
	}
	wait, cancel := context.WithTimeout(ctx, reloadTime)
	defer cancel()
	select {
	case s.making <- struct{}{}:
		defer func() { <-s.making }()
	case <-wait.Done():
		return nil, wait.Err()
	}
	if set = s.set.Load(); len(set.missing) == 0 {
		return set, nil
	}
	// The key is everybody's: neither the end of one's request nor the failure of
	// one's unit takes it back.
	ctx = storage.WithoutUnit(context.WithoutCancel(ctx))
	if err := s.makeFirstKeys(ctx, set.missing); err != nil {
		return nil, err
	}
	return s.load(ctx)
}

// Derive returns the MAC key of one purpose ("refresh-token", ...): the same on
// every replica, as long as the database lives.
func (s *Service) Derive(purpose string) [32]byte { return derive(s.root, purpose) }

// PairwiseSalt returns the secret of pairwise subjects (OIDC Core section 8.1): one
// of its own, which nothing rotates, since with it every client of theirs would
// lose sight of its people.
func (s *Service) PairwiseSalt() [32]byte { return s.salt }

// Algorithms returns what Sign can sign with.
func (s *Service) Algorithms() []string {
	algs := slices.Clone(s.cfg.Algorithms)
	if slices.Contains(algs, RS256) && !slices.Contains(algs, PS256) {
		algs = append(algs, PS256)
	}
	return algs
}

// Forget has the keys read again at their next use: somebody changed them.
func (s *Service) Forget() { s.era.Add(1) }

// current returns the keys, at most maxAge old and not forgotten since. If they cannot be read, those
// that are known serve on: until a key signs it has been published for JWKSMaxAge.
// A key that is revoked meanwhile signs on then, and who asks whether a token was
// revoked gets no answer either.
func (s *Service) current(ctx context.Context) (*keyset, error) {
	set, era := s.set.Load(), s.era.Load()
	if set != nil && set.era == era && s.now().Sub(set.at).Abs() < maxAge {
		return set, nil
	}
	// One reading serves all who wait, so it does not end with one's request.
	loading := s.reload.DoChan(strconv.FormatUint(era, 10), func() (any, error) {
		return s.load(context.WithoutCancel(ctx))
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case loaded := <-loading:
		if loaded.Err != nil {
			return nil, loaded.Err
		}
		return loaded.Val.(*keyset), nil //nolint:forcetypeassert // load returns nothing else
	}
}

// load reads the keys and puts them in the place of those in memory.
func (s *Service) load(ctx context.Context) (*keyset, error) {
	ctx, cancel := context.WithTimeout(ctx, reloadTime)
	defer cancel()
	known, now, era := s.set.Load(), s.now(), s.era.Load()
	rows, err := s.store.Keys(ctx)
	var revoked []string
	if err == nil {
		revoked, err = s.store.RevokedKeys(ctx)
	}
	if err != nil {
		if known == nil || now.Sub(known.readAt) > s.cfg.JWKSMaxAge {
			return nil, fmt.Errorf("keys: read: %w", err)
		}
		later := *known
		later.at, later.era = now, era
		s.set.Store(&later)
		return &later, nil
	}
	set, err := s.newKeyset(rows, revoked, known, now)
	if err != nil {
		return nil, err
	}
	set.era = era
	s.set.Store(set)
	return set, nil
}

package keys

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejson "github.com/go-jose/go-jose/v4/json"
)

// ErrToken says that a text is not a token of ours, or not of the kind that was asked for.
// Which of its checks failed is told to the log at most.
var ErrToken = errors.New("keys: not a token of ours")

// maxToken bounds the work that a stranger can cause, in bytes.
const maxToken = 16 << 10

// Sign returns payload as a compact JWS (RFC 7515 section 7.1) of the key that
// signs with alg now. typ is the token's kind ("at+jwt", ...); "" leaves it out.
func (s *Service) Sign(ctx context.Context, alg, typ string, payload []byte) (compact string, err error) {
	set, err := s.current(ctx)
	if err == nil && set.misses(alg) {
		set, err = s.complete(ctx)
	}
	if err != nil {
		return "", err
	}
	k, err := set.signer(alg, s.now())
	if err != nil {
		return "", err
	}
	head, err := k.segment(alg, typ)
	if err != nil {
		return "", err
	}
	const longest = rsaBits / 8
	text := base64.RawURLEncoding
	buf := make([]byte, 0, len(head)+text.EncodedLen(len(payload))+text.EncodedLen(longest)+2)
	buf = append(append(buf, head...), '.')
	buf = text.AppendEncode(buf, payload)
	signature, err := sign(k.private, alg, buf)
	if err != nil {
		return "", err
	}
	return string(text.AppendEncode(append(buf, '.'), signature)), nil
}

// Verify returns the payload of a token that one of the published keys signed
// with one of algs, and that key's id; else ErrToken. typ is the kind that the
// token must be of (RFC 8725 section 3.11); "" means the kind "JWT" or none. What
// the payload claims (exp, iss, aud, ...) is for the caller to check.
func (s *Service) Verify(ctx context.Context, compact, typ string, algs ...string) (payload []byte, kid string, err error) {
	return s.verify(ctx, compact, typ, algs, (*stored).published)
}

// Published reports whether Verify still takes tokens of this key, for who has
// checked the signature of one before.
func (s *Service) Published(ctx context.Context, kid string) (bool, error) {
	set, err := s.current(ctx)
	if err != nil {
		return false, err
	}
	k := set.find(kid)
	return k != nil && k.published(s.now()), nil
}

// VerifyHint is Verify for ID tokens that are given back as a hint (OpenID
// Connect Core section 3.1.2.1, RP-Initiated Logout section 2): keys that have
// left the published set are accepted too, for 400 days after they retired.
func (s *Service) VerifyHint(ctx context.Context, compact, typ string, algs ...string) (payload []byte, kid string, err error) {
	return s.verify(ctx, compact, typ, algs, (*stored).knowsHints)
}

func (s *Service) verify(ctx context.Context, compact, typ string, algs []string, accepts func(*stored, time.Time) bool) ([]byte, string, error) {
	head, err := headOf(compact)
	if err != nil {
		return nil, "", err
	}
	set, err := s.current(ctx)
	if err != nil {
		return nil, "", err
	}
	k, alg, err := set.match(head, typ, algs, s.now(), accepts)
	if errors.Is(err, ErrToken) && set.misses(algs...) { // another replica may have made that key
		if set, err = s.complete(ctx); err == nil {
			k, alg, err = set.match(head, typ, algs, s.now(), accepts)
		}
	}
	if err != nil {
		return nil, "", err
	}
	payload, err := k.open(compact, alg)
	if err != nil {
		return nil, "", err
	}
	return payload, k.kid, nil
}

// headOf returns the first segment of a compact JWS in its one spelling, and of no more
// than we read.
func headOf(compact string) (string, error) {
	head, rest, _ := strings.Cut(compact, ".")
	body, signature, found := strings.Cut(rest, ".")
	if !found || len(compact) > maxToken || !canonical(body) || !canonical(signature) {
		return "", fmt.Errorf("%w: not a compact JWS", ErrToken)
	}
	return head, nil
}

// open returns the payload of what this key signed with alg, as its header says.
func (k *key) open(compact, alg string) ([]byte, error) {
	parsed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrToken, err)
	}
	payload, err := parsed.Verify(k.public)
	if err != nil {
		return nil, fmt.Errorf("%w: wrong signature", ErrToken)
	}
	var claims map[string]any
	if err := josejson.Unmarshal(payload, &claims); err != nil { // refuses two members of one name
		return nil, fmt.Errorf("%w: payload: %w", ErrToken, err)
	}
	return payload, nil
}

// match finds the key and the algorithm whose header head is, byte for byte.
func (set *keyset) match(head, typ string, algs []string, now time.Time, accepts func(*stored, time.Time) bool) (*key, string, error) {
	for i := range set.keys {
		k := &set.keys[i]
		for _, alg := range algs {
			if keyAlg(alg) != k.alg || !accepts(k, now) {
				continue
			}
			matches, err := k.wrote(head, alg, typ)
			if err != nil {
				return nil, "", err
			}
			if matches {
				return k.key, alg, nil
			}
		}
	}
	return nil, "", fmt.Errorf("%w: unknown key, algorithm or type", ErrToken)
}

// wrote reports whether head is the header of this key's tokens of that kind.
func (k *key) wrote(head, alg, typ string) (bool, error) {
	seg, err := k.segment(alg, typ)
	if err != nil || seg == head || typ != "" {
		return seg == head, err
	}
	seg, err = k.segment(alg, "JWT")
	return seg == head, err
}

// canonical reports whether s is the one base64url form of some bytes: Go's
// decoder skips line breaks, and without Strict ignores trailing bits.
func canonical(s string) bool {
	if s == "" || strings.ContainsAny(s, "\r\n") {
		return false
	}
	_, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil
}

package grants

import (
	"errors"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/storage"
)

func newCodec() *Service { return New(nil, nil, [32]byte{1, 2, 3}, nil) }

func TestRefreshTokenSaysWhatWasPutIn(t *testing.T) {
	s := newCodec()
	in := Refresh{Grant: storage.NewID(), Generation: 41, Secret: [16]byte{7, 8}}
	out, err := s.Decode(s.Encode(in))
	if err != nil || out != in {
		t.Fatalf("decoded %+v (%v), want %+v", out, err, in)
	}
	if next := out.Next(); next.Generation != 42 || next.Secret != in.Secret || next.Grant != in.Grant {
		t.Errorf("successor %+v, want the same grant and secret, generation 42", next)
	}
}

// RFC 9700 section 4.14: a token that is not exactly ours must be refused before
// it can revoke anything. Every character counts, and so does its last bit.
func TestRefreshTokenHasOneSpelling(t *testing.T) {
	s := newCodec()
	token := s.Encode(Refresh{Grant: storage.NewID(), Generation: 1})
	other := New(nil, nil, [32]byte{9}, nil).Encode(Refresh{Grant: storage.NewID(), Generation: 1})
	bad := []string{"", "dsr_", other, token + "=", token + "A", token[:len(token)-1], " " + token, token[:20] + "\n" + token[20:], strings.ToUpper(token)}
	for i := range token {
		for _, c := range []byte{'A', 'B', '_', '+'} {
			if token[i] != c {
				bad = append(bad, token[:i]+string(c)+token[i+1:])
			}
		}
	}
	for _, b := range bad {
		if _, err := s.Decode(b); !errors.Is(err, ErrRefresh) {
			t.Errorf("%q was accepted (%v)", b, err)
		}
	}
}

func FuzzDecodeRefreshToken(f *testing.F) {
	s := newCodec()
	f.Add(s.Encode(Refresh{Grant: storage.NewID(), Generation: 3}))
	f.Add("dsr_AAAA")
	f.Fuzz(func(t *testing.T, token string) {
		if r, err := s.Decode(token); err == nil && s.Encode(r) != token {
			t.Errorf("%q is a second spelling of %q", token, s.Encode(r))
		}
	})
}

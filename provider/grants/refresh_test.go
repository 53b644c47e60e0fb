package grants

import (
	"encoding/base64"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/storage"
)

// coder needs no store: a token is read before any statement.
func coder(key byte) *Service { return &Service{refreshKey: [32]byte{key}} }

func TestARefreshTokenReadsBack(t *testing.T) {
	s := coder(1)
	r := NewRefresh(storage.NewID())
	if r.Generation != 1 || r.Secret == [16]byte{} || NewRefresh(r.Grant).Secret == r.Secret {
		t.Errorf("new: %+v", r)
	}
	for _, generation := range []int64{1, 2, 1 << 40, math.MaxInt64} {
		r.Generation = generation
		text := s.Encode(r)
		if len(text) != 80 || !strings.HasPrefix(text, "dsr_") {
			t.Errorf("text %q", text)
		}
		if back, err := s.Decode(text); err != nil || back != r {
			t.Errorf("%+v reads back as %+v, %v", r, back, err)
		}
	}
}

// The same successor every time: a lost response can be given again.
func TestTheSuccessorIsAlwaysTheSame(t *testing.T) {
	s, r := coder(1), NewRefresh(storage.NewID())
	next := SuccessorOf(r)
	if next.Generation != 2 || next.Secret != r.Secret || next.Grant != r.Grant || r.Generation != 1 {
		t.Errorf("%+v after %+v", next, r)
	}
	if s.Encode(next) != s.Encode(SuccessorOf(r)) || s.Encode(next) == s.Encode(r) {
		t.Error("the successor's text differs, or is its predecessor's")
	}
	if !next.Matches(r.Hash()) || len(r.Hash()) != 32 {
		t.Error("the row of the predecessor does not match the successor")
	}
	if NewRefresh(r.Grant).Matches(r.Hash()) || r.Matches(nil) || (Refresh{}).Matches(nil) {
		t.Error("another secret matches")
	}
}

// Attack cases 27 and 33: what is not exactly a token that was made here is
// refused before anything is looked up.
func TestForgedRefreshTokensAreRefused(t *testing.T) {
	s := coder(1)
	r := NewRefresh(storage.NewID())
	good := s.Encode(r)
	refused := func(what, text string) {
		t.Helper()
		if got, err := s.Decode(text); !errors.Is(err, ErrRefresh) || got != (Refresh{}) {
			t.Errorf("%s: %+v, %v, want ErrRefresh: %q", what, got, err, text)
		}
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range good {
		refused("cut", good[:i])
		refused("cut in front", good[i+1:])
		refused("line break", good[:i]+"\n"+good[i:])
		refused("line break in place of a character", good[:i]+"\r"+good[i+1:])
		at := strings.IndexByte(alphabet, good[i])
		for bit := 1; bit < 64; bit <<= 1 {
			refused("bit flipped", good[:i]+string(alphabet[at^bit])+good[i+1:])
		}
	}
	raw, _ := base64.RawURLEncoding.DecodeString(good[4:])
	for what, text := range map[string]string{
		"nothing":               "",
		"prefix only":           "dsr_",
		"no prefix":             good[4:],
		"another prefix":        "dsk_" + good[4:],
		"prefix in upper case":  "DSR_" + good[4:],
		"padded":                good + "==",
		"longer":                good + "A",
		"trailing line break":   good + "\n",
		"line break instead":    good[:79] + "\n",
		"two line breaks":       good[:78] + "\n\n",
		"standard base64":       "dsr_" + base64.RawStdEncoding.EncodeToString(append(raw[:40:40], []byte("\xff\xef\xbe\xff\xef\xbe\xff\xef\xbe\xff\xef\xbe\xff\xef\xbe\xff\xef")...)),
		"nothing but zeros":     "dsr_" + strings.Repeat("A", 76),
		"another key":           coder(2).Encode(r),
		"generation 0":          s.Encode(Refresh{Grant: r.Grant, Secret: r.Secret}),
		"generation below zero": s.Encode(Refresh{Grant: r.Grant, Secret: r.Secret, Generation: -1}),
	} {
		refused(what, text)
	}
	other := raw
	other[0] = 2
	copy(other[macAt:], s.refreshMAC(other[:macAt]))
	refused("another key id, with a right MAC", "dsr_"+base64.RawURLEncoding.EncodeToString(other))
}

// Go's decoder skips line breaks: a token that ends in a zero byte must not be
// read from a text that leaves it out.
func TestAShortRefreshTokenIsNotFilledUp(t *testing.T) {
	s, r := coder(1), NewRefresh(storage.NewID())
	text := s.Encode(r)
	for !strings.HasSuffix(text, "AA") {
		r = SuccessorOf(r)
		text = s.Encode(r)
	}
	if _, err := s.Decode(text); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Decode(text[:79] + "\n"); !errors.Is(err, ErrRefresh) {
		t.Errorf("%+v, %v, want ErrRefresh", got, err)
	}
}

func FuzzDecodeRefresh(f *testing.F) {
	s := coder(1)
	good := s.Encode(Refresh{Grant: "01234567-89ab-7cde-8f01-23456789abcd", Generation: 7, Secret: [16]byte{1, 2, 3}})
	for _, seed := range []string{good, good[:79], good + "\n", good[:40] + "\n" + good[40:], "dsr_", "", strings.Repeat("A", 80), coder(2).Encode(NewRefresh(storage.NewID()))} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := s.Decode(text)
		if (err == nil) != (text == good) {
			t.Errorf("%q: %+v, %v", text, r, err)
		}
		if err == nil && s.Encode(r) != text {
			t.Errorf("%q has another text: %q", text, s.Encode(r))
		}
	})
}

package keys

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// Whoever has the public halves verifies records as the service itself does, whatever
// became of the keys, and is told which were revoked.
func TestRecordsVerifyElsewhere(t *testing.T) {
	store, c := openStore(t), newClock()
	s := start(t, store, c)
	if _, _, err := s.JWKS(t.Context()); err != nil { // has the RSA key made
		t.Fatal(err)
	}
	const typ, payload = "test+jws", `{"number":7}`
	signed := map[string]string{}
	for _, alg := range s.Algorithms() {
		text, err := s.Sign(t.Context(), alg, typ, []byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		signed[alg] = text
	}
	_, old, err := s.VerifyRecord(t.Context(), signed[ES256], typ, ES256)
	if err != nil {
		t.Fatal(err)
	}
	revoke(t, s, old.KID)
	c.pass(1000 * 24 * time.Hour)
	all, err := s.RecordKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range all {
		for _, name := range privateMembers {
			if strings.Contains(string(k.JWK), `"`+name+`"`) {
				t.Errorf("the key %s is told with its member %s", k.KID, name)
			}
		}
	}
	records, err := NewRecords(all)
	if err != nil {
		t.Fatal(err)
	}
	for alg, text := range signed {
		got, by, err := records.VerifyRecord(t.Context(), text, typ, alg)
		if err != nil || string(got) != payload {
			t.Errorf("%s: %s, %v", alg, got, err)
		}
		want, known, err := s.VerifyRecord(t.Context(), text, typ, alg)
		if err != nil || string(want) != payload || by.KID != known.KID || by.Alg != known.Alg || (by.State == StateRevoked) != (known.State == StateRevoked) {
			t.Errorf("%s: signed by %+v, here %+v, %v", alg, by, known, err)
		}
		if (by.State == StateRevoked) != (by.KID == old.KID) {
			t.Errorf("%s: %+v", alg, by)
		}
	}
	other := start(t, openStore(t), newClock(), ES256)
	theirs, err := other.Sign(t.Context(), ES256, typ, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{
		"another's":   theirs,
		"a forgery":   forge(t, other, ES256, `{"alg":"ES256","kid":"`+old.KID+`","typ":"`+typ+`"}`, payload),
		"nonsense":    "a.b.c",
		"nothing":     "",
		"another typ": strings.Replace(signed[ES256], ".", "x.", 1),
	} {
		if _, _, err := records.VerifyRecord(t.Context(), text, typ, ES256); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %v, want ErrToken", what, err)
		}
	}
	if _, _, err := records.VerifyRecord(t.Context(), signed[ES256], "other+jws", ES256); !errors.Is(err, ErrToken) {
		t.Errorf("another type: %v, want ErrToken", err)
	}
	for what, jwk := range map[string]string{
		"nothing":  ``,
		"a secret": `{"kty":"oct","k":"c2VjcmV0"}`,
		"too much": `{"kty":"RSA","e":"AQAB","n":"` + strings.Repeat("_", 3000) + `"}`,
	} {
		if _, err := NewRecords([]RecordKey{{KID: "x", JWK: []byte(jwk)}}); err == nil || !strings.Contains(err.Error(), `the key "x"`) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A key that another replica made this moment is known to who verifies records: what it
// signed is no forgery.
func TestRecordsOfTheNewestKey(t *testing.T) {
	store, c := openStore(t), newClock()
	here, there := start(t, store, c, ES256), start(t, store, c, ES256)
	const typ = "test+jws"
	_, kid := signedBy(t, there) // has read the keys just now
	made := revoke(t, here, kid).Successor
	here.Forget()
	for _, verify := range []func(text string) (Key, error){
		func(text string) (Key, error) {
			_, by, err := there.VerifyRecord(t.Context(), text, typ, ES256)
			return by, err
		},
		func(text string) (Key, error) {
			all, err := there.RecordKeys(t.Context())
			if err != nil {
				return Key{}, err
			}
			records, err := NewRecords(all)
			if err != nil {
				return Key{}, err
			}
			_, by, err := records.VerifyRecord(t.Context(), text, typ, ES256)
			return by, err
		},
	} {
		text, err := here.Sign(t.Context(), ES256, typ, []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		if by, err := verify(text); err != nil || by.KID != made.KID {
			t.Errorf("signed by %+v, %v, want %s", by, err, made.KID)
		}
		made = revoke(t, here, made.KID).Successor // and so again
		here.Forget()
	}
}

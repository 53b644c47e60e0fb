package proof_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

var (
	phone = providertest.AuthenticatorKind{Verifies: true, Synced: true}
	still = func() time.Time { return noon }
)

// add gives a person a passkey on the device.
func add(t testing.TB, p *proof.Passkey, person *storage.Person, name string, d *providertest.Device, bends ...providertest.Bend) (*storage.Passkey, error) {
	t.Helper()
	id := storage.NewID()
	options, err := p.Creation(t.Context(), id, person, "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	return p.Add(t.Context(), id, person, name, []byte(d.Make(string(options), bends...)))
}

// TestChallengeWorksOnce on three replicas, whoever answers it.
func TestChallengeWorksOnce(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		var replicas []replica
		for range 3 {
			replicas = append(replicas, newReplica(t, url, still))
		}
		person := replicas[0].person(t, "ada")
		d := providertest.NewDevice(t, house, phone)
		made, err := add(t, replicas[0].passkeys, person, "", d)
		if err != nil {
			t.Fatal(err)
		}
		for _, asked := range []*storage.Person{nil, person} {
			id := storage.NewID()
			options, err := replicas[1].passkeys.Request(t.Context(), id, asked, nil)
			if err != nil {
				t.Fatal(err)
			}
			answer := []byte(d.Use(string(options)))
			one(t, replicas, func(ctx context.Context, r replica) error {
				who, ev, err := r.passkeys.Verify(ctx, id, asked, answer)
				want := policy.Evidence{
					Method: policy.Software, At: noon, Credential: string(made.ID), Interaction: string(id), PhishingResistant: true, UserVerified: true,
				}
				if err == nil && (who.ID != person.ID || ev != want) {
					t.Errorf("%s, %+v, want %+v", who.Sub, ev, want)
				}
				return err
			})
		}
	})
}

// WebAuthn Level 3 section 5.4.3: what an authenticator is told of a person.
func TestCreationTellsLittle(t *testing.T) {
	r := newReplica(t, providertest.SQLite(t), still)
	person := r.person(t, "p_ada")
	first, err := add(t, r.passkeys, person, "", providertest.NewDevice(t, house, phone))
	if err != nil {
		t.Fatal(err)
	}
	text, err := r.passkeys.Creation(t.Context(), storage.NewID(), person, "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	var options struct {
		RP                 struct{ ID, Name string }
		User               struct{ ID, Name, DisplayName string }
		Attestation        string
		ExcludeCredentials []struct{ ID string }
		PubKeyCredParams   []struct{ Alg int }
	}
	if err := json.Unmarshal(text, &options); err != nil {
		t.Fatal(err)
	}
	id, _ := base64.RawURLEncoding.DecodeString(options.User.ID)
	if string(id) != person.Sub || options.User.Name != "ada@example.com" || strings.Contains(string(text), string(person.ID)) {
		t.Errorf("user %+v", options.User)
	}
	if options.RP.ID != "login.example" || options.RP.Name != "House" || fmt.Sprint(options.PubKeyCredParams) != "[{-7} {-8} {-257}]" || options.Attestation == "direct" {
		t.Errorf("%s", text)
	}
	if len(options.ExcludeCredentials) != 1 || options.ExcludeCredentials[0].ID != base64.RawURLEncoding.EncodeToString(first.CredentialID) {
		t.Errorf("a device that has one already is not told: %s", text)
	}
}

// WebAuthn Level 3 section 6.5.4.2: only the models on the list, and none that says none.
func TestOnlyListedModelsAreAdded(t *testing.T) {
	r := newReplica(t, providertest.SQLite(t), still)
	person := r.person(t, "ada")
	listed := [16]byte{0xcb, 0x69, 0x48, 0x1e, 0x8f, 0xf7, 0x40, 0x39, 0x93, 0xec, 0x0a, 0x27, 0x29, 0xa1, 0x54, 0xa8}
	cfg := proof.PasskeyConfig{RPID: "login.example", Name: "House", Origins: []string{house}, AAGUIDs: []string{"cb69481e-8ff7-4039-93ec-0a2729a154a8"}}
	p, err := proof.NewPasskey(cfg, r.store, r.events, [32]byte{}, still)
	if err != nil {
		t.Fatal(err)
	}
	options, err := p.Creation(t.Context(), storage.NewID(), person, "ada@example.com")
	if err != nil || !strings.Contains(string(options), `"attestation":"direct"`) {
		t.Errorf("it does not ask to attest: %s, %v", options, err)
	}
	for model, name := range map[[16]byte]string{{}: "", {1}: "", listed: "YubiKey 5 Series"} {
		d := providertest.NewDevice(t, house, phone)
		d.AAGUID = model
		k, err := add(t, r.passkeys, person, "", d) // without a list: all
		if err != nil {
			t.Fatalf("%x without a list: %v", model, err)
		}
		if want := map[bool]string{true: "Passkey", false: name}[name == ""]; !strings.HasPrefix(k.Name, want) {
			t.Errorf("%x is called %q, want %q", model, k.Name, want)
		}
		if got := p.Model(k); !strings.HasPrefix(got, name) || (got == "") != (name == "") {
			t.Errorf("%x is the model %q, want %q", model, got, name)
		}
		_, err = add(t, p, person, "", d)
		var f *fault.Error
		if model != listed && (!errors.As(err, &f) || f.Code != "passkey_model") {
			t.Errorf("%x: %v, want it refused", model, err)
		}
		if model == listed && err != nil {
			t.Errorf("%x: %v", model, err)
		}
	}
	cfg.AAGUIDs = []string{"00000000-0000-0000-0000-000000000000"}
	if _, err := proof.NewPasskey(cfg, r.store, r.events, [32]byte{}, still); err == nil {
		t.Error("the model of those that say none can be listed")
	}
}

// FuzzPasskeyAnswer: whatever is sent in the place of an answer is refused.
func FuzzPasskeyAnswer(f *testing.F) {
	store, err := storage.Open(f.Context(), providertest.Database(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = store.Close() })
	p, err := proof.NewPasskey(proof.PasskeyConfig{RPID: "login.example", Origins: []string{house}}, store, events.New(store, nil, still), [32]byte{}, still)
	if err != nil {
		f.Fatal(err)
	}
	person := &storage.Person{ID: storage.NewID(), Sub: "ada", Claims: storage.Document(storage.Raw("{}")), CreatedAt: storage.At(noon), UpdatedAt: storage.At(noon)}
	if err := store.CreatePerson(f.Context(), person); err != nil {
		f.Fatal(err)
	}
	d := providertest.NewDevice(f, house, phone)
	made := d.Make(`{"challenge": "AAAA", "rp": {"id": "login.example"}, "user": {"id": "YWRh"}}`)
	used := d.Use(`{"challenge": "AAAA", "rpId": "login.example"}`)
	for _, seed := range []string{made, used, strings.Replace(made, "attestationObject", "authenticatorData", 1), "", "null", "{}", "[]", `{"id":"","rawId":"","type":"public-key","response":{}}`, "\xff\xfe", strings.Repeat("[", 1000)} {
		f.Add([]byte(seed))
	}
	id := storage.NewID()
	f.Fuzz(func(t *testing.T, answer []byte) {
		for _, asked := range []*storage.Person{nil, person} {
			if _, _, err := p.Verify(t.Context(), id, asked, answer); err == nil {
				t.Errorf("%q proved a passkey", answer)
			}
		}
		if _, err := p.Add(t.Context(), id, person, "", answer); err == nil {
			t.Errorf("%q added a passkey", answer)
		}
	})
}

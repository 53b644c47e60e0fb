package providertest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/json"
	"math/big"
	"slices"
	"testing"

	"golang.org/x/net/html"
)

// Device makes and proves passkeys (WebAuthn Level 3) over HTTP alone: it is an
// authenticator and the browser that asks it in one, and says whatever a test has it
// say. That of a real browser is [Authenticator].
type Device struct {
	Kind   AuthenticatorKind
	AAGUID [16]byte // the model that it says to be; zero for none
	Counts bool     // it counts the uses of its passkeys

	t        testing.TB
	origin   string
	passkeys []*passkey
}

type passkey struct {
	id, handle []byte
	key        crypto.Signer
	alg        int64
	count      uint32
}

// Device returns a device that has no passkeys, and whose browser shows the
// provider's pages.
func (p *P) Device(kind AuthenticatorKind) *Device { return NewDevice(p.t, p.Issuer, kind) }

// NewDevice returns a device that has no passkeys, and whose browser shows a page of
// this origin.
func NewDevice(t testing.TB, origin string, kind AuthenticatorKind) *Device {
	return &Device{Kind: kind, t: t, origin: origin}
}

// Flags of authenticator data (section 6.1).
const (
	UserPresent    byte = 1 << 0
	UserVerified   byte = 1 << 2
	BackupEligible byte = 1 << 3
	BackedUp       byte = 1 << 4
	attested       byte = 1 << 6
)

// Algorithms of credentials (RFC 9053 section 2, RFC 8812 section 2).
const (
	ES256 int64 = -7
	EdDSA int64 = -8
	ES384 int64 = -35
	PS256 int64 = -37
	RS256 int64 = -257
)

// Said is all that a device and its browser say before it is signed.
type Said struct {
	Type, Challenge, Origin, TopOrigin string
	CrossOrigin                        bool
	RPID                               string
	Flags                              byte
	Count                              uint32
	ID, Handle                         []byte // of the credential, of its user
	Alg                                int64  // of a new credential
	Transports                         []string
	Extra                              map[string]any // more members of the answer's JSON
}

// A Bend changes what is said.
type Bend func(*Said)

type ceremonyOptions struct {
	Challenge string `json:"challenge"`
	RPID      string `json:"rpId"`
	RP        struct {
		ID string `json:"id"`
	} `json:"rp"`
	User struct {
		ID string `json:"id"`
	} `json:"user"`
	AllowCredentials []struct {
		ID string `json:"id"`
	} `json:"allowCredentials"`
}

func (d *Device) options(text string) ceremonyOptions {
	d.t.Helper()
	var o ceremonyOptions
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		d.t.Fatalf("%v in %q", err, text)
	}
	return o
}

func (d *Device) flags() byte {
	flags := UserPresent
	if d.Kind.Verifies {
		flags |= UserVerified
	}
	if d.Kind.Synced {
		flags |= BackupEligible | BackedUp
	}
	return flags
}

// Make makes a passkey as a page asks for it, and returns what the page posts: a
// RegistrationResponseJSON.
func (d *Device) Make(options string, bends ...Bend) string {
	d.t.Helper()
	o := d.options(options)
	said := &Said{
		Type: "webauthn.create", Challenge: o.Challenge, Origin: d.origin, RPID: o.RP.ID, Flags: d.flags(),
		ID: []byte(rand.Text()), Handle: d.decode(o.User.ID), Alg: ES256, Transports: []string{"internal"},
	}
	for _, bend := range bends {
		bend(said)
	}
	made := &passkey{id: said.ID, handle: said.Handle, alg: said.Alg, count: said.Count, key: d.newKey(said.Alg)}
	d.passkeys = append(d.passkeys, made)
	data := slices.Concat(said.authenticatorData(attested), d.AAGUID[:], binary.BigEndian.AppendUint16(nil, uint16(len(said.ID))), said.ID, made.cose())
	// {"fmt": "none", "attStmt": {}, "authData": data}
	object := slices.Concat([]byte("\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData"), cborBytes(data))
	return d.answer(said, map[string]any{
		"clientDataJSON": rawURL.EncodeToString(said.clientData(d.t)), "attestationObject": rawURL.EncodeToString(object), "transports": said.Transports,
	})
}

// Use proves the newest passkey that a page would take, and returns what the page
// posts: an AuthenticationResponseJSON.
func (d *Device) Use(options string, bends ...Bend) string {
	d.t.Helper()
	o := d.options(options)
	used := d.find(o)
	if used == nil {
		d.t.Fatalf("the device has no passkey for %s", options)
	}
	if d.Counts {
		used.count++
	}
	said := &Said{
		Type: "webauthn.get", Challenge: o.Challenge, Origin: d.origin, RPID: o.RPID, Flags: d.flags(), Count: used.count,
		ID: used.id, Handle: used.handle,
	}
	for _, bend := range bends {
		bend(said)
	}
	data, client := said.authenticatorData(0), said.clientData(d.t)
	hash := sha256.Sum256(client)
	return d.answer(said, map[string]any{
		"clientDataJSON": rawURL.EncodeToString(client), "authenticatorData": rawURL.EncodeToString(data),
		"signature": rawURL.EncodeToString(d.sign(used, slices.Concat(data, hash[:]))), "userHandle": rawURL.EncodeToString(said.Handle),
	})
}

// Has reports whether the device would find a passkey that a page would take: of a
// page that names none, only one that verifies its user does.
func (d *Device) Has(options string) bool {
	d.t.Helper()
	o := d.options(options)
	return d.find(o) != nil && (d.Kind.Verifies || len(o.AllowCredentials) > 0)
}

func (d *Device) find(o ceremonyOptions) *passkey {
	for _, k := range slices.Backward(d.passkeys) {
		if len(o.AllowCredentials) == 0 {
			return k
		}
		for _, one := range o.AllowCredentials {
			if one.ID == rawURL.EncodeToString(k.id) {
				return k
			}
		}
	}
	return nil
}

func (d *Device) answer(said *Said, response map[string]any) string {
	d.t.Helper()
	id := rawURL.EncodeToString(said.ID)
	doc := map[string]any{"id": id, "rawId": id, "type": "public-key", "clientExtensionResults": map[string]any{}, "response": response}
	for name, value := range said.Extra {
		doc[name] = value
	}
	text, err := json.Marshal(doc)
	if err != nil {
		d.t.Fatal(err)
	}
	return string(text)
}

func (d *Device) decode(text string) []byte {
	d.t.Helper()
	b, err := rawURL.DecodeString(text)
	if err != nil {
		d.t.Fatal(err)
	}
	return b
}

// clientData is CollectedClientData (section 5.8.1).
func (s *Said) clientData(t testing.TB) []byte {
	t.Helper()
	doc := map[string]any{"type": s.Type, "challenge": s.Challenge, "origin": s.Origin, "crossOrigin": s.CrossOrigin}
	if s.TopOrigin != "" {
		doc["topOrigin"] = s.TopOrigin
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// authenticatorData is its fixed part (section 6.1).
func (s *Said) authenticatorData(more byte) []byte {
	hash := sha256.Sum256([]byte(s.RPID))
	return binary.BigEndian.AppendUint32(append(hash[:], s.Flags|more), s.Count)
}

func (d *Device) newKey(alg int64) crypto.Signer {
	d.t.Helper()
	var (
		key crypto.Signer
		err error
	)
	switch alg {
	case ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ES384:
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case RS256, PS256:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		d.t.Fatalf("no key for the algorithm %d", alg)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return key
}

func (d *Device) sign(k *passkey, said []byte) []byte {
	d.t.Helper()
	var options crypto.SignerOpts = crypto.SHA256
	sum := sha256.Sum256(said)
	digest := sum[:]
	switch k.alg {
	case EdDSA:
		options, digest = crypto.Hash(0), said
	case ES384:
		long := sha512.Sum384(said)
		options, digest = crypto.SHA384, long[:]
	case PS256:
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	}
	signature, err := k.key.Sign(rand.Reader, digest, options)
	if err != nil {
		d.t.Fatal(err)
	}
	return signature
}

// cose is the public key as COSE_Key (RFC 9053 section 7, RFC 8230 section 4).
func (k *passkey) cose() []byte {
	switch public := k.key.Public().(type) {
	case ed25519.PublicKey: // kty OKP, alg, crv Ed25519, x
		return slices.Concat([]byte{0xa4, 1, 1, 3}, cborInt(k.alg), []byte{0x20, 6, 0x21}, cborBytes(public))
	case *ecdsa.PublicKey: // kty EC2, alg, crv, x, y
		curve := byte(1)
		if public.Curve == elliptic.P384() {
			curve = 2
		}
		point, err := public.Bytes()
		if err != nil {
			panic(err) // it has just been made
		}
		half := (len(point) - 1) / 2
		return slices.Concat([]byte{0xa5, 1, 2, 3}, cborInt(k.alg), []byte{0x20, curve, 0x21}, cborBytes(point[1:1+half]), []byte{0x22}, cborBytes(point[1+half:]))
	case *rsa.PublicKey: // kty RSA, alg, n, e
		return slices.Concat([]byte{0xa4, 1, 3, 3}, cborInt(k.alg), []byte{0x20}, cborBytes(public.N.Bytes()), []byte{0x21}, cborBytes(big.NewInt(int64(public.E)).Bytes()))
	}
	return nil
}

// cborHead begins a value of a major type (RFC 8949 section 3).
func cborHead(major byte, n int) []byte {
	switch {
	case n < 24:
		return []byte{major<<5 | byte(n)}
	case n < 1<<8:
		return []byte{major<<5 | 24, byte(n)}
	}
	return []byte{major<<5 | 25, byte(n >> 8), byte(n)}
}

func cborBytes(b []byte) []byte { return append(cborHead(2, len(b)), b...) }

// cborInt is a negative number.
func cborInt(n int64) []byte { return cborHead(1, int(-1-n)) }

// Prompt is the form of a page that waits for what an authenticator answers.
type Prompt struct {
	Form
	Options string // what the authenticator is asked for
	Creates bool   // a new passkey, not the proof of one
}

// ReadPrompt returns the prompt of a page, or nil.
func ReadPrompt(page []byte) *Prompt {
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		return nil
	}
	for n := range root.Descendants() {
		if options := attribute(n, "data-passkey"); options != "" {
			creates := slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == "data-creates" })
			return &Prompt{Form: *readForm(n), Options: options, Creates: creates}
		}
	}
	return nil
}

// Answer makes or proves a passkey, as the prompt asks.
func (d *Device) Answer(to *Prompt, bends ...Bend) string {
	d.t.Helper()
	if to.Creates {
		return d.Make(to.Options, bends...)
	}
	return d.Use(to.Options, bends...)
}

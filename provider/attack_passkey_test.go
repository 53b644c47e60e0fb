package provider_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// phone is a device whose passkeys are on its owner's others too.
var phone = providertest.AuthenticatorKind{Verifies: true, Synced: true}

// A passkeyPage waits for an answer of an authenticator.
type passkeyPage struct {
	t      *testing.T
	b      *providertest.Browser
	at     *url.URL
	prompt *providertest.Prompt
}

func passkeyPageOf(t *testing.T, b *providertest.Browser, a *providertest.Arrival) *passkeyPage {
	t.Helper()
	prompt := providertest.ReadPrompt(a.Body)
	if prompt == nil {
		t.Fatalf("no prompt at %s: %s", a.URL, a.Answer)
	}
	return &passkeyPage{t: t, b: b, at: a.URL, prompt: prompt}
}

// request is that of the page with this answer.
func (p *passkeyPage) request(answer string) *http.Request {
	p.t.Helper()
	form := p.prompt.Form
	form.Fields = maps.Clone(form.Fields)
	form.Fields.Set("passkey", answer)
	return p.b.Submit(p.at, &form)
}

func (p *passkeyPage) send(answer string) *providertest.Answer {
	p.t.Helper()
	a := p.b.Send(p.request(answer))
	if next := providertest.ReadPrompt(a.Body); a.Status/100 == 4 && next != nil {
		p.prompt = next // with a new challenge
	}
	return a
}

// answer has the device answer what the page asks, bent.
func (p *passkeyPage) answer(d *providertest.Device, bends ...providertest.Bend) *providertest.Answer {
	p.t.Helper()
	return p.send(d.Answer(p.prompt, bends...))
}

// addPasskey gives somebody a passkey on the device, and returns their browser, which
// does not hold it.
func addPasskey(t *testing.T, p *providertest.P, name string, d *providertest.Device) *providertest.Browser {
	t.Helper()
	b := p.In(t).Browser().SignIn(name).Holding(d)
	if a := b.Walk(nil, p.URL(web.PathSecurityAddPasskey)); a.URL.Path != web.PathSecurity || a.Status != http.StatusOK {
		t.Fatalf("no passkey was added: at %s: %s", a.URL, a.Answer)
	}
	return b.Holding(nil)
}

// The pages on which passkeys are asked for; each begins anew.

func signInPage(t *testing.T, p *providertest.P, rp *providertest.RP, params ...providertest.Param) *passkeyPage {
	t.Helper()
	b := p.In(t).Browser()
	return passkeyPageOf(t, b, b.Ask(rp, "openid", params...))
}

func stepUpPage(t *testing.T, p *providertest.P, rp *providertest.RP, name string) *passkeyPage {
	t.Helper()
	b := p.In(t).Browser().SignIn(name)
	a := b.Ask(rp, "openid", providertest.With("acr_values", "aal2"))
	if a.URL.Path != web.PathPasskey {
		t.Fatalf("at %s, want the page of a passkey: %s", a.URL, a.Answer)
	}
	return passkeyPageOf(t, b, a)
}

// addingPage is that of somebody who adds their first passkey.
func addingPage(t *testing.T, p *providertest.P, b *providertest.Browser) *passkeyPage {
	t.Helper()
	a := b.Walk(nil, p.URL(web.PathSecurityAddPasskey))
	if a.URL.Path != web.PathAddPasskey {
		t.Fatalf("at %s, want the page that adds a passkey: %s", a.URL, a.Answer)
	}
	return passkeyPageOf(t, b, a)
}

func wantPasskeys(t *testing.T, p *providertest.P, name string, n int) {
	t.Helper()
	has, err := p.Store.PasskeysOf(t.Context(), p.In(t).Person(name).ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(has) != n {
		t.Errorf("%s has %d passkeys, want %d", name, len(has), n)
	}
}

// everyPasskeyPage runs a test on each page on which passkeys are asked for: ada's, who
// has one on the device; that of bob, who adds one. What is before is done first.
func everyPasskeyPage(t *testing.T, kind providertest.AuthenticatorKind, run func(t *testing.T, page *passkeyPage, d *providertest.Device), before ...func(t *testing.T, p *providertest.P)) {
	t.Helper()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		for _, do := range before {
			do(t, p)
		}
		rp := p.Client("web", providertest.FirstParty)
		d := p.Device(kind)
		addPasskey(t, p, "ada", d)
		t.Run("sign-in", func(t *testing.T) { run(t, signInPage(t, p, rp.In(t)), d) })
		t.Run("second factor", func(t *testing.T) { run(t, stepUpPage(t, p, rp.In(t), "ada"), d) })
		t.Run("one more", func(t *testing.T) {
			run(t, addingPage(t, p, p.In(t).Browser().SignIn("bob")), p.In(t).Device(kind))
			wantPasskeys(t, p, "bob", 1)
		})
	})
}

// WebAuthn Level 3 sections 7.1, steps 9 to 11 and 14, and 7.2, steps 12 to 14 and 16.
func TestAttack66PasskeysAreForOurPagesAlone(t *testing.T) {
	t.Parallel()
	everyPasskeyPage(t, phone, func(t *testing.T, page *passkeyPage, d *providertest.Device) {
		origin := page.at.Scheme + "://" + page.at.Host
		from := func(origin string) providertest.Bend { return func(s *providertest.Said) { s.Origin = origin } }
		for what, bend := range map[string]providertest.Bend{
			"another origin":        from("https://evil.example"),
			"a subdomain":           from(page.at.Scheme + "://evil." + page.at.Host),
			"a domain that goes on": from(page.at.Scheme + "://" + page.at.Hostname() + ".evil.example:" + page.at.Port()),
			"another port":          from(page.at.Scheme + "://" + page.at.Hostname() + ":1"),
			"no port":               from(page.at.Scheme + "://" + page.at.Hostname()),
			"another scheme":        from("https://" + page.at.Host),
			"our address":           from(page.at.Scheme + "://127.0.0.1:" + page.at.Port()),
			"ours as user":          from(page.at.Scheme + "://" + page.at.Host + "@evil.example"),
			"null":                  from("null"),
			"none":                  from(""),
			"a file":                from("file://"),
			"an app":                from("android:apk-key-hash:" + base64.RawURLEncoding.EncodeToString(make([]byte, 32))),
			"within another site":   func(s *providertest.Said) { s.CrossOrigin = true },
			"within a named one":    func(s *providertest.Said) { s.CrossOrigin, s.TopOrigin = true, "https://evil.example" },
			"within ourselves":      func(s *providertest.Said) { s.CrossOrigin, s.TopOrigin = true, origin },
			"a top origin alone":    func(s *providertest.Said) { s.TopOrigin = "https://evil.example" },
			"ours as top origin":    func(s *providertest.Said) { s.TopOrigin = origin },
			"another party":         func(s *providertest.Said) { s.RPID = "evil.example" },
			"a party below":         func(s *providertest.Said) { s.RPID = "login.localhost" },
			"no party":              func(s *providertest.Said) { s.RPID = "" },
		} {
			if a := page.answer(d, bend); a.Status != wrong {
				t.Errorf("%s: %s, want status %d", what, a, wrong)
			}
		}
		page.answer(d).WantStatus(signedOn)
	})
}

// The same of an app on Android, which says by what certificate it is signed where a
// page would say its origin: it is one that an operator registered, and still is.
func TestAttack66AnAppIsOneOfOurs(t *testing.T) {
	t.Parallel()
	everyPasskeyPage(t, phone, func(t *testing.T, page *passkeyPage, d *providertest.Device) {
		from := func(origin string) providertest.Bend { return func(s *providertest.Said) { s.Origin = origin } }
		for what, bend := range map[string]providertest.Bend{
			"signed by somebody else":  from("android:apk-key-hash:" + base64.RawURLEncoding.EncodeToString(make([]byte, 32))),
			"of a client that is gone": from(signedByBB),
			"in another case":          from(strings.ToUpper(signedByAA)),
			"its hash in capitals":     from("android:apk-key-hash:" + strings.ToUpper(strings.TrimPrefix(signedByAA, "android:apk-key-hash:"))),
			"padded":                   from(signedByAA + "="),
			"shortened":                from(signedByAA[:len(signedByAA)-1]),
			"no hash":                  from("android:apk-key-hash:"),
			"its name":                 from("android:apk-key-hash:com.example.cars"),
			"SHA-256 by its own name":  from(strings.Replace(signedByAA, "apk-key-hash", "apk-key-hash-sha256", 1)),
			"an app of Apple's":        from("ios:bundle-id:com.example.cars"),
			"within another site":      func(s *providertest.Said) { s.Origin, s.CrossOrigin = signedByAA, true },
			"for another party":        func(s *providertest.Said) { s.Origin, s.RPID = signedByAA, "evil.example" },
			"a page beside it":         from("https://evil.example"),
		} {
			if a := page.answer(d, bend); a.Status != wrong {
				t.Errorf("%s: %s, want status %d", what, a, wrong)
			}
		}
		page.answer(d, from(signedByAA)).WantStatus(signedOn)
	}, func(t *testing.T, p *providertest.P) {
		p.Client("cars", phoneApp("AA"))
		p.Client("vans", phoneApp("BB"))
		if err := p.Clients.Delete(t.Context(), "vans", events.ActorOperator); err != nil {
			t.Fatal(err)
		}
	})
}

// WebAuthn Level 3 section 13.4.3: a challenge is for one answer, to the question that it
// was made for.
func TestAttack67AChallengeIsForOneAnswer(t *testing.T) {
	t.Parallel()
	everyPasskeyPage(t, phone, func(t *testing.T, page *passkeyPage, d *providertest.Device) {
		challenge := func(change func([]byte) []byte) providertest.Bend {
			return func(s *providertest.Said) {
				raw, err := base64.RawURLEncoding.DecodeString(s.Challenge)
				if err != nil {
					t.Fatal(err)
				}
				s.Challenge = base64.RawURLEncoding.EncodeToString(change(raw))
			}
		}
		flip := func(at int) providertest.Bend {
			return challenge(func(raw []byte) []byte { raw[(at+len(raw))%len(raw)] ^= 1; return raw })
		}
		for what, bend := range map[string]providertest.Bend{
			"another one":       flip(0),
			"of another flow":   flip(32),
			"of another time":   flip(71),
			"with another MAC":  flip(-1),
			"shortened":         challenge(func(raw []byte) []byte { return raw[:len(raw)-1] }),
			"lengthened":        challenge(func(raw []byte) []byte { return append(raw, 0) }),
			"all zero":          challenge(func(raw []byte) []byte { return make([]byte, len(raw)) }),
			"none":              func(s *providertest.Said) { s.Challenge = "" },
			"written otherwise": func(s *providertest.Said) { s.Challenge += "=" },
			"of the other ceremony": func(s *providertest.Said) {
				s.Type = map[string]string{"webauthn.get": "webauthn.create", "webauthn.create": "webauthn.get"}[s.Type]
			},
			"of no ceremony": func(s *providertest.Said) { s.Type = "payment.get" },
		} {
			if a := page.answer(d, bend); a.Status != wrong {
				t.Errorf("%s: %s, want status %d", what, a, wrong)
			}
		}

		// One that was answered wrongly is used up as well.
		was := *page.prompt
		page.answer(d, flip(-1)).WantStatus(wrong)
		page.answer(d, func(s *providertest.Said) { s.Challenge, s.RPID = challengeIn(was.Options), "evil.example" }).WantStatus(wrong)
		page.answer(d, func(s *providertest.Said) { s.Challenge = challengeIn(was.Options) }).WantStatus(wrong)
		page.answer(d).WantStatus(signedOn)
	})
}

func challengeIn(options string) string {
	_, rest, _ := strings.Cut(options, `"challenge":"`)
	challenge, _, _ := strings.Cut(rest, `"`)
	return challenge
}

// The same: nor is it for another request, another browser or another person.
func TestAttack67AChallengeIsNobodyElses(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		adas, eves := p.Device(phone), p.Device(phone)
		addPasskey(t, p, "ada", adas)
		addPasskey(t, p, "eve", eves)

		here, there := signInPage(t, p, rp), signInPage(t, p, rp)
		answer := adas.Use(there.prompt.Options)
		here.send(answer).WantStatus(wrong)
		again := passkeyPageOf(t, here.b, here.b.Ask(rp, "openid"))
		again.send(adas.Use(here.prompt.Options)).WantStatus(wrong) // another request of the same browser
		stolen := there.request(answer)                             // as it stands, from another browser
		if a := here.b.Send(stolen); a.Status != http.StatusForbidden && a.Status != http.StatusNotFound {
			t.Errorf("another browser's: %s", a)
		}
		there.send(answer).WantStatus(signedOn) // it was good all the time
		there.send(answer)
		if there.b.Cookie(sessionCookie) == "" || here.b.Cookie(sessionCookie) != "" {
			t.Error("who answered is not signed in, or somebody else is")
		}

		// Of another person: eve's is good, but not what ada is asked for.
		up := stepUpPage(t, p, rp, "ada")
		theirs := stepUpPage(t, p, rp, "eve")
		up.send(eves.Use(theirs.prompt.Options)).WantStatus(wrong)
		up.send(eves.Use(theirs.prompt.Options, func(s *providertest.Said) { s.Challenge = challengeIn(up.prompt.Options) })).WantStatus(wrong)
		up.answer(adas, func(s *providertest.Said) { s.Handle = []byte(p.Person("eve").Sub) }).WantStatus(wrong)
		up.answer(adas).WantStatus(signedOn)

		// Expired, with the request that it was for.
		late := signInPage(t, p, rp)
		p.Clock.Advance(30 * time.Minute)
		late.answer(adas).WantStatus(http.StatusNotFound)
	})
}

// WebAuthn Level 3 section 7.2, step 11, on three processes that share a database alone.
func TestAttack67OneOfFiftyAnswersSucceeds(t *testing.T) {
	p := providertest.Replicas(t, 3)
	rp := p.Client("web", providertest.FirstParty)
	d := p.Device(phone)
	addPasskey(t, p, "ada", d)
	for _, page := range []*passkeyPage{signInPage(t, p, rp), addingPage(t, p, p.Browser().SignIn("bob"))} {
		answer := d.Answer(page.prompt)
		requests := make([]*http.Request, 50)
		for i := range requests {
			requests[i] = page.b.Carry(page.request(answer))
		}
		won := 0
		for _, a := range p.AtOnce(requests...) {
			switch a.Status {
			case signedOn:
				won++
			case wrong, http.StatusConflict:
			default:
				t.Errorf("%s: %s", page.at.Path, a)
			}
		}
		// The adding page says of each that something was done: what, is counted below.
		if won != 1 && !page.prompt.Creates {
			t.Errorf("%s: %d answers to one challenge succeeded, want 1", page.at.Path, won)
		}
	}
	wantPasskeys(t, p, "bob", 1)
}

// WebAuthn Level 3 sections 7.1, step 15, and 7.2, step 17: somebody has to be there,
// and who signs in by a passkey alone is verified by it.
func TestAttack68WhoUsesAPasskeyIsThere(t *testing.T) {
	t.Parallel()
	everyPasskeyPage(t, phone, func(t *testing.T, page *passkeyPage, d *providertest.Device) {
		without := func(flags byte) providertest.Bend { return func(s *providertest.Said) { s.Flags &^= flags } }
		page.answer(d, without(providertest.UserPresent)).WantStatus(wrong)
		page.answer(d, without(providertest.UserPresent|providertest.UserVerified)).WantStatus(wrong)
		if page.at.Path == web.PathSignIn {
			page.answer(d, without(providertest.UserVerified)).WantStatus(wrong)
		}
		page.answer(d).WantStatus(signedOn)
	})
}

// NIST SP 800-63B-4 section 3.1.7.1: a key without a lock is one factor, not two.
func TestAttack68AnUnverifiedPasskeyIsOneFactor(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		d := p.Device(phone)
		addPasskey(t, p, "ada", d)
		page := signInPage(t, p, rp)
		page.answer(d).WantStatus(signedOn)
		acrIn := func() any {
			t.Helper()
			return p.Verify(rp.Exchange(page.b.Authorize(rp, "openid", silently)).OK().ID).Claims["acr"]
		}
		if got := acrIn(); got != "aal2" {
			t.Fatalf("verified: acr %v, want aal2", got)
		}
		p.Clock.Advance(25 * time.Hour) // now it counts for aal1 alone
		if got := acrIn(); got != "aal1" {
			t.Fatalf("a day later: acr %v, want aal1", got)
		}
		again := passkeyPageOf(t, page.b, page.b.Ask(rp, "openid", providertest.With("acr_values", "aal2")))
		a := again.answer(d, func(s *providertest.Said) { s.Flags &^= providertest.UserVerified }).WantStatus(signedOn)
		if at := page.b.Walk(rp, page.b.Next(a)); at.Params != nil || at.URL.Path != web.PathSignIn {
			t.Fatalf("without verification: at %s %s, want the password's page", at.URL, at.Params)
		}
		if got := acrIn(); got != "aal1" {
			t.Errorf("without verification: acr %v, want aal1", got)
		}
		code := page.b.SignIn("ada").Walk(rp, page.b.Next(a)).Code()
		if got := p.Verify(rp.Exchange(code).OK().ID).Claims["acr"]; got != "aal2" {
			t.Errorf("with the password: acr %v, want aal2", got)
		}
	})
}

// WebAuthn Level 3 section 6.1.1: a counter that does not go on is one of two copies.
func TestAttack69ACounterGoesOn(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		d := p.Device(phone)
		addPasskey(t, p, "ada", d)
		for _, c := range []struct {
			count uint32
			want  int
		}{
			{0, signedOn}, {0, signedOn}, // it does not count
			{5, signedOn}, {5, wrong}, {4, wrong}, {0, wrong}, {6, signedOn}, {1 << 31, signedOn}, {1<<32 - 1, signedOn}, {1<<32 - 1, wrong}, {0, wrong}, {1, wrong},
		} {
			a := signInPage(t, p, rp).answer(d, func(s *providertest.Said) { s.Count = c.count })
			if a.Status != c.want {
				t.Errorf("%d: %s, want status %d", c.count, a, c.want)
			}
		}
	})
}

// WebAuthn Level 3 sections 6.1.3, 7.1, step 17, and 7.2, steps 19 and 20: whether a
// passkey may leave its device never changes.
func TestAttack69BackupEligibilityNeverChanges(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]providertest.AuthenticatorKind{"synced": phone, "bound": {Verifies: true}} {
		t.Run(name, func(t *testing.T) {
			everyPasskeyPage(t, kind, func(t *testing.T, page *passkeyPage, d *providertest.Device) {
				flags := func(set, not byte) providertest.Bend {
					return func(s *providertest.Said) { s.Flags = s.Flags&^not | set }
				}
				const be, bs = providertest.BackupEligible, providertest.BackedUp
				page.answer(d, flags(bs, be)).WantStatus(wrong) // backed up, and cannot be
				if !page.prompt.Creates {
					if kind.Synced {
						page.answer(d, flags(0, be|bs)).WantStatus(wrong)
					} else {
						page.answer(d, flags(be, 0)).WantStatus(wrong)
						page.answer(d, flags(be|bs, 0)).WantStatus(wrong)
					}
				}
				page.answer(d).WantStatus(signedOn)
			})
		})
	}
}

// WebAuthn Level 3 section 7.1, steps 20, 25 and 26.
func TestAttack70WhatIsNoPasskeyHere(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		adas, d := p.Device(phone), p.Device(phone)
		addPasskey(t, p, "ada", adas)
		page := addingPage(t, p, p.Browser().SignIn("bob"))
		with := func(change func(*providertest.Said)) providertest.Bend { return change }
		for what, c := range map[string]struct {
			bend providertest.Bend
			want int
		}{
			"ES384":            {with(func(s *providertest.Said) { s.Alg = providertest.ES384 }), wrong},
			"PS256":            {with(func(s *providertest.Said) { s.Alg = providertest.PS256 }), wrong},
			"an id too long":   {with(func(s *providertest.Said) { s.ID = make([]byte, 1024) }), wrong},
			"no id":            {with(func(s *providertest.Said) { s.ID = nil }), wrong},
			"ada's":            {with(func(s *providertest.Said) { s.ID = passkeyOf(t, p, "ada").CredentialID }), http.StatusConflict},
			"no kind":          {with(func(s *providertest.Said) { s.Extra = map[string]any{"type": "password"} }), wrong},
			"another id twice": {with(func(s *providertest.Said) { s.Extra = map[string]any{"rawId": "AAAA"} }), wrong},
		} {
			if a := page.answer(d, c.bend); a.Status != c.want {
				t.Errorf("%s: %s, want status %d", what, a, c.want)
			}
		}
		for what, answer := range map[string]string{
			"nothing": "", "null": "null", "no object": "[]", "an empty object": "{}", "cut off": d.Answer(page.prompt)[:200],
		} {
			if a := page.send(answer); a.Status != wrong {
				t.Errorf("%s: %s, want status %d", what, a, wrong)
			}
		}
		page.send("\x00").WantStatus(http.StatusBadRequest)
		page.send(strings.Repeat("x", 33<<10)).WantStatus(http.StatusRequestEntityTooLarge)
		wantPasskeys(t, p, "bob", 0)
		page.answer(d, func(s *providertest.Said) {
			s.ID, s.Transports = []byte(strings.Repeat("i", 1023)), []string{"internal", "<script>", "usb", "carrier pigeon"}
		}).WantStatus(signedOn)
		if got := fmt.Sprint(passkeyOf(t, p, "bob").Transports); got != "[usb internal]" {
			t.Errorf("transports %s, want those that WebAuthn names", got)
		}
		for _, alg := range []int64{providertest.EdDSA, providertest.RS256} {
			name := map[int64]string{providertest.EdDSA: "cid", providertest.RS256: "dan"}[alg]
			one := p.Device(phone)
			addingPage(t, p, p.Browser().SignIn(name)).answer(one, func(s *providertest.Said) { s.Alg = alg }).WantStatus(signedOn)
			signInPage(t, p, p.Client(name)).answer(one).WantStatus(signedOn)
		}
	})
}

func passkeyOf(t *testing.T, p *providertest.P, name string) storage.Passkey {
	t.Helper()
	has, err := p.Store.PasskeysOf(t.Context(), p.Person(name).ID)
	if err != nil || len(has) == 0 {
		t.Fatalf("%s has no passkey: %v", name, err)
	}
	return has[len(has)-1]
}

// detailsURL is the page of somebody's newest passkey.
func detailsURL(t *testing.T, p *providertest.P, name string) string {
	t.Helper()
	return p.URL(web.PathSecurityFactor) + "?id=" + string(passkeyOf(t, p, name).ID)
}

// One person has at most 20.
func TestAttack70PasskeysHaveALimit(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		d := p.Device(phone)
		b, other := p.Browser().SignIn("ada").Holding(d), p.Browser().SignIn("ada").Holding(d).StopAt(web.PathAddPasskey)
		var waiting *passkeyPage
		for i := range 20 {
			if i == 19 { // its page is there before the last one
				at := other.Walk(nil, p.URL(web.PathSecurityAddPasskey)).URL
				waiting = passkeyPageOf(t, other, other.Holding(nil).Walk(nil, at.String()))
			}
			if a := b.Walk(nil, p.URL(web.PathSecurityAddPasskey)); a.URL.Path != web.PathSecurity {
				t.Fatalf("at %s: %s", a.URL, a.Answer)
			}
		}
		waiting.answer(d).WantStatus(wrong)
		a := b.Walk(nil, p.URL(web.PathSecurityAddPasskey))
		if a.URL.Path != web.PathAddPasskey || providertest.ReadPrompt(a.Body) != nil {
			t.Errorf("with 20: at %s: %s, want the page that says so", a.URL, a.Answer)
		}
		wantPasskeys(t, p, "ada", 20)
	})
}

// The page that adds a passkey works once, for who proved who they are just now: OWASP
// ASVS 5.0 7.5.1.
func TestAttack70APasskeyIsAddedOnceByWhoJustProved(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		b := p.Browser().SignIn("ada")
		d := p.Device(phone)
		page := addingPage(t, p, b)
		answer := d.Answer(page.prompt)
		page.send(answer).WantStatus(signedOn)
		wantPasskeys(t, p, "ada", 1)
		for what, r := range map[string]*http.Request{"the same form": page.request(answer), "with another answer": page.request(d.Make(page.prompt.Options))} {
			if a := b.Send(r); a.Status == http.StatusOK {
				t.Errorf("%s: %s", what, a)
			}
			wantPasskeys(t, p, "ada", 1)
		}

		// The page stood open too long after the sign-in.
		late := p.Browser().SignIn("bob")
		late.Authorize(rp, "openid")
		open := addingPage(t, p, late)
		p.Clock.Advance(11 * time.Minute)
		if to := late.Next(open.answer(d)); !strings.HasPrefix(to, p.URL(web.PathSignIn)) {
			t.Errorf("after 11 minutes: to %s, want a proof first", to)
		}
		wantPasskeys(t, p, "bob", 0)
		p.Browser().Get(open.at.String()).WantStatus(http.StatusForbidden)

		// Eve signed in meanwhile, in another tab: the page is still bob's.
		tabs := p.Browser().SignIn("bob")
		tabs.Authorize(rp, "openid")
		open = addingPage(t, p, tabs)
		tabs.SignIn("eve").Authorize(rp, "openid", providertest.With("prompt", "select_account"))
		theirs := open.request(d.Answer(open.prompt))
		open.prompt.Fields.Set("session", string(storage.NewID()))
		for _, r := range []*http.Request{open.request(d.Make(open.prompt.Options)), theirs} {
			open.b.Send(r)
			wantPasskeys(t, p, "eve", 0)
		}
	})
}

// What was taken away opens nothing, and what it proved counts no more.
func TestAttack70ARemovedPasskeyOpensNothing(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		d := p.Device(phone)
		home := addPasskey(t, p, "ada", d)
		home.SignIn("ada").Holding(d).Authorize(rp, "openid", providertest.With("acr_values", "aal2"))
		home.SignedOut().Holding(nil)
		acrIn := func() any {
			t.Helper()
			return p.Verify(rp.Exchange(home.Authorize(rp, "openid", silently)).OK().ID).Claims["acr"]
		}
		if got := acrIn(); got != "aal2" {
			t.Fatalf("acr %v, want aal2", got)
		}
		waiting, up := signInPage(t, p, rp), stepUpPage(t, p, rp, "ada")
		if err := p.Passkeys.Remove(t.Context(), p.Person("ada").ID, passkeyOf(t, p, "ada").ID, events.ActorPerson); err != nil {
			t.Fatal(err)
		}
		waiting.answer(d).WantStatus(wrong)
		if a := up.answer(d); a.Status != signedOn || up.b.Walk(rp, up.b.Next(a)).Params.Has("code") {
			t.Errorf("as second factor: %s", a)
		}
		if got := acrIn(); got != "aal1" {
			t.Errorf("after its end: acr %v, want aal1", got)
		}
		home.Ask(rp, "openid", silently, providertest.With("acr_values", "aal2")).WantError("unmet_authentication_requirements")
	})
}

// Who may change a passkey is the person whose page was shown, after a fresh proof: OWASP
// ASVS 5.0 7.5.1, and section 8.2.2 on other people's.
func TestAttack70APasskeyIsItsOwnersAlone(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		adas, eves := p.Device(phone), p.Device(phone)
		addPasskey(t, p, "ada", adas)
		addPasskey(t, p, "eve", eves)
		b := p.Browser().SignIn("ada").Holding(adas)
		b.Walk(nil, detailsURL(t, p, "ada")).WantPage(http.StatusOK)
		change := func(who *providertest.Browser, of, do string, params ...providertest.Param) *http.Request {
			r := who.Filled(detailsURL(t, p, "ada"), append(params, providertest.With("do", do), providertest.With("name", "Stolen"))...)
			r.URL.RawQuery = "id=" + string(passkeyOf(t, p, of).ID)
			return r
		}
		for _, do := range []string{"rename", "remove"} {
			b.Send(change(b, "eve", do)).WantStatus(http.StatusNotFound)
			b.Send(change(b, "ada", do, providertest.With("session", string(storage.NewID())))).WantStatus(http.StatusSeeOther)
		}
		b.Get(detailsURL(t, p, "eve")).WantStatus(http.StatusNotFound)
		b.Get(p.URL(web.PathSecurityFactor) + "?id=x").WantStatus(http.StatusNotFound)
		b.Send(change(b, "ada", "give it to eve")).WantStatus(http.StatusBadRequest)
		late := change(b, "ada", "remove")
		p.Clock.Advance(11 * time.Minute)
		if to := b.Next(b.Send(late)); !strings.HasPrefix(to, p.URL(web.PathPasskey)) {
			t.Errorf("after 11 minutes: to %s, want a proof first", to)
		}
		for _, name := range []string{"ada", "eve"} {
			wantPasskeys(t, p, name, 1)
			if got := passkeyOf(t, p, name).Name; got == "Stolen" {
				t.Errorf("%s's passkey was given another name", name)
			}
		}
	})
}

// Whom the operator turned away comes in by no passkey, and is told what nobody is.
func TestAttack70ADisabledPersonsPasskeyOpensNothing(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		d := p.Device(phone)
		addPasskey(t, p, "ada", d)
		if _, err := p.Directory.Disable(t.Context(), "ada@example.com", "operator"); err != nil {
			t.Fatal(err)
		}
		page := signInPage(t, p, rp)
		disabled := tracePasskey(t, p, page, d.Answer(page.prompt))
		unknown := tracePasskey(t, p, page, d.Answer(page.prompt, func(s *providertest.Said) { s.ID = []byte("nobody's") }))
		if disabled != unknown || disabled.status != wrong {
			t.Errorf("a disabled person is told from nobody:\n%+v\n%+v", disabled, unknown)
		}
		if _, err := p.Directory.Enable(t.Context(), "ada@example.com", "operator"); err != nil {
			t.Fatal(err)
		}
		page.answer(d).WantStatus(signedOn)
	})
}

// tracePasskey sends an answer, and returns all that can be seen of it.
func tracePasskey(t *testing.T, p *providertest.P, page *passkeyPage, answer string) trace {
	t.Helper()
	var a *providertest.Answer
	statements := p.Statements.During(func() { a = page.send(answer) })
	return traceOf(a, "", 0, statements)
}

// WebAuthn Level 3 section 14.6.2: what the page asks of an authenticator tells nobody
// who has an account or a passkey.
func TestAttack57PasskeysAreAskedOfNobodyInParticular(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		addPasskey(t, p, "ada", p.Device(phone))
		p.Person("bob")
		asked := map[string]bool{}
		for _, name := range []string{"ada", "bob", "nobody"} {
			page := signInPage(t, p, rp, providertest.With("login_hint", name+"@example.com"))
			asked[strings.Replace(page.prompt.Options, challengeIn(page.prompt.Options), "", 1)] = true
			form := providertest.Form{Action: page.prompt.Action, Fields: maps.Clone(page.prompt.Fields)}
			form.Fields.Set("identifier", name+"@example.com")
			a := page.b.Send(page.b.Submit(page.at, &form)).WantStatus(wrong)
			after := providertest.ReadPrompt(a.Body).Options
			asked[strings.Replace(after, challengeIn(after), "", 1)] = true
		}
		if len(asked) != 1 {
			t.Errorf("who is named is told by what the page asks for: %v", asked)
		}
		for options := range asked {
			if strings.Contains(options, "allowCredentials") {
				t.Errorf("the page names passkeys: %s", options)
			}
		}
	})
}

// OIDC Core section 3.1.2.1, CVE-2024-45042: an app that demands a passkey gets nothing
// without it, at whichever address the person goes on.
func TestAttack62NoPathLeadsAroundAPasskey(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web")
		d := p.Device(phone)
		addPasskey(t, p, "ada", d)
		// What the app asks for is all that asks her for more than a password.
		if err := p.Store.SetAsking(t.Context(), p.Person("ada").ID, string(policy.AskSensitive)); err != nil {
			t.Fatal(err)
		}
		b := p.Browser().SignIn("ada")
		page := passkeyPageOf(t, b, b.Ask(rp, "openid", providertest.With("acr_values", "phr")))
		for _, path := range []string{web.PathConsent, web.PathAccount, web.PathSignIn, web.PathAuthorize, web.PathAddPasskey, web.PathSignOut, web.PathPasskey} {
			at := *page.at
			at.Path = path
			if a := b.Walk(rp, at.String()); a.Params.Has("code") {
				t.Errorf("%s leads to the app", path)
			}
			form := page.prompt.Form
			form.Action, form.Fields = path+"?"+at.RawQuery, maps.Clone(form.Fields)
			for name, value := range map[string]string{"decision": "allow", "account": "other", "identifier": "ada@example.com", "password": providertest.Password, "name": "x"} {
				form.Fields.Set(name, value)
			}
			if path == web.PathSignOut { // it may sign her out
				continue
			}
			if a := b.Send(b.Submit(page.at, &form)); a.Header.Get("Location") != "" && b.Walk(rp, b.Next(a)).Params.Has("code") {
				t.Errorf("POST %s leads to the app", path)
			}
		}
		b.Ask(rp, "openid", silently, providertest.With("acr_values", "phr")).WantError("interaction_required")
		page = passkeyPageOf(t, b, b.Walk(rp, page.at.String()))
		to := b.Next(page.answer(d).WantStatus(signedOn))
		if got := p.Verify(rp.Exchange(b.Walk(rp, to).Code()).OK().ID).Claims["acr"]; got != "phr" {
			t.Errorf("acr %v, want phr", got)
		}
	})
}

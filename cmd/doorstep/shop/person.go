package shop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// person is who the provider says is here, and how sure it is.
type person struct {
	Subject string
	profile
	acr      string
	amr      []string
	authTime time.Time       // zero if the ID token does not say
	claims   json.RawMessage // of the ID token, all of them
}

// profile may be in the ID token, or in userinfo, or nowhere.
type profile struct {
	Name          string `json:"name"`
	Email         string `json:"email"`
	EmailVerified bool   `json:"email_verified"`
}

func newPerson(t *oidc.IDToken) (person, error) {
	p := person{Subject: t.Subject}
	var proof struct {
		ACR      string   `json:"acr"`
		AMR      []string `json:"amr"`
		AuthTime int64    `json:"auth_time"`
	}
	for _, into := range []any{&p.profile, &proof, &p.claims} {
		if err := t.Claims(into); err != nil {
			return person{}, fmt.Errorf("ID token claims: %w", err)
		}
	}
	p.acr, p.amr = proof.ACR, proof.AMR
	if proof.AuthTime != 0 {
		p.authTime = time.Unix(proof.AuthTime, 0).UTC()
	}
	return p, nil
}

// called is the shortest name that somebody answers to.
func (p person) called() string {
	switch first, _, _ := strings.Cut(p.Name, " "); {
	case first != "":
		return first
	case p.Email != "":
		return p.Email
	default:
		return "friend"
	}
}

// prettyClaims is the ID token's payload, to be read by people.
func (p person) prettyClaims() string {
	var out bytes.Buffer
	if json.Indent(&out, p.claims, "", "  ") != nil {
		return string(p.claims)
	}
	return out.String()
}

// assurance says in words what an acr means (NIST SP 800-63B-4, OpenID EAP ACR values).
func assurance(acr string) string {
	switch acr {
	case "":
		return "The provider did not say"
	case "aal1":
		return "One proof"
	case "aal2":
		return "Two different proofs"
	case "aal3":
		return "Two proofs, one of them in hardware that gives nothing away"
	case "phr":
		return "A proof that cannot be phished"
	case "phrh":
		return "A proof that cannot be phished, kept in hardware"
	default:
		return acr
	}
}

// proofWords are the methods of RFC 8176 that people meet.
var proofWords = map[string]string{
	"pwd": "a password", "otp": "a one-time code", "hwk": "a passkey that stays in its device", "swk": "a passkey", "pop": "a key",
	"mfa": "more than one proof", "pin": "a PIN", "fpt": "a fingerprint", "face": "a face", "user": "being there",
	"mail": "a code by mail", "sms": "a code by text message", "recovery": "a recovery code",
}

// proofs says in words what an amr lists; a method that we do not know keeps its name.
func proofs(amr []string) string {
	if len(amr) == 0 {
		return "The provider did not say"
	}
	words := make([]string, len(amr))
	for i, method := range amr {
		words[i] = method
		if known, ok := proofWords[method]; ok {
			words[i] = known
		}
	}
	last := len(words) - 1
	if last == 0 {
		return capital(words[0])
	}
	return capital(strings.Join(words[:last], ", ") + " and " + words[last])
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// ago says how long before now t was, as one would.
func ago(now, t time.Time) string {
	d := now.Sub(t)
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if n := int(d / unit.of); n == 1 {
			return "1 " + unit.name + " ago"
		} else if n > 1 {
			return fmt.Sprintf("%d %ss ago", n, unit.name)
		}
	}
	return "just now"
}

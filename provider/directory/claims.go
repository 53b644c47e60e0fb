package directory

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/storage"
)

// Claims are the standard claims of a person (OIDC Core section 5.1) with their
// JSON types, but for those that have a home of their own: sub, name, locale and
// updated_at in the person, email and email_verified in the identifier.
type Claims struct {
	GivenName           string   `json:"given_name,omitempty"`
	FamilyName          string   `json:"family_name,omitempty"`
	MiddleName          string   `json:"middle_name,omitempty"`
	Nickname            string   `json:"nickname,omitempty"`
	PreferredUsername   string   `json:"preferred_username,omitempty"`
	Profile             string   `json:"profile,omitempty"`
	Picture             string   `json:"picture,omitempty"`
	Website             string   `json:"website,omitempty"`
	Gender              string   `json:"gender,omitempty"`
	Birthdate           string   `json:"birthdate,omitempty"` // YYYY-MM-DD, 0000-MM-DD or YYYY
	Zoneinfo            string   `json:"zoneinfo,omitempty"`
	PhoneNumber         string   `json:"phone_number,omitempty"`          // E.164
	PhoneNumberVerified *bool    `json:"phone_number_verified,omitempty"` // only beside a number
	Address             *Address `json:"address,omitempty"`
}

// Address is the claim of that name (OIDC Core section 5.1.1).
type Address struct {
	Formatted     string `json:"formatted,omitempty"`
	StreetAddress string `json:"street_address,omitempty"`
	Locality      string `json:"locality,omitempty"`
	Region        string `json:"region,omitempty"`
	PostalCode    string `json:"postal_code,omitempty"`
	Country       string `json:"country,omitempty"`
}

const maxText = 256 // bytes of one claim

var (
	birthdate = regexp.MustCompile(`^(\d{4}|\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01]))$`)
	phone     = regexp.MustCompile(`^\+[1-9]\d{4,14}(;ext=\d{1,10})?$`)
)

func (c Claims) encode() (storage.Raw, error) {
	if c.Address != nil && *c.Address == (Address{}) {
		c.Address = nil // nothing is told of it
	}
	doc, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("directory: claims: %w", err)
	}
	return doc, nil
}

// check returns a fault for every claim that clients could not use as it is.
func (c Claims) check() (faults []*fault.Error) {
	wrong := func(field, message string) { faults = append(faults, fault.Invalid(field, message)) }
	for field, v := range map[string]string{
		"given_name": c.GivenName, "family_name": c.FamilyName, "middle_name": c.MiddleName, "nickname": c.Nickname,
		"preferred_username": c.PreferredUsername, "gender": c.Gender, "zoneinfo": c.Zoneinfo,
	} {
		if !plain(v) {
			wrong(field, fmt.Sprintf("must be text of at most %d bytes without control characters", maxText))
		}
	}
	for field, v := range map[string]string{"profile": c.Profile, "picture": c.Picture, "website": c.Website} {
		if u, err := url.Parse(v); v != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || len(v) > 2048) {
			wrong(field, "must be an http or https URL")
		}
	}
	if c.Birthdate != "" && !birthdate.MatchString(c.Birthdate) {
		wrong("birthdate", "must be YYYY-MM-DD, or YYYY")
	}
	if c.PhoneNumber != "" && !phone.MatchString(c.PhoneNumber) {
		wrong("phone_number", "must begin with + and the country code, digits only")
	}
	if c.PhoneNumberVerified != nil && c.PhoneNumber == "" {
		wrong("phone_number_verified", "goes with a phone_number only")
	}
	return append(faults, c.Address.check()...)
}

func (a *Address) check() (faults []*fault.Error) {
	if a == nil {
		return nil
	}
	for field, v := range map[string]string{
		"street_address": a.StreetAddress, "formatted": a.Formatted, "locality": a.Locality,
		"region": a.Region, "postal_code": a.PostalCode, "country": a.Country,
	} {
		// Lines of an address are told apart by newlines.
		if !plain(strings.NewReplacer("\r\n", " ", "\n", " ").Replace(v)) {
			faults = append(faults, fault.Invalid("address."+field, fmt.Sprintf("must be text of at most %d bytes", maxText)))
		}
	}
	return faults
}

// plain reports whether s is short, valid text without control characters.
func plain(s string) bool {
	return len(s) <= maxText && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

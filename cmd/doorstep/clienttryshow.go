package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// meanings say what a claim is for, in few words.
var meanings = map[string]string{
	"iss": "who issued it", "sub": "whom it is about; the same at every sign-in", "aud": "for whom it is", "exp": "when it ends", "iat": "when it was issued",
	"nonce": "ties it to the request", "auth_time": "when the person proved who they are", "acr": "how sure that is", "amr": "how they proved it",
	"azp": "which client asked for it", "at_hash": "ties the access token to it", "c_hash": "ties the code to it", "sid": "the session here, for sign-outs",
	"jti": "its own id", "client_id": "which client holds it", "scope": "what it is good for", "gid": "the grant that it is of, for revocation",
	"name": "what they are called", "given_name": "first name", "family_name": "family name", "email": "e-mail address", "email_verified": "whether somebody answers for that",
	"groups": "groups that they are in", "locale": "language that they read", "zoneinfo": "time zone", "updated_at": "when their details changed last",
	"phone_number": "phone number", "phone_number_verified": "whether somebody answers for that", "address": "postal address", "preferred_username": "user name",
	"nickname": "nickname", "middle_name": "middle name", "profile": "profile page", "picture": "picture", "website": "website", "gender": "gender", "birthdate": "date of birth",
}

// times are the claims that are seconds since 1970.
var times = []string{"exp", "iat", "auth_time", "updated_at", "nbf"}

// show prints what a token says, if it says anything.
func (t *tryout) show(what, token string) error {
	claims := map[string]any{}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		fmt.Fprintf(t.app.stdout, "%s\n  opaque: it says nothing, and is asked about by introspection\n", what)
		t.showRaw(token)
		return nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if err != nil {
		return fmt.Errorf("the %s cannot be read: %w", what, err)
	}
	if err := t.showClaims(what, claims); err != nil {
		return err
	}
	t.showRaw(token)
	return nil
}

// showClaims prints one line for each claim.
func (t *tryout) showClaims(what string, claims map[string]any) error {
	fmt.Fprintln(t.app.stdout, what)
	columns := tabwriter.NewWriter(t.app.stdout, 0, 0, 2, ' ', 0)
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		value, err := json.Marshal(claims[name])
		if err != nil {
			return err
		}
		if seconds, ok := claims[name].(float64); ok && slices.Contains(times, name) {
			value = []byte(time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339))
		}
		fmt.Fprintf(columns, "  %s\t%s\t%s\n", name, value, meanings[name])
	}
	return columns.Flush()
}

func (t *tryout) showRaw(token string) {
	if t.raw {
		fmt.Fprintf(t.app.stdout, "  raw  %s\n", token)
	}
}

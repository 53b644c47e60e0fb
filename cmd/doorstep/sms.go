package main

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/provider/sms"
)

// gatewayURL reads where a gateway takes messages.
func gatewayURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.Fragment != "" {
		return "", errors.New("is not a URL such as https://sms.example/send")
	}
	if u.User != nil {
		return "", errors.New("must have no user: sms.username and sms.secret are for that")
	}
	return text, nil
}

// maxSender is longer than any number, name or SID.
const maxSender = 64

// sender reads who sends text messages.
func sender(field func(*settings) *string) func(*settings, string) error {
	return func(s *settings, text string) error {
		if len(text) > maxSender || strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) }) {
			return errors.New("is not a number, a name of letters and digits, or a service's SID")
		}
		*field(s) = text
		return nil
	}
}

// countries reads ISO 3166-1 alpha-2 codes of countries that have telephones.
func countries(field func(*settings) *[]string) func(*settings, string) error {
	return func(s *settings, text string) error {
		for part := range strings.SplitSeq(text, ",") {
			country := strings.ToUpper(strings.TrimSpace(part))
			if !ident.HasPhones(country) {
				return fmt.Errorf("%q is not the code of a country, such as SE", strings.TrimSpace(part))
			}
			if !slices.Contains(*field(s), country) {
				*field(s) = append(*field(s), country)
			}
		}
		return nil
	}
}

// checkSMS holds the settings of text messages against each other.
func (c *config) checkSMS(fault func(key, format string, args ...any)) {
	if c.SMSURL == "" {
		for _, key := range []string{"sms.username", "sms.secret", "sms.from", "sms.countries"} {
			if c.values[key].text != "" && c.values["sms.url"].text == "" {
				fault(key, "is of no use without sms.url")
			}
		}
		if c.SMSAAL2 {
			fault("sms.aal2", "is of no use without sms.url")
		}
		return
	}
	if c.values["sms.countries"].text == "" {
		fault("sms.countries", "is missing: name the countries that messages may be sent to, since each message costs")
	}
	if c.SMSSecret == "" {
		fault("sms.secret", "is missing: without it anybody could pose as us")
	}
	switch c.SMSGateway {
	case "twilio":
		if c.SMSUsername == "" {
			fault("sms.username", "is missing: it is the account's SID, or an API key's")
		}
		if c.SMSFrom == "" {
			fault("sms.from", "is missing: somebody has to be the sender of text messages")
		}
	case "webhook":
		if c.SMSUsername != "" {
			fault("sms.username", "is of no use to a webhook, which is signed with sms.secret")
		}
		if _, err := sms.ParseSecret(c.SMSSecret); c.SMSSecret != "" && err != nil {
			fault("sms.secret", "%v: make one with `head -c 32 /dev/urandom | base64`", err)
		}
	}
}

// sms fills the configuration of text messages.
func (c *config) sms() (sms.Config, error) {
	if c.SMSURL == "" {
		return sms.Config{}, nil
	}
	out := sms.Config{From: c.SMSFrom, Countries: c.SMSCountries, Caps: c.SMSCaps, Timeout: c.SMSTimeout, AAL2: c.SMSAAL2}
	if c.SMSGateway == "twilio" {
		out.Gateway = &sms.Twilio{URL: c.SMSURL, Username: c.SMSUsername, Password: c.SMSSecret}
		return out, nil
	}
	secret, err := sms.ParseSecret(c.SMSSecret)
	out.Gateway = &sms.Webhook{URL: c.SMSURL, Secret: secret}
	return out, err
}

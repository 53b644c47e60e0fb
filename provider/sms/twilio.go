package sms

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/doorstep-id/doorstep/provider/outbound"
)

// Twilio is a gateway that takes messages as Twilio's Messages resource does: a form, with
// HTTP Basic. Others have copied it.
type Twilio struct {
	URL                string // https://api.twilio.com/2010-04-01/Accounts/AC.../Messages.json
	Username, Password string // the account's SID and token, or those of an API key
}

// isService reports whether a sender is a messaging service, which stands for many: SIDs are
// longer than any number and any name.
func isService(from string) bool { return len(from) == 34 && strings.HasPrefix(from, "MG") }

// never are the codes of Twilio's for what is wrong with a number, and will be: it is none, nothing
// is sent there, it is no mobile, or its owner said STOP.
var never = []int{21211, 21217, 21265, 21408, 21610, 21612, 21614, 21635}

// Deliver implements [Gateway].
func (t *Twilio) Deliver(ctx context.Context, out *outbound.Client, m *Message) error {
	form := url.Values{"To": {m.To}, "Body": {m.Text}}
	sender := "From"
	if isService(m.From) {
		sender = "MessagingServiceSid"
	}
	form.Set(sender, m.From)
	answer, err := out.PostForm(ctx, outbound.Request{URL: t.URL, Operator: true, Accept: "application/json", Header: map[string]string{
		"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(t.Username+":"+t.Password)),
	}}, form)
	if err != nil {
		return failed(err)
	}
	var says struct {
		Code int `json:"code"`
	}
	_ = json.Unmarshal(answer.Body, &says) // without a code it is as if it had said none
	code := ""
	if says.Code != 0 {
		code = fmt.Sprintf(", code %d", says.Code)
	}
	return refusal(answer.Status, slices.Contains(never, says.Code), code)
}
